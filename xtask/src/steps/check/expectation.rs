//! What has to come back, held against what did.
//!
//! Pure functions of an answer; how it was got is not known here.

use std::collections::BTreeMap;

use serde_json::Value;

/// How much of a body people are shown.
const LINES: usize = 12;
/// How long a shown line is, in characters.
const WIDTH: usize = 200;

/// What has to come back.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The status.
    pub status: u16,
    /// JSON pointer to value.
    pub json: &'a BTreeMap<String, Value>,
    /// Text in the body.
    pub text: Option<&'a str>,
}

impl Expectation<'_> {
    /// Where an answer is not as expected, in words; empty when it is.
    pub fn mismatches(&self, status: u16, body: &[u8]) -> Vec<String> {
        let mut wrong = Vec::new();
        if status != self.status {
            wrong.push(format!("its status is {status}, expected {}", self.status));
        }
        if !self.json.is_empty() {
            match serde_json::from_slice::<Value>(body) {
                Ok(body) => wrong.extend(self.json.iter().filter_map(|(at, expected)| mismatch(&body, at, expected))),
                Err(error) => wrong.push(format!("its body is not JSON: {error}")),
            }
        }
        if let Some(text) = self.text.filter(|text| !String::from_utf8_lossy(body).contains(text)) {
            wrong.push(format!("its body does not contain `{text}`"));
        }
        wrong
    }

    /// What the body says where it is asked.
    pub fn said(&self, body: &[u8]) -> BTreeMap<String, Value> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        self.json.keys().filter_map(|at| Some((at.clone(), body.pointer(at)?.clone()))).collect()
    }
}

fn mismatch(body: &Value, at: &str, expected: &Value) -> Option<String> {
    match body.pointer(at) {
        None => Some(format!("its JSON has no {at}, expected {expected}")),
        Some(said) if !same(said, expected) => Some(format!("its JSON says {said} at {at}, expected {expected}")),
        Some(_) => None,
    }
}

/// Numbers are compared by value: 1 is 1.0, whichever way a language writes it.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        (one, other) => one == other,
    }
}

/// The beginning of a body, for people.
pub fn beginning(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let shown = |line: &str| match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    };
    let mut lines: Vec<String> = text.lines().take(LINES).map(shown).collect();
    if text.lines().nth(LINES).is_some() {
        lines.push("…".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{Expectation, beginning};

    #[test]
    fn an_answer_is_held_against_status_json_and_text() {
        let check = |json: Value, text: Option<&str>, status: u16, body: &str, expected: &[&str]| {
            let json: BTreeMap<String, Value> = serde_json::from_value(json).unwrap();
            let expectation = Expectation { status: 200, json: &json, text };
            assert_eq!(expectation.mismatches(status, body.as_bytes()), expected, "{status} {body}");
        };
        check(json!({}), None, 200, "", &[]);
        check(json!({}), None, 503, "", &["its status is 503, expected 200"]);
        check(json!({"/database": "ok"}), None, 200, r#"{"database": "ok", "at": 1}"#, &[]);
        check(
            json!({"/database": "ok"}),
            None,
            200,
            r#"{"database": "down"}"#,
            &[r#"its JSON says "down" at /database, expected "ok""#],
        );
        check(json!({"/a/0/b": 1}), None, 200, r#"{"a": [{"b": 1.0}]}"#, &[]);
        check(json!({"/a": {"b": [1]}}), None, 200, r#"{"a": {"b": [1.0]}}"#, &[]);
        check(json!({"/a": null}), None, 200, r#"{"a": null}"#, &[]);
        check(json!({"/a": null}), None, 200, "{}", &["its JSON has no /a, expected null"]);
        check(
            json!({"/a": 1}),
            Some("Todo"),
            404,
            "<html>",
            &[
                "its status is 404, expected 200",
                "its body is not JSON: expected value at line 1 column 1",
                "its body does not contain `Todo`",
            ],
        );
        check(json!({}), Some("Todo"), 200, "<h1>Todo Chatbot</h1>", &[]);
    }

    #[test]
    fn what_was_not_asked_about_is_no_part_of_the_answer() {
        let json = BTreeMap::from([("/database".to_owned(), json!("ok"))]);
        let expectation = Expectation { status: 200, json: &json, text: None };
        assert_eq!(
            expectation.said(br#"{"database": "ok", "uptime": 17}"#),
            expectation.said(br#"{"uptime": 18, "database": "ok"}"#)
        );
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let body = format!("{}\n{}", "é".repeat(300), "x\n".repeat(100));
        let lines = beginning(body.as_bytes());
        assert_eq!(lines.len(), 13);
        assert_eq!(lines.first().map(|line| line.chars().count()), Some(201));
        assert_eq!(beginning(b"short"), ["short"]);
    }
}
