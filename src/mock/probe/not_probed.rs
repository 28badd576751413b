//! Rows that the probe cannot check with read-only requests, and the reasons.

use super::finding::{Finding, Verdict};

pub(super) fn not_probed() -> impl Iterator<Item = Finding> {
    let finding = |row, reason| Finding {
        row,
        what: "behaves as the contract says".to_owned(),
        verdict: Verdict::NotProbed(reason),
    };
    REASONS
        .iter()
        .flat_map(move |(reason, rows)| rows.iter().map(move |row| finding(row, reason)))
}

const REASONS: &[(&str, &[&str])] = &[
    (
        "needs a registered client",
        &["K10", "K11", "K13", "K15", "K16", "K20", "K29", "K97"],
    ),
    (
        "needs a person who logs in",
        &[
            "K17", "K19", "K21", "K22", "K24", "K28", "K30", "K31", "K32", "K33", "K34", "K36",
            "K37", "K38", "K91", "K92",
        ],
    ),
    ("needs a tenant's API key", &["K40", "K41", "K46", "K48"]),
    (
        "would open a case",
        &[
            "K50", "K51", "K52", "K53", "K55", "K56", "K57", "K58", "K59", "K74", "K75", "K76",
            "K77", "K79",
        ],
    ),
    (
        "needs a subscribed webhook endpoint",
        &[
            "K60", "K61", "K62", "K63", "K64", "K80", "K81", "K82", "K83", "K84", "K85", "K86",
            "K87",
        ],
    ),
    ("is about the tenant's side", &["K3", "K42", "K72"]),
    (
        "is only about the mock",
        &["K73", "K78", "K90", "K95", "K96"],
    ),
];
