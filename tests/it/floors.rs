//! The house: arrows point down, and there are no circles.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What each floor may stand on. `TransportError` and the like, which `lib.rs` hands out from a
/// floor, count as that floor.
const FLOORS: [(&str, &[&str]); 22] = [
    ("wire", &[]),
    ("clock", &[]),
    ("secret", &[]),
    ("secrets", &["clock", "observe", "secret"]),
    ("strict_json", &[]),
    ("observe", &["secret"]),
    ("backend", &["observe"]),
    ("http", &["clock", "observe"]),
    ("api", &["clock", "http", "secret", "secrets", "wire"]),
    (
        "kyc",
        &[
            "api", "backend", "clock", "http", "observe", "secret", "wire",
        ],
    ),
    ("cases", &["api", "http", "observe", "wire"]),
    (
        "oidc",
        &[
            "clock",
            "http",
            "observe",
            "secret",
            "secrets",
            "strict_json",
            "wire",
        ],
    ),
    (
        "webhook",
        &[
            "backend",
            "clock",
            "observe",
            "secret",
            "secrets",
            "strict_json",
            "wire",
        ],
    ),
    (
        "web",
        &[
            "cases", "clock", "http", "kyc", "observe", "oidc", "secret", "webhook", "wire",
        ],
    ),
    ("mock", &["clock", "wire"]),
    (
        "config",
        &[
            "cases", "clock", "http", "kyc", "observe", "oidc", "secret", "secrets", "web", "wire",
        ],
    ),
    (
        "reload",
        &["api", "clock", "observe", "oidc", "secret", "secrets"],
    ),
    (
        "doctor",
        &[
            "api", "clock", "config", "http", "kyc", "oidc", "secrets", "web", "webhook",
        ],
    ),
    (
        "relying_party",
        &[
            "api", "cases", "config", "doctor", "http", "kyc", "observe", "oidc", "reload",
            "secrets", "web", "webhook",
        ],
    ),
    ("testing", &["config", "mock"]),
    ("guide", &[]),
    // It has nothing but a `main`.
    ("bin", &[]),
];

/// The folders of the mock and the files beside them, from the ground up: each may stand on those
/// before it, and on none after.
const MOCK: [&str; 31] = [
    "blocking",
    "error",
    "here",
    "random",
    "switches",
    "waits",
    "http",
    "jws",
    "records",
    "samples",
    "probe",
    "html",
    "deliveries",
    "core",
    "llms",
    "overview",
    "webhooks",
    "tenants",
    "persons",
    "browser",
    "cases",
    "faults",
    "oidc",
    "console",
    "start",
    "admin",
    "server",
    "issuer",
    "builder",
    "remote",
    "cli",
];

/// Folders of the mock of which some files go together: a table and what is written from it, a record
/// and what keeps it, an answer and what judges it.
const TOGETHER: [&str; 4] = ["admin", "console", "deliveries", "probe"];

