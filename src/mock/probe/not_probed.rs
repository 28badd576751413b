//! What cannot be looked at by reading, and why.

use super::finding::{Finding, Verdict};

pub(super) fn unprobed() -> impl Iterator<Item = Finding> {
    let finding = |row, why| Finding {
        row,
        what: "as the contract says".to_owned(),
        verdict: Verdict::NotProbed(why),
    };
    WHY.iter()
        .flat_map(move |(why, rows)| rows.iter().map(move |row| finding(row, why)))
}

const WHY: &[(&str, &[&str])] = &[
    (
        "needs a registered client",
        &["K10", "K11", "K13", "K15", "K16", "K20", "K29", "K97"],
    ),
    (
        "needs a person who signs in",
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
        "needs an endpoint that is subscribed",
        &[
            "K60", "K61", "K62", "K63", "K64", "K80", "K81", "K82", "K83", "K84", "K85", "K86",
            "K87",
        ],
    ),
    ("is about a tenant's side", &["K3", "K42", "K72"]),
    (
        "is about the mock alone",
        &["K73", "K78", "K90", "K95", "K96"],
    ),
];
