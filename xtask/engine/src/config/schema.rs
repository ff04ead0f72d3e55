//! The JSON schema of the graph file, for editors: made from the very types that a file is read into.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::GraphFile;

/// The schema as pretty JSON with a newline at the end. Draft 7, the newest that TOML editors understand.
pub fn json_schema() -> String {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<GraphFile>();
    schema.insert("title".to_owned(), "xtask.toml".into());
    let mut schema = schema.to_value();
    without_rust(&mut schema);
    format!("{schema:#}\n")
}

/// Takes out what the types say as Rust and a TOML file cannot: null, the empty values that stand for a default which
/// is only known at run time, the line breaks of doc comments.
fn without_rust(schema: &mut Value) {
    if let Value::Object(object) = schema {
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(alternatives)) = object.get_mut("anyOf") {
            alternatives.retain(|alternative| alternative["type"] != "null");
            if let [_] = alternatives.as_slice() {
                // Draft 7 ignores what stands beside a reference, so it is wrapped.
                let only = object.remove("anyOf").unwrap_or_default();
                object.insert("allOf".to_owned(), only);
            }
        }
        let is_choice = |default: &Value| match default {
            Value::String(text) => !text.is_empty(),
            default => default.is_number() || default.is_boolean(),
        };
        object.retain(|key, value| key != "default" || is_choice(value));
        if let Some(Value::String(description)) = object.get_mut("description") {
            *description = description.replace('\n', " ");
        }
    }
    match schema {
        Value::Object(object) => object.values_mut().for_each(without_rust),
        Value::Array(items) => items.iter_mut().for_each(without_rust),
        _ => {}
    }
}
