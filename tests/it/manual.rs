//! Parser for the tables of the manual's page on operations.

use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../src/guide/operations.md");

/// Table row: maps the name of a column to the text of its cell.
pub(crate) type Row = BTreeMap<String, String>;

/// Returns the rows of the table below a heading, by the name in the first column.
pub(crate) fn table(heading: &str) -> BTreeMap<String, Row> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut lines = section.lines().filter(|line| line.starts_with('|'));
    let columns = cells(lines.next().unwrap());
    assert!(lines.next().unwrap().starts_with("|---"));
    let mut rows = BTreeMap::new();
    for line in lines {
        let cells = cells(line);
        assert_eq!(cells.len(), columns.len(), "{line}");
        let name = words(&cells[0]).pop_first().unwrap();
        let row = columns.iter().cloned().zip(cells).collect();
        assert!(rows.insert(name.clone(), row).is_none(), "{name} twice");
    }
    assert!(!rows.is_empty(), "{heading}");
    rows
}

/// Returns the texts of a cell that are in backticks.
pub(crate) fn words(cell: &str) -> BTreeSet<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}
