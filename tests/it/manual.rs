//! The tables of the manual's page on operations, as a test reads them.

use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../src/guide/operations.md");

/// A row: what stands in its cells, by the column's name.
pub(crate) type Row = BTreeMap<String, String>;

/// The table below a heading, by the name in its first column.
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

/// What stands in backticks in a cell.
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
