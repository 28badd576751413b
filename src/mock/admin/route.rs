//! What is served where: one table, from which requests are answered and the document is written.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Admin, no::No};

/// One method at one path.
pub(super) struct Route {
    pub(super) method: Method,
    /// Below `/__mock`. At most one segment is an id, in braces.
    pub(super) path: &'static str,
    /// Its name in the document.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) about: &'static str,
    pub(super) status: StatusCode,
    pub(super) input: fn(&mut SchemaGenerator) -> Schema,
    pub(super) output: fn(&mut SchemaGenerator) -> Schema,
    pub(super) run: Run,
}

pub(super) enum Run {
    Now(Box<Handler>),
    /// One that waits for something.
    Later(fn(Arc<Admin>, Value) -> Waiting),
}

type Handler = dyn Fn(&Admin, &str, Value) -> Result<Value, No> + Send + Sync;

pub(super) type Waiting = Pin<Box<dyn Future<Output = Result<Value, No>> + Send>>;

/// A request that says nothing more, or an answer without a body.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Route {
    /// `run` is handed the id in the path, empty if there is none, and what was sent: the query of a
    /// GET or DELETE, the body of anything else.
    pub(super) fn new<I, O>(
        method: Method,
        path: &'static str,
        name: &'static str,
        about: &'static str,
        run: fn(&Admin, &str, I) -> Result<O, No>,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + JsonSchema + 'static,
    {
        let run = move |admin: &Admin, id: &str, input: Value| {
            let output = run(admin, id, read(input)?)?;
            Ok(serde_json::to_value(output).unwrap_or_default())
        };
        Self {
            method,
            path,
            name,
            about,
            status: StatusCode::OK,
            input: I::json_schema_ref,
            output: O::json_schema_ref,
            run: Run::Now(Box::new(run)),
        }
    }

    pub(super) fn later<I: JsonSchema, O: JsonSchema>(
        method: Method,
        path: &'static str,
        name: &'static str,
        about: &'static str,
        run: fn(Arc<Admin>, Value) -> Waiting,
    ) -> Self {
        Self {
            method,
            path,
            name,
            about,
            status: StatusCode::OK,
            input: I::json_schema_ref,
            output: O::json_schema_ref,
            run: Run::Later(run),
        }
    }

    pub(super) fn created(mut self) -> Self {
        self.status = StatusCode::CREATED;
        self
    }

    /// Whether what is sent is the query.
    pub(super) fn asks(&self) -> bool {
        matches!(self.method, Method::GET | Method::DELETE)
    }

    /// The id in `path`, if it is this route's; empty if it has none.
    pub(super) fn id_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((before, rest)) = self.path.split_once('{') else {
            return (self.path == path).then_some("");
        };
        let after = rest.split_once('}').map_or("", |(_, after)| after);
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    }
}

/// A schema by its name, so that the document says it once.
trait SchemaRef: JsonSchema {
    fn json_schema_ref(generator: &mut SchemaGenerator) -> Schema;
}

impl<T: JsonSchema> SchemaRef for T {
    fn json_schema_ref(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

pub(super) fn read<T: DeserializeOwned>(input: Value) -> Result<T, No> {
    serde_json::from_value(input).map_err(|error| No::invalid(error.to_string()))
}
