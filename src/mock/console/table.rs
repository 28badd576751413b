//! Tables of the latest deliveries and requests, newest first.

use std::{fmt::Write as _, sync::Arc};

use super::button::button;
use crate::mock::{
    core::Core,
    deliveries::{delivery::DeliveryOutcome, event::rfc3339},
    html::Text,
    http::log::RecordedRequest,
};

/// Maximum number of rows in each table.
const ROWS: usize = 30;

pub(super) fn deliveries(core: &Arc<Core>) -> String {
    let all = core.outbox().all_deliveries();
    if all.count() == 0 {
        return String::new();
    }
    let mut table = opening(
        "Deliveries",
        &["Event", "Response", "Action", "Time", "Attempt", "URL"],
    );
    let latest: Vec<_> = all.iter().collect();
    for delivery in latest.into_iter().rev().take(ROWS) {
        let class = if delivery.outcome().is_success() {
            "good"
        } else {
            "bad"
        };
        let fields = [
            ("tenant", delivery.tenant()),
            ("delivery", delivery.event_id()),
        ];
        let _ = writeln!(
            table,
            "<tr><td>{}</td><td class=\"{class}\">{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td><code>{}</code></td></tr>",
            Text(delivery.event_type()),
            answer(delivery.outcome()),
            button("repeat", &fields, "Repeat"),
            Text(&rfc3339(delivery.at())),
            delivery.attempt(),
            Text(delivery.url()),
        );
    }
    table + "</tbody></table></div></section>\n"
}

fn answer(outcome: DeliveryOutcome) -> String {
    match outcome {
        DeliveryOutcome::Answered(status) => status.to_string(),
        DeliveryOutcome::NoConnection => "no connection".to_owned(),
        DeliveryOutcome::TimedOut => "timed out".to_owned(),
        DeliveryOutcome::Broken => "connection closed".to_owned(),
        DeliveryOutcome::Lost => "dropped by a fault".to_owned(),
    }
}

/// Renders the start of a section with a table. In a narrow window, a user can scroll the table
/// horizontally, also by keyboard.
fn opening(title: &str, columns: &[&str]) -> String {
    let mut table = format!(
        "<section><h2>{title}</h2>\n<div class=\"scroll\" role=\"region\" aria-label=\"{title}\" \
         tabindex=\"0\"><table><thead><tr>"
    );
    for column in columns {
        let _ = write!(table, "<th scope=\"col\">{column}</th>");
    }
    table + "</tr></thead><tbody>\n"
}

pub(super) fn requests(core: &Core) -> String {
    let all = core.log().all();
    let mut table = opening("Requests", &["Response", "Request", "Reason"]);
    for request in all.iter().rev().take(ROWS) {
        table += &row(request);
    }
    if all.is_empty() {
        table += "<tr><td colspan=\"3\" class=\"hint\">No requests yet.</td></tr>\n";
    }
    table + "</tbody></table></div></section>\n"
}

/// Renders one row for a request. The row omits the query, because a query may contain a code.
fn row(request: &RecordedRequest) -> String {
    let status = request.status();
    let class = match status {
        Some(status) if status < 400 => "good",
        _ => "bad",
    };
    let why = request.refusal().map(|why| format!("{}: {why}", why.error));
    format!(
        "<tr><td class=\"{class}\">{}</td><td><code>{} {}</code></td><td>{}</td></tr>\n",
        status.map_or_else(|| "none".to_owned(), |status| status.to_string()),
        Text(request.method()),
        Text(request.path()),
        Text(&why.unwrap_or_default()),
    )
}
