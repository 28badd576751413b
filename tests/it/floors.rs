//! Tests that each source file uses only lower layers. Dependencies point downwards, and files have
//! no import cycles.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Layers from lowest to highest. Each layer has a list of the layers that it may use. A type that
/// `lib.rs` re-exports belongs to the layer that defines the type.
const LAYERS: [(&str, &[&str]); 25] = [
    ("wire", &[]),
    ("clock", &[]),
    ("secret", &[]),
    ("strict_json", &[]),
    ("single_flight", &[]),
    ("expiring_map", &[]),
    ("observe", &["secret"]),
    ("secrets", &["clock", "observe", "secret"]),
    ("store", &["clock", "observe"]),
    ("state", &["observe", "store"]),
    ("http", &["clock", "expiring_map", "observe"]),
    (
        "api",
        &["clock", "http", "secret", "secrets", "strict_json", "wire"],
    ),
    (
        "kyc",
        &[
            "api",
            "clock",
            "http",
            "observe",
            "single_flight",
            "state",
            "store",
            "wire",
        ],
    ),
    ("cases", &["api", "clock", "http", "observe", "wire"]),
    (
        "oidc",
        &[
            "clock",
            "expiring_map",
            "http",
            "observe",
            "secret",
            "secrets",
            "single_flight",
            "strict_json",
            "wire",
        ],
    ),
    (
        "webhook",
        &[
            "clock",
            "observe",
            "secret",
            "secrets",
            "store",
            "strict_json",
            "wire",
        ],
    ),
    (
        "web",
        &[
            "cases",
            "clock",
            "expiring_map",
            "http",
            "kyc",
            "observe",
            "oidc",
            "secret",
            "single_flight",
            "state",
            "store",
            "webhook",
            "wire",
        ],
    ),
    ("mock", &["clock", "wire"]),
    (
        "config",
        &[
            "cases", "clock", "http", "kyc", "observe", "oidc", "secret", "secrets", "state",
            "store", "web", "wire",
        ],
    ),
    (
        "reload",
        &["api", "clock", "observe", "oidc", "secret", "secrets"],
    ),
    (
        "doctor",
        &[
            "api", "clock", "config", "http", "kyc", "oidc", "secrets", "store", "web", "webhook",
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
    // The file of the binary contains only a `main`.
    ("bin", &[]),
];

/// Client libraries of storage engines. Each library has a list of the directories of `store` that
/// may use the library.
const CLIENTS: [(&str, &[&str]); 4] = [
    ("tower_sessions", &["tower"]),
    ("redis", &["redis"]),
    ("sqlx", &["postgres", "sql", "sqlite"]),
    ("fred", &[]),
];

/// Directories and files of the mock from lowest to highest. An entry may use only the entries
/// before it.
const MOCK: [&str; 33] = [
    "blocking",
    "error",
    "loopback",
    "uri",
    "random",
    "switches",
    "waits",
    "http",
    "access",
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

#[test]
fn the_table_of_layers_has_no_cycle() {
    for (place, (layer, may_use)) in LAYERS.iter().enumerate() {
        let lower: Vec<_> = LAYERS[..place].iter().map(|(lower, _)| lower).collect();
        for used in *may_use {
            assert!(lower.contains(&used), "{layer} is listed before {used}");
        }
    }
}

#[test]
fn dependencies_point_downwards() {
    for (layer, may_use) in LAYERS {
        for file in files_of(layer) {
            for target in used(&file).iter().filter_map(|path| module(path.first()?)) {
                assert!(
                    target == layer || may_use.contains(&target),
                    "{} uses crate::{target}, which {layer} may not use",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn the_table_of_layers_lists_only_used_dependencies() {
    for (layer, may_use) in LAYERS {
        let files = files_of(layer);
        let used: BTreeSet<_> = files.iter().flat_map(|file| used(file)).collect();
        for target in may_use {
            let is_used = used.iter().any(|path| path[0] == *target);
            assert!(is_used, "{layer} does not use {target}");
        }
    }
}

#[test]
fn every_module_is_in_a_layer() {
    let known: BTreeSet<_> = LAYERS.iter().map(|(layer, _)| *layer).collect();
    for module in modules_in(&source()) {
        assert!(
            module == "lib" || known.contains(module.as_str()),
            "{module}"
        );
    }
}

#[test]
fn no_layer_has_a_cycle() {
    for (layer, _) in LAYERS {
        if layer == "mock" {
            no_cycle(&[layer], Path::is_file);
        } else {
            no_cycle_below(&[layer]);
        }
    }
}

#[test]
fn dependencies_in_the_mock_point_downwards() {
    for (place, name) in MOCK.iter().enumerate() {
        for file in files_of(&format!("mock/{name}")) {
            for target in used(&file).iter().filter_map(|path| below(path, &["mock"])) {
                assert!(
                    MOCK[..=place].contains(&target),
                    "{} uses mock::{target}, which {name} may not use",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_module_of_the_mock_is_in_its_table() {
    let there = modules_in(&source().join("mock"));
    let there: BTreeSet<_> = there.iter().map(String::as_str).collect();
    assert_eq!(there, BTreeSet::from(MOCK));
}

#[test]
fn no_folder_of_the_mock_has_a_cycle() {
    for name in MOCK {
        no_cycle_below(&["mock", name]);
    }
}

#[test]
fn only_an_engine_uses_its_client_library() {
    for (layer, _) in LAYERS {
        for file in files_of(layer) {
            let code = code(&file);
            for (client, folders) in CLIENTS {
                let is_allowed = folders
                    .iter()
                    .any(|folder| file.starts_with(source().join("store").join(folder)));
                let uses = code.match_indices(&format!("{client}::")).any(|(at, _)| {
                    !code[..at].ends_with(|c: char| c == ':' || is_identifier_char(c))
                });
                assert!(is_allowed || !uses, "{} uses {client}", file.display());
            }
        }
    }
}

#[test]
fn only_one_layer_logs() {
    let logs = [
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
    for (layer, _) in LAYERS {
        // The mock and the code that uses it exist for tests only.
        if ["observe", "mock", "testing"].contains(&layer) {
            continue;
        }
        for file in files_of(layer) {
            let code = code(&file);
            let found = logs.iter().find(|word| code.contains(**word));
            assert_eq!(found, None, "{}", file.display());
        }
    }
}

/// Every path such as `web/login/start` on the architecture page must be a file or a directory of
/// the source.
#[test]
fn files_named_on_the_architecture_page_exist() {
    let page = include_str!("../../src/guide/architecture.md");
    let mut paths = 0;
    for word in page.split('`').skip(1).step_by(2) {
        let is_path =
            word.contains('/') && word.chars().all(|it| it == '/' || is_identifier_char(it));
        if !is_path {
            continue;
        }
        paths += 1;
        let path = source().join(word);
        assert!(
            path.is_dir() || path.with_extension("rs").is_file(),
            "{word}"
        );
    }
    assert!(paths > 20, "{paths}");
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files_of(layer: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![source().join(layer), source().join(format!("{layer}.rs"))];
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

/// Returns the code of a file without comments and tests.
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

/// Asserts that the modules of a directory and of its subdirectories have no cycle.
fn no_cycle_below(folder: &[&str]) {
    no_cycle(folder, |_| true);
    let path = folder
        .iter()
        .fold(source(), |path, module| path.join(module));
    for module in modules_in(&path) {
        if path.join(&module).is_dir() {
            no_cycle_below(&[folder, &[&module]].concat());
        }
    }
}

/// Asserts that the modules directly below a directory have no cycle. Repeatedly removes the
/// modules that use no remaining module, until no module is left.
fn no_cycle(folder: &[&str], counts: impl Fn(&Path) -> bool) {
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
        assert!(
            arrows.len() < before,
            "{folder:?} has an import cycle: {arrows:?}"
        );
    }
}

/// Returns the modules directly below a directory, as files or directories.
fn modules_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.is_dir() || path.extension().is_some_and(|it| it == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|module| module != "mod")
        .collect()
}

/// Returns the paths of this crate that a file mentions. The paths start at the crate root.
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
            .rfind(|c| !is_identifier_char(c))
            .map_or(0, |it| it + 1);
        // This path belongs to the preceding `use` tree.
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

/// Returns a `use` tree with all of its branches.
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
        depth == 0 && c != ':' && !is_identifier_char(c)
    });
    &code[..end.unwrap_or(code.len())]
}

/// Returns each path of a `use` tree separately.
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

/// Returns the module that a path leads to, directly below a directory.
fn below<'a>(path: &'a [String], folder: &[&str]) -> Option<&'a str> {
    let (above, rest) = path.split_at_checked(folder.len())?;
    (above == folder).then_some(rest.first()?.as_str())
}

/// Returns the module of this name. Returns `None` for `crate::Secret` and other types that
/// `lib.rs` re-exports.
fn module(name: &str) -> Option<&str> {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        .then_some(name)
}

fn is_identifier_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
