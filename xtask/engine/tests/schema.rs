//! The JSON schema that editors use says what the reader of graph files says.

#![expect(clippy::unwrap_used, reason = "what the tests read is theirs; a surprise there ends them")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use engine::config;
use serde_json::Value;

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema.json");
    let generated = config::json_schema();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == generated,
        "xtask/schema.json is not what the types of the graph file say, so editors would mislead people.\n\
         Write it anew and commit it: UPDATE_EXPECTED=1 cargo test -p engine --test schema"
    );
}

/// The keys that the reader knows in a table, asked through an unknown key, whose help lists them.
fn keys_of_reader(before: &str, after: &str) -> BTreeSet<String> {
    let text = format!("{before}qqqqqqqqqqqqqqqqqqqqqqqq = 1{after}");
    let problems = config::parse(&text, Path::new("xtask.toml")).unwrap_err();
    let problem = problems.iter().find(|problem| problem.message().starts_with("unknown key")).unwrap();
    let list = problem.helps()[0].strip_prefix("the keys here are ").unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys that the schema has below `pointer`, in any of its alternatives; all of them closed.
fn keys_of_schema(pointer: &str) -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(&config::json_schema()).unwrap();
    let place = schema.pointer(pointer).unwrap();
    let alternatives = place.get("anyOf").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![place.clone()]);
    let tables = alternatives.iter().filter(|alternative| alternative["type"] == "object");
    let keys = tables.flat_map(|table| {
        assert_eq!(table["additionalProperties"], false, "{pointer} takes unknown keys");
        table["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    });
    keys.collect()
}

#[test]
fn the_schema_and_the_reader_know_the_same_keys() {
    let check = |before: &str, after: &str, pointer: &str| {
        assert_eq!(keys_of_reader(before, after), keys_of_schema(pointer), "{pointer}");
    };
    check("", "", "");
    check("[cluster]\n", "", "/definitions/Cluster");
    check("[ci]\n", "", "/definitions/Ci");
    check("[image.a]\n", "", "/definitions/Image");
    check("[image.a]\nbuild-secrets = { a = { ", " } }", "/definitions/SecretSource");
    check("[secrets.a]\n", "", "/definitions/Secrets");
    check("[release.a]\n", "", "/definitions/Release");
    check("[release.a]\nimages = { a = { ", " } }", "/definitions/ImageUse");
    check("[manifests.a]\n", "", "/definitions/Manifests");
    check("[check.a]\n", "", "/definitions/Check");
    check("[command.a]\n", "", "/definitions/Command");
}

#[test]
fn the_schema_and_the_reader_require_the_same_keys() {
    let schema: Value = serde_json::from_str(&config::json_schema()).unwrap();
    let check = |kind: &str, definition: &str| {
        let text = format!("[{kind}.a]\n");
        let problems = config::parse(&text, Path::new("xtask.toml")).err().unwrap_or_default();
        let missing = problems.iter().filter_map(|problem| problem.message().split_once(" has no `"));
        let missing: BTreeSet<_> = missing.map(|(_, key)| key.trim_end_matches('`').to_owned()).collect();
        let required = schema["definitions"][definition]["required"].as_array().cloned().unwrap_or_default();
        let required: BTreeSet<_> = required.iter().map(|key| key.as_str().unwrap().to_owned()).collect();
        assert_eq!(missing, required, "{definition}");
    };
    check("image", "Image");
    check("secrets", "Secrets");
    check("release", "Release");
    check("manifests", "Manifests");
    check("check", "Check");
    check("command", "Command");
}
