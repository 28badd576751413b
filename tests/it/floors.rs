//! The house: arrows point down, and there are no circles.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What each floor may stand on. `TransportError` and the like, which `lib.rs` hands out from a
/// floor, count as that floor.
const FLOORS: [(&str, &[&str]); 20] = [
    ("wire", &[]),
    ("clock", &[]),
    ("secret", &[]),
    ("strict_json", &[]),
    ("observe", &["secret"]),
    ("backend", &["observe"]),
    ("http", &["clock", "observe"]),
    ("api", &["clock", "http", "secret", "wire"]),
    (
        "kyc",
        &[
            "api", "backend", "clock", "http", "observe", "secret", "wire",
        ],
    ),
    ("cases", &["api", "http", "observe", "wire"]),
    (
        "oidc",
        &["clock", "http", "observe", "secret", "strict_json", "wire"],
    ),
    (
        "webhook",
        &[
            "backend",
            "clock",
            "observe",
            "secret",
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
            "cases", "clock", "http", "kyc", "observe", "oidc", "secret", "web", "wire",
        ],
    ),
    (
        "doctor",
        &["clock", "config", "http", "kyc", "oidc", "web", "webhook"],
    ),
    (
        "relying_party",
        &[
            "api", "cases", "config", "doctor", "http", "kyc", "observe", "oidc", "web",
        ],
    ),
    ("testing", &["config", "mock"]),
    ("guide", &[]),
    // It has nothing but a `main`.
    ("bin", &[]),
];

#[test]
fn arrows_point_down() {
    for (floor, may) in FLOORS {
        for file in files_of(floor) {
            for target in targets(&file, "crate") {
                assert!(
                    target == floor || may.contains(&target.as_str()),
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
    for entry in fs::read_dir(source()).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            module == "lib" || known.contains(module.as_str()),
            "{module}"
        );
    }
}

#[test]
fn no_floor_has_a_circle() {
    for (floor, _) in FLOORS {
        let folder = source().join(floor);
        if !folder.is_dir() {
            continue;
        }
        let mut arrows = BTreeMap::new();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.extension().is_some_and(|it| it == "rs") && module != "mod" && module != "tests"
            {
                arrows.insert(module, targets(&path, "super"));
            }
        }
        // Whoever stands on nothing that is left is taken away, until nobody is left.
        while !arrows.is_empty() {
            let before = arrows.len();
            let left: BTreeSet<String> = arrows.keys().cloned().collect();
            arrows.retain(|_, targets| targets.iter().any(|it| left.contains(it)));
            assert!(arrows.len() < before, "a circle in {floor}: {arrows:?}");
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

/// The modules directly below `root::` that a file names, in `use` or on the way.
fn targets(file: &Path, root: &str) -> BTreeSet<String> {
    let code = code(file);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(&format!("{root}::")) {
        let rest = &code[at + root.len() + 2..];
        match rest.strip_prefix('{') {
            None => found.extend(module(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut item = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => found.extend(module(&std::mem::take(&mut item))),
                        c => item.push(c),
                    }
                }
                found.extend(module(&item));
            }
        }
    }
    found
}

fn module(path: &str) -> Option<String> {
    let name: String = path
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_lowercase() || *c == '_' || c.is_ascii_digit())
        .collect();
    // `crate::Secret` and the like are types that `lib.rs` hands out.
    (!name.is_empty() && name != "super" && name != "self").then_some(name)
}
