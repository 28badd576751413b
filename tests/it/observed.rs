//! Recorder of this crate's log events, spans and metrics on the current thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    EnvFilter,
    layer::{Context, Layer, SubscriberExt as _},
    registry::LookupSpan,
};

use crate::leaks::keep_callsites_enabled;

/// Log event, or a span that has closed.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) name: &'static str,
    pub(crate) level: String,
    pub(crate) target: &'static str,
    pub(crate) fields: BTreeSet<&'static str>,
    pub(crate) values: BTreeMap<&'static str, String>,
    /// Correlation ID of the enclosing spans.
    pub(crate) around: Option<String>,
}

impl Recorded {
    pub(crate) fn value(&self, field: &str) -> &str {
        self.values.get(field).map_or("", String::as_str)
    }

    fn new(metadata: &'static Metadata<'static>) -> Self {
        let fields = metadata.fields().iter().map(|field| field.name());
        Self {
            name: metadata.name(),
            level: metadata.level().to_string().to_lowercase(),
            target: metadata.target(),
            fields: fields.filter(|name| *name != "message").collect(),
            values: BTreeMap::new(),
            around: None,
        }
    }
}

#[derive(Default)]
struct Inner {
    events: Vec<Recorded>,
    spans: Vec<Recorded>,
}

/// Recorder of the current thread. The recorder is active until the test drops its guard.
#[derive(Clone, Default)]
pub(crate) struct Observed(Arc<Mutex<Inner>>);

impl Observed {
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        keep_callsites_enabled();
        let own = Self::default();
        let subscriber = tracing_subscriber::registry().with(own.clone());
        (own, tracing::subscriber::set_default(subscriber))
    }

    /// Starts a recorder with a subscriber filter.
    pub(crate) fn listen_to(filter: &str) -> (Self, DefaultGuard) {
        keep_callsites_enabled();
        let own = Self::default();
        let subscriber = tracing_subscriber::registry()
            .with(EnvFilter::new(filter))
            .with(own.clone());
        (own, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn events(&self) -> Vec<Recorded> {
        self.with(|inner| inner.events.clone())
    }

    pub(crate) fn spans(&self) -> Vec<Recorded> {
        self.with(|inner| inner.spans.clone())
    }

    pub(crate) fn of(&self, name: &str) -> Vec<Recorded> {
        let all = self.events().into_iter().chain(self.spans());
        all.filter(|entry| entry.name == name).collect()
    }

    fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns false for the events of the mock, because the tests ignore these events.
fn is_recorded(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target.starts_with("kycport")
        && !target.starts_with("kycport::mock")
        && !target.starts_with("kycport::testing")
}

impl<S> Layer<S> for Observed
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut entry = Recorded::new(attributes.metadata());
        attributes.record(&mut Values(&mut entry.values));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(entry);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(entry) = span.extensions_mut().get_mut::<Recorded>()
        {
            record.record(&mut Values(&mut entry.values));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id)
            && is_recorded(span.metadata())
            && let Some(entry) = span.extensions().get::<Recorded>()
        {
            self.with(|inner| inner.spans.push(entry.clone()));
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        if !is_recorded(event.metadata()) {
            return;
        }
        let mut entry = Recorded::new(event.metadata());
        event.record(&mut Values(&mut entry.values));
        let mut scope = context.event_scope(event).into_iter().flatten();
        entry.around = scope.find_map(|span| {
            let extensions = span.extensions();
            let reference = extensions.get::<Recorded>()?.values.get("reference")?;
            Some(reference.clone())
        });
        self.with(|inner| inner.events.push(entry));
    }
}

struct Values<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Values<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
