//! OpenAPI document of the admin API, generated from its routes.

use schemars::{Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::{Map, Value, json};

use super::{api_error::ApiError, route::Route};
use crate::mock::overview::ADMIN_PATH;

/// Generates the document in OpenAPI 3.1.
pub(super) fn document(routes: &[Route]) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .with_transform(bounded)
        .into_generator();
    let error = generator.subschema_for::<ApiError>().to_value();
    let mut paths = Map::new();
    for route in routes {
        let [input, output] = [route.input, route.output].map(|schema| {
            let mut schema = schema(&mut generator);
            bounded(&mut schema);
            schema.to_value()
        });
        let path = format!("{ADMIN_PATH}{}", route.path);
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            let name = route.method.as_str().to_ascii_lowercase();
            methods.insert(name, json!({ "input": input, "output": output }));
        }
    }
    let schemas = Value::Object(generator.take_definitions(true));
    for route in routes {
        let path = format!("{ADMIN_PATH}{}", route.path);
        let name = route.method.as_str().to_ascii_lowercase();
        let place = paths.get_mut(&path).and_then(|it| it.get_mut(&name));
        if let Some(place) = place {
            let schemes = place.take();
            *place = operation(route, &schemes, &schemas, &error);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "kycport-mock admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Controls a mock of KYCPort from any language. KYCPort itself has no such \
                            API. Programs on other machines must send the admin token as a bearer \
                            token. Requests from web pages of other origins are rejected.",
        },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn operation(route: &Route, schemes: &Value, schemas: &Value, error: &Value) -> Value {
    let content = |schema: &Value| json!({ "application/json": { "schema": schema } });
    let mut parameters = Vec::new();
    if let Some(id) = route.path.split(['{', '}']).nth(1) {
        let kind = json!({ "type": "string" });
        parameters.push(json!({ "name": id, "in": "path", "required": true, "schema": kind }));
    }
    let input = resolved(&schemes["input"], schemas);
    let members = input["properties"].as_object();
    if route.reads_query() {
        for (name, schema) in members.into_iter().flatten() {
            parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
        }
    }
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.about,
        "parameters": parameters,
        "responses": {
            route.status.as_str(): {
                "description": "Success.",
                "content": content(&schemes["output"]),
            },
            "default": { "description": "Error.", "content": content(error) },
        },
    });
    let takes_a_body = !route.reads_query() && members.is_some_and(|members| !members.is_empty());
    if let (true, Some(operation)) = (takes_a_body, operation.as_object_mut()) {
        let required = input["required"]
            .as_array()
            .is_some_and(|it| !it.is_empty());
        let body = json!({ "required": required, "content": content(&schemes["input"]) });
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

/// Adds the maximum of the integer type to each integer schema, because a `format` alone does not
/// set a maximum.
fn bounded(schema: &mut Schema) {
    let most = match schema.get("format").and_then(Value::as_str) {
        Some("uint16") => Some(u64::from(u16::MAX)),
        Some("uint32") => Some(u64::from(u32::MAX)),
        Some("uint" | "uint64") => Some(u64::MAX),
        _ => None,
    };
    if let Some(most) = most
        && schema.get("maximum").is_none()
    {
        schema.insert("maximum".to_owned(), json!(most));
    }
    transform_subschemas(&mut bounded, schema);
}

/// Returns the schema that a `$ref` points to.
fn resolved<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str();
    let name = name.and_then(|it| it.rsplit('/').next());
    name.map_or(schema, |name| &schemas[name])
}
