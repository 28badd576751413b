//! Type of a route. The admin API uses its routes to dispatch requests and to generate the OpenAPI
//! document.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Admin, api_error::ApiError};
use crate::mock::http::segment;

/// Method and path, with a handler.
pub(super) struct Route {
    pub(super) method: Method,
    /// Path below `/__mock`. At most one segment is an ID, which is written in braces.
    pub(super) path: &'static str,
    /// `operationId` in the OpenAPI document.
    pub(super) name: &'static str,
    /// Summary in the OpenAPI document.
    pub(super) about: &'static str,
    pub(super) status: StatusCode,
    pub(super) input: fn(&mut SchemaGenerator) -> Schema,
    pub(super) output: fn(&mut SchemaGenerator) -> Schema,
    pub(super) run: Run,
}

pub(super) enum Run {
    Sync(Box<Handler>),
    /// Async handler.
    Async(fn(Arc<Admin>, Value) -> ResponseFuture),
}

type Handler = dyn Fn(&Admin, &str, Value) -> Result<Value, ApiError> + Send + Sync;

pub(super) type ResponseFuture = Pin<Box<dyn Future<Output = Result<Value, ApiError>> + Send>>;

/// Input without parameters, or response with an empty object.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

impl Route {
    /// Creates a route. `run` receives the ID from the path and the input. The ID is empty if the
    /// path has no ID. For GET and DELETE, the input is the query. For any other method, the input
    /// is the body.
    pub(super) fn new<I, O>(
        method: Method,
        path: &'static str,
        name: &'static str,
        about: &'static str,
        run: fn(&Admin, &str, I) -> Result<O, ApiError>,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + JsonSchema + 'static,
    {
        let run = move |admin: &Admin, id: &str, input: Value| {
            let output = run(admin, id, read(input)?)?;
            Ok(serde_json::to_value(output).unwrap_or_default())
        };
        Self::with_run::<I, O>(method, path, name, about, Run::Sync(Box::new(run)))
    }

    pub(super) fn with_run<I: JsonSchema, O: JsonSchema>(
        method: Method,
        path: &'static str,
        name: &'static str,
        about: &'static str,
        run: Run,
    ) -> Self {
        Self {
            method,
            path,
            name,
            about,
            status: StatusCode::OK,
            input: I::json_schema_ref,
            output: O::json_schema_ref,
            run,
        }
    }

    pub(super) fn created(mut self) -> Self {
        self.status = StatusCode::CREATED;
        self
    }

    /// Returns whether the query is the input of this route.
    pub(super) fn reads_query(&self) -> bool {
        matches!(self.method, Method::GET | Method::DELETE)
    }

    /// Returns the ID in `path` if the path matches this route, or an empty text if the route has
    /// no ID.
    pub(super) fn id_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        segment::matched(self.path, path)
    }
}

/// Returns a reference to the schema. The document therefore defines each schema only once.
trait SchemaRef: JsonSchema {
    fn json_schema_ref(generator: &mut SchemaGenerator) -> Schema;
}

impl<T: JsonSchema> SchemaRef for T {
    fn json_schema_ref(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

pub(super) fn read<T: DeserializeOwned>(input: Value) -> Result<T, ApiError> {
    serde_json::from_value(input).map_err(|error| ApiError::invalid(error.to_string()))
}
