//! Corrects input that `serde` reads differently from the OpenAPI document.
//!
//! `serde` also reads a struct from an array of its members, so the body `[3600]` would advance the
//! clock. `serde` also rejects `3600.0`, but JSON Schema accepts `3600.0` as an integer.

use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use super::{api_error::ApiError, route::Route};

/// Rejects an array where the schema requires an object. Rewrites integers without a decimal point.
pub(super) fn check(route: &Route, input: &mut Value) -> Result<(), ApiError> {
    if !input.is_object() {
        return Err(ApiError::invalid("the body is not a JSON object"));
    }
    if !has(input, &|it| it.is_array() || it.is_f64()) {
        return Ok(());
    }
    let mut generator = SchemaGenerator::default();
    let schema = (route.input)(&mut generator).to_value();
    let all = generator.definitions();
    if let Some(path) = disallowed_array(&schema, input, all, "") {
        return Err(ApiError::invalid(format!("`{path}` must not be an array")));
    }
    write_integers(&schema, input, all);
    Ok(())
}

fn has(value: &Value, what: &dyn Fn(&Value) -> bool) -> bool {
    let below = match value {
        Value::Array(items) => items.iter().any(|it| has(it, what)),
        Value::Object(members) => members.values().any(|it| has(it, what)),
        _ => false,
    };
    below || what(value)
}

/// Returns the schema that a `$ref` points to.
fn resolved<'a>(schema: &'a Value, all: &'a Map<String, Value>) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next());
    name.and_then(|name| all.get(name)).unwrap_or(schema)
}

fn choices(schema: &Value) -> Option<&Vec<Value>> {
    schema["anyOf"].as_array().or(schema["oneOf"].as_array())
}

fn is_type(schema: &Value, name: &str) -> bool {
    let kind = &schema["type"];
    let kinds = kind.as_array();
    let kinds = kinds.map_or(std::slice::from_ref(kind), Vec::as_slice);
    kinds.iter().any(|kind| kind == name)
}

/// Changes a number such as `3600.0` to `3600` where the schema requires an integer.
fn write_integers(schema: &Value, value: &mut Value, all: &Map<String, Value>) {
    let schema = resolved(schema, all);
    for choice in choices(schema).into_iter().flatten() {
        write_integers(choice, value, all);
    }
    match value {
        Value::Number(number) if number.is_f64() && is_type(schema, "integer") => {
            let whole = number.as_f64().filter(|it| it.fract() == 0.0);
            // The format `{it:.0}` omits the decimal point and the exponent.
            if let Some(whole) = whole.and_then(|it| format!("{it:.0}").parse().ok()) {
                *number = whole;
            }
        }
        Value::Array(items) => {
            for item in items {
                write_integers(&schema["items"], item, all);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let schema = schema["properties"].get(name);
                write_integers(schema.unwrap_or(&Value::Null), member, all);
            }
        }
        _ => {}
    }
}

/// Returns the path of an array that the schema does not allow. The route's handler reports all
/// other errors.
fn disallowed_array(
    schema: &Value,
    value: &Value,
    all: &Map<String, Value>,
    path: &str,
) -> Option<String> {
    let schema = resolved(schema, all);
    if let Some(choices) = choices(schema) {
        let problems = choices
            .iter()
            .filter(|choice| is_choice(choice, value))
            .map(|choice| disallowed_array(choice, value, all, path));
        let problems: Vec<_> = problems.collect();
        if problems.is_empty() {
            // If no choice matches, the route's handler reports which choices exist.
            return None;
        }
        return problems.iter().all(Option::is_some).then(|| {
            let deepest = problems.into_iter().flatten().max_by_key(String::len);
            deepest.unwrap_or_else(|| path.to_owned())
        });
    }
    match value {
        Value::Array(items) => {
            if !schema["type"].is_null() && !is_type(schema, "array") {
                return Some(path.to_owned());
            }
            items
                .iter()
                .find_map(|item| disallowed_array(&schema["items"], item, all, path))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let schema = schema["properties"].get(name);
            disallowed_array(schema.unwrap_or(&Value::Null), member, all, &path)
        }),
        _ => None,
    }
}

/// Returns whether an object has the member that identifies this variant of an enum. An array
/// matches every choice.
fn is_choice(choice: &Value, value: &Value) -> bool {
    let required = choice["required"].as_array();
    let kind = choice["type"].as_str();
    if value.is_object() && kind.is_some_and(|kind| kind != "object") {
        return false;
    }
    match (value, required) {
        (Value::Object(members), Some(required)) => required
            .iter()
            .filter_map(Value::as_str)
            .all(|name| members.contains_key(name)),
        _ => true,
    }
}
