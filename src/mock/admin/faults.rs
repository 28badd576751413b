//! Admin API routes for faults. A fault ends when it reaches its limit or when a client deletes it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    api_error::ApiError,
    fault_spec::{
        AtConnection, AtDelivery, AtEndpoint, ConnectionFault, EndpointFault, TokenFault,
        WebhookFault, WhichToken,
    },
    persons,
    route::{Empty, Route},
};
use crate::mock::{
    core::lock,
    deliveries::draft::LARGEST_BODY,
    faults::{Fault, Rule, on::On, on_accept::OnAccept, tokens::Tokens},
};

/// Faults that clients of the admin API installed. This list does not contain the faults that Rust
/// code installed.
#[derive(Default)]
pub(super) struct Faults(Mutex<Installed>);

#[derive(Default)]
struct Installed {
    next: u64,
    all: BTreeMap<u64, Fault>,
}

impl Faults {
    pub(super) fn clear(&self) {
        drop(std::mem::take(&mut lock(&self.0).all));
    }
}

/// Fault with its number of hits.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Fault")]
pub(in crate::mock) struct FaultView {
    pub(in crate::mock) id: u64,
    name: String,
    pub(in crate::mock) hits: u64,
    /// Number of remaining hits, or `null` if the fault has no limit.
    left: Option<u64>,
}

impl FaultView {
    fn of(id: u64, fault: &Fault) -> Self {
        Self {
            id,
            name: fault.name().to_owned(),
            hits: fault.hits(),
            left: fault.left(),
        }
    }
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/faults",
            "listFaults",
            "Lists the faults that the admin API installed, including those that reached their limit.",
            list,
        ),
        Route::new(
            Method::POST,
            "/faults",
            "setFault",
            "Installs a fault at an endpoint.",
            at_endpoint,
        )
        .created(),
        Route::new(
            Method::DELETE,
            "/faults",
            "deleteFaults",
            "Deletes all faults that the admin API installed.",
            clear,
        ),
        Route::new(
            Method::GET,
            "/faults/{fault}",
            "readFault",
            "Returns a fault and its number of hits.",
            read,
        ),
        Route::new(
            Method::DELETE,
            "/faults/{fault}",
            "deleteFault",
            "Deletes a fault.",
            delete,
        ),
        Route::new(
            Method::POST,
            "/faults/tokens",
            "setTokenFault",
            "Installs a fault of tokens.",
            at_token,
        )
        .created(),
        Route::new(
            Method::POST,
            "/faults/webhooks",
            "setWebhookFault",
            "Installs a fault of webhook deliveries.",
            at_delivery,
        )
        .created(),
        Route::new(
            Method::POST,
            "/faults/connections",
            "setConnectionFault",
            "Installs a fault of new connections, including those to the admin API.",
            at_connection,
        )
        .created(),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Empty) -> Result<Vec<FaultView>, ApiError> {
    let installed = lock(&admin.faults.0);
    let all = installed.all.iter();
    Ok(all.map(|(id, fault)| FaultView::of(*id, fault)).collect())
}

pub(super) fn read(admin: &Admin, id: &str, _: Empty) -> Result<FaultView, ApiError> {
    let installed = lock(&admin.faults.0);
    let known = id
        .parse()
        .ok()
        .and_then(|id| installed.all.get_key_value(&id));
    let (id, fault) = known.ok_or_else(|| ApiError::not_found("fault"))?;
    Ok(FaultView::of(*id, fault))
}

pub(super) fn delete(admin: &Admin, id: &str, _: Empty) -> Result<FaultView, ApiError> {
    let view = read(admin, id, Empty {})?;
    drop(lock(&admin.faults.0).all.remove(&view.id));
    Ok(view)
}

pub(super) fn clear(admin: &Admin, _: &str, _: Empty) -> Result<Empty, ApiError> {
    admin.faults.clear();
    Ok(Empty {})
}