#[test]
fn arrows_point_down() {
    for (floor, may) in FLOORS {
        for file in files_of(floor) {
            for target in used(&file).iter().filter_map(|path| module(path.first()?)) {
                assert!(
                    target == floor || may.contains(&target),
                    "{} uses crate::{target}, which {floor} does not stand on",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_module_is_on_a_floor() {
    let known: BTreeSet<_> = FLOORS.iter().map(|(floor, _)| *floor).collect();
    for module in modules_in(&source()) {
        assert!(
            module == "lib" || known.contains(module.as_str()),
            "{module}"
        );
    }
}

#[test]
fn no_floor_has_a_circle() {
    for (floor, _) in FLOORS {
        no_circle(&[floor], Path::is_file);
    }
}

#[test]
fn in_the_mock_arrows_point_down() {
    for (place, name) in MOCK.iter().enumerate() {
        for file in files_of(&format!("mock/{name}")) {
            for target in used(&file).iter().filter_map(|path| below(path, &["mock"])) {
                assert!(
                    MOCK[..=place].contains(&target),
                    "{} uses mock::{target}, which {name} does not stand on",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn everything_in_the_mock_has_its_place() {
    let there = modules_in(&source().join("mock"));
    let there: BTreeSet<_> = there.iter().map(String::as_str).collect();
    assert_eq!(there, BTreeSet::from(MOCK));
}

#[test]
fn no_folder_of_the_mock_has_a_circle() {
    for name in MOCK {
        if !TOGETHER.contains(&name) {
            no_circle(&["mock", name], |_| true);
        }
    }
}

#[test]
fn one_floor_of_files_knows_tower_sessions() {
    for file in files_of("web") {
        let name = file.file_name().unwrap().to_str().unwrap();
        let knows = code(&file).contains("tower_sessions::");
        let may = ["records.rs", "memory_store.rs", "sealed_store.rs", "mod.rs"].contains(&name);
        assert!(may || !knows, "{name}");
    }
}

#[test]
fn one_floor_speaks() {
    let speaks = [
        "trace!",
        "debug!",
        "info!",
        "warn!",
        "error!",
        "event!",
        "span!",
        "instrument(",
        "metrics::",
    ];
    for (floor, _) in FLOORS {
        // The mock and what stands on it are for tests.
        if ["observe", "mock", "testing"].contains(&floor) {
            continue;
        }
        for file in files_of(floor) {
            let code = code(&file);
            let found = speaks.iter().find(|word| code.contains(**word));
            assert_eq!(found, None, "{}", file.display());
        }
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files_of(floor: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![source().join(floor), source().join(format!("{floor}.rs"))];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|it| it == "rs") && path.is_file() {
            found.push(path);
        }
    }
    found
}

/// The code of a file, without comments and without its tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.split("#[cfg(test)]")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whoever is right below a folder and stands on nothing that is left there is taken away, until
/// nobody is left.
fn no_circle(folder: &[&str], counts: impl Fn(&Path) -> bool) {
    let path = folder
        .iter()
        .fold(source(), |path, module| path.join(module));
    let mut arrows = BTreeMap::new();
    for module in modules_in(&path) {
        let is_file = path.join(&module).with_extension("rs");
        if module == "tests" || !counts(&is_file) {
            continue;
        }
        let files = files_of(&format!("{}/{module}", folder.join("/")));
        let used: BTreeSet<_> = files.iter().flat_map(|file| used(file)).collect();
        let targets = used.iter().filter_map(|used| below(used, folder));
        let targets: BTreeSet<_> = targets.map(str::to_owned).collect();
        arrows.insert(module, targets);
    }
    for (module, targets) in &mut arrows {
        targets.remove(module);
    }
    while !arrows.is_empty() {
        let before = arrows.len();
        let left: BTreeSet<String> = arrows.keys().cloned().collect();
        arrows.retain(|_, targets| targets.iter().any(|it| left.contains(it)));
        assert!(arrows.len() < before, "a circle in {folder:?}: {arrows:?}");
    }
}

/// The modules right below a folder, by file or by folder.
fn modules_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.is_dir() || path.extension().is_some_and(|it| it == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|module| module != "mod")
        .collect()
}

/// What a file of this crate names, in `use` or on the way, each as its path from the crate's root.
fn used(file: &Path) -> BTreeSet<Vec<String>> {
    let here = file.strip_prefix(source()).unwrap().with_extension("");
    let mut here: Vec<String> = here
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    here.retain(|module| module != "mod");
    let code = code(file);
    let mut found = BTreeSet::new();
    let mut end = 0;
    for (at, _) in code.match_indices("::") {
        let begin = code[..at]
            .rfind(|c| !is_of_a_name(c))
            .map_or(0, |it| it + 1);
        // Within a tree is part of it.
        if begin < end || !["crate", "super"].contains(&&code[begin..at]) {
            continue;
        }
        let tree = tree(&code[begin..]);
        end = begin + tree.len();
        for path in branches(tree) {
            let mut from = here.clone();
            let mut names = path.split("::").map(str::trim).peekable();
            if names.next_if_eq(&"crate").is_some() {
                from.clear();
            }
            while names.next_if_eq(&"super").is_some() {
                from.pop();
            }
            from.extend(names.map(str::to_owned));
            found.insert(from);
        }
    }
    found
}

/// A path, with all that it forks into.
fn tree(code: &str) -> &str {
    let mut depth = 0;
    let end = code.find(|c| {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => {
                depth -= 1;
                return false;
            }
            _ => {}
        }
        depth == 0 && c != ':' && !is_of_a_name(c)
    });
    &code[..end.unwrap_or(code.len())]
}

/// Each path of a tree on its own.
fn branches(tree: &str) -> Vec<String> {
    let Some((stem, group)) = tree.split_once('{') else {
        return vec![tree.trim().to_owned()];
    };
    let group = group.rsplit_once('}').unwrap().0;
    let mut depth = 0;
    group
        .split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        })
        .filter(|branch| !branch.trim().is_empty())
        .flat_map(branches)
        .map(|branch| format!("{}{branch}", stem.trim_start()))
        .collect()
}

/// What of a folder a path leads to.
fn below<'a>(path: &'a [String], folder: &[&str]) -> Option<&'a str> {
    let (above, rest) = path.split_at_checked(folder.len())?;
    (above == folder).then_some(rest.first()?.as_str())
}

/// `crate::Secret` and the like are types that `lib.rs` hands out.
fn module(name: &str) -> Option<&str> {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        .then_some(name)
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
