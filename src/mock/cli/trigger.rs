//! Making something happen at a mock that runs.

use std::io::{self, Write as _};

use serde_json::{Map, Value, json};
use tokio::runtime::Builder;

use super::{Event, NewPerson, Sentence, Trigger, Where};
use crate::mock::{
    remote::{RemoteAdmin, RemoteError, segment},
    start::words::StatusWord,
};

pub(super) fn trigger(trigger: &Trigger) -> Result<(), Sentence> {
    let (path, change) = plan(trigger)?;
    let is_person = path.starts_with("/persons/");
    let said: Value = at(&trigger.at, async |admin| {
        if path == "/sessions" {
            admin.delete(&path).await
        } else if is_person {
            admin.patch(&path, &change).await
        } else {
            admin.post(&path, &change).await
        }
    })?;
    say(&said);
    Ok(())
}

pub(super) fn person(person: NewPerson) -> Result<(), Sentence> {
    let mut facts = Map::new();
    facts.insert("slug".to_owned(), person.slug.into());
    for (name, value) in [
        ("tier", person.tier.map(|it| json!(it))),
        ("status", person.status.map(|it| json!(it))),
        ("aml_clear", person.aml_clear.map(Value::from)),
        ("email", person.email.map(Value::from)),
        ("name", person.name.map(Value::from)),
    ] {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    }
    let said: Value = at(&person.at, async |admin| {
        admin.post("/persons", &facts).await
    })?;
    say(&said);
    Ok(())
}

/// Which resource, and what is sent there.
fn plan(trigger: &Trigger) -> Result<(String, Value), Sentence> {
    let person = || {
        let person = trigger.person.as_deref();
        let person = person.ok_or("to whom does it happen? Say --person, such as --person ada")?;
        Ok::<_, Sentence>(format!("/persons/{}", segment(person)))
    };
    let by = || {
        let by = trigger.by.ok_or("how much time? Say --by, such as --by 1h");
        Ok::<_, Sentence>(by?)
    };
    let status = |status: StatusWord| {
        let change = match trigger.tier {
            Some(tier) => json!({ "status": status, "tier": tier }),
            None => json!({ "status": status }),
        };
        Ok((person()?, change))
    };
    let to = |path: &str| Ok((path.to_owned(), json!({})));
    match trigger.event {
        Event::PersonVerified => status(StatusWord::Verified),
        Event::PersonPending => status(StatusWord::Pending),
        Event::PersonRejected => status(StatusWord::Rejected),
        Event::PersonUnverified => status(StatusWord::Unverified),
        Event::PersonExpired => status(StatusWord::Expired),
        Event::PersonExpires => Ok((person()?, json!({ "expires_in_seconds": by()? }))),
        Event::PersonAmlFlagged => Ok((person()?, json!({ "aml_clear": false }))),
        Event::PersonAmlCleared => Ok((person()?, json!({ "aml_clear": true }))),
        Event::PersonAmlUnknown => Ok((person()?, json!({ "aml_clear": null }))),
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
    place: &Where,
    ask: impl AsyncFnOnce(RemoteAdmin) -> Result<T, RemoteError>,
) -> Result<T, Sentence> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let admin = RemoteAdmin::new(&place.url, None)?;
    Ok(runtime.block_on(ask(admin))?)
}

/// What stands now, to be read by a person or by `jq`.
fn say(said: &Value) {
    let text = serde_json::to_string_pretty(said).unwrap_or_default();
    // Whoever does not read it knows by the exit code.
    let _ = writeln!(io::stdout(), "{text}");
}