pub(super) fn at_endpoint(
    admin: &Admin,
    _: &str,
    fault: EndpointFault,
) -> Result<FaultView, ApiError> {
    fault.fault.check()?;
    let mut on = On::new(Arc::clone(&admin.core), fault.endpoint);
    if fault.after {
        on = on.after();
    }
    let milliseconds = Duration::from_millis;
    let mut rule = match fault.fault {
        AtEndpoint::Status(status) => on.fail(status),
        AtEndpoint::Answer(it) => on.answer(it.status, &it.content_type, it.body),
        AtEndpoint::Redirect(to) => on.redirect(307, &to),
        AtEndpoint::Garbage => on.answer(200, "application/json", "{\"this is\": no JSON"),
        AtEndpoint::DelayMs(by) => on.delay(milliseconds(by)),
        AtEndpoint::Reset => on.reset(),
        AtEndpoint::DropConnection => on.drop_connection(),
        AtEndpoint::Truncate => on.truncate(),
        AtEndpoint::Hang => on.hang(),
        AtEndpoint::HangHeaders => on.hang_headers(),
        AtEndpoint::HangBody => on.hang_body(),
        AtEndpoint::DribbleMs(every) => on.dribble(milliseconds(every)),
        AtEndpoint::EndlessBody => on.endless_body(),
        AtEndpoint::Huge(bytes) => on.huge(bytes),
        AtEndpoint::GzipBomb(bytes) => on.gzip_bomb(bytes),
    };
    if let Some(seconds) = fault.retry_after {
        rule = rule.retry_after(seconds);
    }
    install(admin, rule, fault.times)
}

pub(super) fn at_connection(
    admin: &Admin,
    _: &str,
    fault: ConnectionFault,
) -> Result<FaultView, ApiError> {
    let on = OnAccept::new(Arc::clone(&admin.core));
    let rule = match fault.fault {
        AtConnection::Close => on.close(),
        AtConnection::Reset => on.reset(),
        AtConnection::Hang => on.hang(),
    };
    install(admin, rule, Some(fault.times))
}

pub(super) fn at_token(admin: &Admin, _: &str, fault: TokenFault) -> Result<FaultView, ApiError> {
    let person = fault.person.map(|hint| persons::find(&admin.core, &hint));
    let person = person.transpose()?;
    let tokens = Tokens::new(Arc::clone(&admin.core), person.as_ref());
    let rule = match fault.token {
        WhichToken::IdToken => tokens.id_token(fault.tamper.0),
        WhichToken::AccessToken => tokens.access_token(fault.tamper.0),
    };
    install(admin, rule, fault.times)
}

pub(super) fn at_delivery(
    admin: &Admin,
    _: &str,
    fault: WebhookFault,
) -> Result<FaultView, ApiError> {
    fault.fault.check()?;
    let hooks = admin.tenant(fault.tenant)?.webhooks();
    let seconds = Duration::from_secs;
    let rule = match fault.fault {
        AtDelivery::Tamper(tamper) => hooks.tamper(tamper.0),
        AtDelivery::Duplicate(times) => hooks.duplicate(times),
        AtDelivery::Flood(times) => hooks.flood(times),
        AtDelivery::Lose => hooks.lose(),
        AtDelivery::DelaySeconds(by) => hooks.delay(seconds(by)),
        AtDelivery::StaleSeconds(by) => hooks.stale(seconds(by)),
        AtDelivery::AheadSeconds(by) => hooks.ahead(seconds(by)),
        AtDelivery::OversizedBytes(bytes) => {
            hooks.oversized(usize::try_from(bytes).unwrap_or(LARGEST_BODY))
        }
        AtDelivery::DribbleMs(every) => hooks.dribble(Duration::from_millis(every)),
    };
    install(admin, rule, fault.times)
}

fn install(admin: &Admin, rule: Rule, times: Option<u64>) -> Result<FaultView, ApiError> {
    let mut installed = lock(&admin.faults.0);
    if installed.all.len() >= MAX_FAULTS {
        return Err(ApiError::conflict(format!(
            "the maximum of {MAX_FAULTS} faults is reached: delete some"
        )));
    }
    // Without `optional`, dropping a fault that affected no request would panic on the server
    // thread.
    let rule = rule.optional();
    let fault = match times {
        Some(times) => rule.times(times),
        None => rule.always(),
    };
    installed.next = installed.next.saturating_add(1);
    let id = installed.next;
    let view = FaultView::of(id, &fault);
    installed.all.insert(id, fault);
    Ok(view)
}

/// Maximum number of faults. The mock checks all faults for each request.
const MAX_FAULTS: usize = 1000;
