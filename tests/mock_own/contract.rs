//! Checks the contract page. Every cited row must exist. The mock or a test must cite every row
//! about the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Rows with public facts about KYCPort. The contract page also contains rows that this crate has
/// added.
const KNOWN_ROWS: &[(u32, u32)] = &[
    (1, 6),
    (10, 18),
    (20, 25),
    (30, 35),
    (40, 45),
    (50, 54),
    (60, 64),
    (70, 72),
];

#[test]
fn every_known_row_is_on_the_page_once() {
    let rows = rows();
    for id in KNOWN_ROWS.iter().flat_map(|(from, to)| *from..=*to) {
        let id = format!("K{id}");
        assert!(rows.contains(&id), "{id} is not in the page");
    }
    let once: BTreeSet<_> = rows.iter().collect();
    assert_eq!(once.len(), rows.len(), "duplicate row: {rows:?}");
}

#[test]
fn every_row_has_a_source_and_every_assumption_has_a_reason() {
    for line in page().lines().filter(|line| line.starts_with("| K")) {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let (id, from, fact) = (cells.next(), cells.next().unwrap(), cells.next().unwrap());
        let id = id.unwrap();
        let known = from.split(' ').all(|it| ["D", "L", "O", "A"].contains(&it));
        assert!(known, "{id} has an unknown source: {from:?}");
        let given = KNOWN_ROWS
            .iter()
            .flat_map(|(from, to)| *from..=*to)
            .any(|own| format!("K{own}") == id);
        assert!(given || fact.contains("Reason: "), "{id} has no reason");
    }
}

#[test]
fn every_cited_row_exists() {
    let rows: BTreeSet<_> = rows().into_iter().collect();
    for (id, files) in citations(&["src", "tests", "examples", "benches"]) {
        assert!(
            rows.contains(&id),
            "{id} is not a row, but is cited in {files:?}"
        );
    }
}

#[test]
fn every_row_about_the_server_is_cited_by_the_mock_or_by_a_test() {
    let citations = citations(&["src/mock", "tests"]);
    for id in rows() {
        assert!(citations.contains_key(&id), "{id} is cited nowhere");
    }
}

fn page() -> String {
    fs::read_to_string(root().join("src/guide/contract.md")).unwrap()
}

fn rows() -> Vec<String> {
    let page = page();
    let lines = page.lines().filter_map(|line| line.strip_prefix("| K"));
    let ids = lines.filter_map(|line| line.split_once(" |"));
    ids.map(|(number, _)| format!("K{number}")).collect()
}

/// Returns the files that cite each row. The result omits this file, the contract page, and the
/// list of rows that a probe cannot check.
fn citations(folders: &[&str]) -> BTreeMap<String, BTreeSet<PathBuf>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut left: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() && !path.ends_with("node_modules") {
            let entries = fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
            continue;
        }
        let kind = path.extension().and_then(|it| it.to_str()).unwrap_or("");
        let lists = [
            "mock_own/contract.rs",
            "guide/contract.md",
            "probe/unprobed.rs",
        ];
        let own = lists.iter().any(|list| path.ends_with(list));
        if own || !["rs", "md", "txt", "mjs", "py"].contains(&kind) {
            continue;
        }
        for id in ids(&fs::read_to_string(&path).unwrap()) {
            found.entry(id).or_default().insert(path.clone());
        }
    }
    found
}

/// Returns each word that consists of a `K` and digits.
fn ids(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_id = |word: &&str| {
        let digits = word.strip_prefix('K').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    words.filter(is_id).map(str::to_owned).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
