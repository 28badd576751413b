//! Whether JSON has arrays only where the document says so.
//!
//! `serde` reads a struct from an array of its members too, so that `[3600]` would advance the
//! clock.

use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use super::{no::No, route::Route};

/// Rejects an array in place of an object.
pub(super) fn check(route: &Route, input: &Value) -> Result<(), No> {
    if !input.is_object() {
        return Err(No::invalid("the body is no JSON object"));
    }
    if !has_array(input) {
        return Ok(());
    }
    let mut generator = SchemaGenerator::default();
    let schema = (route.input)(&mut generator).to_value();
    match misplaced(&schema, input, generator.definitions(), "") {
        Some(path) => Err(No::invalid(format!("`{path}` is an array"))),
        None => Ok(()),
    }
}

fn has_array(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(members) => members.values().any(has_array),
        _ => false,
    }
}

/// The path of an array that the schema does not allow. What else is wrong, the handler says.
fn misplaced(
    schema: &Value,
    value: &Value,
    all: &Map<String, Value>,
    path: &str,
) -> Option<String> {
    let name = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next());
    let schema = name.and_then(|name| all.get(name)).unwrap_or(schema);
    let choices = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    if let Some(choices) = choices {
        let flaws = choices
            .iter()
            .filter(|choice| is_choice(choice, value))
            .map(|choice| misplaced(choice, value, all, path));
        let flaws: Vec<_> = flaws.collect();
        if flaws.is_empty() {
            // None of the choices: the handler says which there are.
            return None;
        }
        return flaws.iter().all(Option::is_some).then(|| {
            let deepest = flaws.into_iter().flatten().max_by_key(String::len);
            deepest.unwrap_or_else(|| path.to_owned())
        });
    }
    match value {
        Value::Array(items) => {
            let kind = &schema["type"];
            let kinds = kind
                .as_array()
                .map_or(std::slice::from_ref(kind), Vec::as_slice);
            if !kind.is_null() && !kinds.iter().any(|kind| kind == "array") {
                return Some(path.to_owned());
            }
            items
                .iter()
                .find_map(|item| misplaced(&schema["items"], item, all, path))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let schema = schema["properties"].get(name);
            misplaced(schema.unwrap_or(&Value::Null), member, all, &path)
        }),
        _ => None,
    }
}

/// Whether an object has the one member that this choice of an enum is known by. For an array, each
/// choice is one to compare with.
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
