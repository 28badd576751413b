//! The commands `trigger` and `person`, which call the admin API of a running mock.

use std::io::{self, Write as _};

use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::{CliError, Event, NewPerson, Target, Trigger};
use crate::{
    mock::{
        http::segment,
        remote::{RemoteAdmin, RemoteError},
        start::{
            nullable::Nullable,
            person::{PersonChange, PersonSpec},
        },
    },
    wire::kyc::KycStatus,
};

pub(super) fn trigger(trigger: &Trigger) -> Result<(), CliError> {
    let (path, change) = request(trigger)?;
    let is_person = path.starts_with("/persons/");
    let state: Value = at(&trigger.at, async |admin| {
        if path == "/sessions" {
            admin.delete(&path).await
        } else if is_person {
            admin.patch(&path, &change).await
        } else {
            admin.post(&path, &change).await
        }
    })?;
    print(&state);
    Ok(())
}

pub(super) fn person(person: NewPerson) -> Result<(), CliError> {
    let spec = PersonSpec {
        slug: person.slug,
        name: person.name,
        email: person.email,
        status: person.status.map(Into::into),
        tier: person.tier.map(Into::into),
        aml_clear: person.aml_clear.map_or(Nullable::Absent, Nullable::Value),
        ..PersonSpec::default()
    };
    let state: Value = at(&person.at, async |admin| {
        admin.post("/persons", &spec).await
    })?;
    print(&state);
    Ok(())
}

/// Returns the path of the admin API and the body to send.
fn request(trigger: &Trigger) -> Result<(String, Value), CliError> {
    let person = || {
        let person = trigger.person.as_deref();
        let person = person.ok_or("this event requires --person, such as --person ada")?;
        Ok::<_, CliError>(format!("/persons/{}", segment::encode(person)))
    };
    let by = || {
        let by = trigger
            .by
            .ok_or("this event requires --by, such as --by 1h");
        Ok::<_, CliError>(by?)
    };
    let change = |change: PersonChange| Ok((person()?, json!(change)));
    let status = |status| {
        change(PersonChange {
            status: Some(status),
            tier: trigger.tier.map(Into::into),
            ..PersonChange::default()
        })
    };
    let aml_clear = |clear| {
        change(PersonChange {
            aml_clear: Nullable::of(clear),
            ..PersonChange::default()
        })
    };
    let to = |path: &str| Ok((path.to_owned(), json!({})));
    match trigger.event {
        Event::PersonVerified => status(KycStatus::Verified),
        Event::PersonPending => status(KycStatus::Pending),
        Event::PersonRejected => status(KycStatus::Rejected),
        Event::PersonUnverified => status(KycStatus::Unverified),
        Event::PersonExpired => status(KycStatus::Expired),
        Event::PersonExpires => change(PersonChange {
            expires_in_seconds: Some(by()?),
            ..PersonChange::default()
        }),
        Event::PersonAmlFlagged => aml_clear(Some(false)),
        Event::PersonAmlCleared => aml_clear(Some(true)),
        Event::PersonAmlUnknown => aml_clear(None),
        Event::KeysPublished => to("/keys/publish_next"),
        Event::KeysPromoted => to("/keys/promote"),
        Event::KeysRetired => to("/keys/retire_old"),
        Event::KeysRotated => to("/keys/rotate"),
        Event::ClockAdvanced => Ok(("/clock/advance".to_owned(), json!({ "seconds": by()? }))),
        Event::ClockFrozen => to("/clock/freeze"),
        Event::ClockResumed => to("/clock/resume"),
        Event::WebhookRepeated => {
            let which = json!({ "event_id": trigger.event_id });
            Ok(("/webhooks/repeat".to_owned(), which))
        }
        Event::WebhookSecretRotated => to("/webhooks/secret/rotate"),
        Event::SessionsEnded => to("/sessions"),
        Event::MockReset => to("/reset"),
    }
}

fn at<T>(
    target: &Target,
    call: impl AsyncFnOnce(RemoteAdmin) -> Result<T, RemoteError>,
) -> Result<T, CliError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let admin = RemoteAdmin::new(&target.url, None)?;
    Ok(runtime.block_on(call(admin))?)
}

/// Prints the new state as JSON.
fn print(state: &Value) {
    let text = serde_json::to_string_pretty(state).unwrap_or_default();
    // Ignore a write error. If the output is closed, the exit code still shows the result.
    let _ = writeln!(io::stdout(), "{text}");
}
