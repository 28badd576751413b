//! Tests that the manual's page `threats` has one row for each case, and that each test named on
//! the page exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const LAST_CASE: u32 = 140;

/// Cases without a test. The SDK has no route for the requests of these cases.
const WITHOUT_TEST: &[u32] = &[113];

/// Row of a table: a case, and the tests that the row cites.
struct Row {
    case: u32,
    tests: Vec<String>,
}

#[test]
fn each_case_has_one_row() {
    let numbers: Vec<u32> = rows().iter().map(|row| row.case).collect();
    assert_eq!(numbers, (1..=LAST_CASE).collect::<Vec<_>>());
}

#[test]
fn each_row_names_tests_that_exist_in_files_that_cite_the_case() {
    for Row { case, tests } in rows() {
        assert_eq!(
            tests.is_empty(),
            WITHOUT_TEST.contains(&case),
            "case {case}"
        );
        for test in tests {
            let (module, name) = test.rsplit_once("::").unwrap();
            let text = fs::read_to_string(file_of(module)).unwrap();
            assert!(
                text.contains(&format!("fn {name}(")),
                "case {case}: the test {test} does not exist"
            );
            let is_cited = text.lines().any(|line| cited_in(line).contains(&case));
            assert!(is_cited, "case {case} is not cited in the file of {test}");
        }
    }
}

#[test]
fn each_cited_case_is_on_the_page() {
    let cases: BTreeSet<u32> = rows().iter().map(|row| row.case).collect();
    let mut cited = BTreeSet::new();
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines() {
            let in_line = cited_in(line);
            let is_known = in_line.is_subset(&cases);
            assert!(is_known, "{}: {line}", file.display());
            cited.extend(in_line);
        }
    }
    let uncited: Vec<_> = cases.difference(&cited).collect();
    assert_eq!(uncited, WITHOUT_TEST.iter().collect::<Vec<_>>());
}

#[test]
fn the_parser_reads_a_list_and_a_range_of_cases() {
    for (line, cases) in [
        ("    // case 33", vec![33]),
        ("/// Expired (cases 69, 82).", vec![69, 82]),
        ("// cases 95, 114 to 116; K43", vec![95, 114, 115, 116]),
        ("// case 6, at the handshake", vec![6]),
        ("// in this case two of them, and 3", vec![]),
        ("let showcase = 3;", vec![]),
    ] {
        assert_eq!(cited_in(line), BTreeSet::from_iter(cases), "{line}");
    }
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join("src/guide/threats.md")).unwrap();
    let read = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let case = cells.next()?.parse().ok()?;
        let last = cells.last()?;
        let quoted = last.split('`').skip(1).step_by(2);
        let tests = quoted.map(str::to_owned).collect();
        Some(Row { case, tests })
    };
    page.lines().filter_map(read).collect()
}

/// File of a module such as `it::callback` or `lib::webhook::age::tests`.
fn file_of(module: &str) -> PathBuf {
    let (binary, path) = module.split_once("::").unwrap();
    let folder = match binary {
        "lib" => "src".to_owned(),
        binary => format!("tests/{binary}"),
    };
    let path = path.replace("::", "/");
    let outer = path.strip_suffix("/tests").unwrap_or(&path);
    let candidates = [
        format!("{path}.rs"),
        format!("{path}/mod.rs"),
        format!("{outer}.rs"),
        format!("{outer}/mod.rs"),
    ];
    let folder = root().join(folder);
    let mut files = candidates.iter().map(|file| folder.join(file));
    let file = files.find(|file| file.exists());
    file.unwrap_or_else(|| panic!("{module} has no file"))
}

/// Case numbers that a line cites: `case 33`, `cases 32, 38` or `cases 56 to 80`.
fn cited_in(line: &str) -> BTreeSet<u32> {
    let mut cases = BTreeSet::new();
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
        if !["case", "cases"].contains(&word) {
            continue;
        }
        let mut first: Option<u32> = None;
        while let Some(word) = words.peek() {
            let number = word.trim_end_matches(|c: char| !c.is_alphanumeric());
            if let Ok(case) = number.parse() {
                cases.extend(first.take().unwrap_or(case)..=case);
            } else if *word == "to" {
                first = cases.last().copied();
            } else if *word != "and" {
                break;
            }
            words.next();
        }
    }
    cases
}

/// Rust files of the SDK, the mock and the tests.
fn sources() -> Vec<PathBuf> {
    let own = Path::new("tests/it/threats.rs");
    let mut files = Vec::new();
    let mut left = vec![root().join("src"), root().join("tests")];
    while let Some(path) = left.pop() {
        if path.is_dir() && !path.ends_with("node_modules") {
            let entries = fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with(own) {
            files.push(path);
        }
    }
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
