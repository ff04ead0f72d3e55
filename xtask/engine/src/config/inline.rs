//! Values for a chart that stand in the graph file itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use toml::de::DeValue;

use super::template::{Reference, Template};
use super::value::Value;

/// A value, the strings in it with variables.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Inline {
    /// A string.
    Text(Template),
    /// A whole number, a number with a point, true or false.
    Plain(serde_json::Value),
    /// A list.
    List(Vec<Self>),
    /// A map.
    Map(BTreeMap<String, Self>),
}

impl Inline {
    /// The value with all variables inserted; the first that `lookup` does not know is the error.
    pub fn expand(&self, lookup: &dyn Fn(&Reference) -> Option<String>) -> Result<serde_json::Value, Reference> {
        Ok(match self {
            Self::Text(template) => serde_json::Value::String(template.expand(lookup)?),
            Self::Plain(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.expand(lookup)).collect::<Result<_, _>>()?,
            Self::Map(entries) => {
                let expanded = entries.iter().map(|(key, value)| Ok((key.clone(), value.expand(lookup)?)));
                serde_json::Value::Object(expanded.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Puts what `lookup` gives in the place of the variables that it knows.
    pub(crate) fn bind(&mut self, lookup: &dyn Fn(&Reference) -> Option<String>) {
        match self {
            Self::Text(template) => template.bind(lookup),
            Self::Plain(_) => {}
            Self::List(items) => items.iter_mut().for_each(|item| item.bind(lookup)),
            Self::Map(entries) => entries.values_mut().for_each(|value| value.bind(lookup)),
        }
    }

    pub(crate) fn read(value: Value<'_>) -> Option<Self> {
        match value.raw() {
            DeValue::String(_) => Some(Self::Text(value.template(refuse_secrets)?)),
            DeValue::Array(_) => Some(Self::List(value.list(Self::read)?)),
            DeValue::Table(_) => Some(Self::Map(value.map(Self::read)?)),
            _ => Some(Self::Plain(value.json()?)),
        }
    }
}

/// What helm is given stays in the release's history.
fn refuse_secrets(reference: &Reference) -> Option<(&'static str, String)> {
    match reference {
        Reference::Secret { step, .. } => Some((
            "would stay in helm's history",
            format!("give the release the whole step, secrets = [\"{step}\"], and let the chart read the Secret"),
        )),
        _ => None,
    }
}

impl JsonSchema for Inline {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Inline".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

impl Value<'_> {
    /// The value as JSON. Dates are refused, because JSON and YAML have no agreement on them.
    pub(crate) fn json(self) -> Option<serde_json::Value> {
        match self.raw() {
            DeValue::String(text) => Some(serde_json::Value::String(text.to_string())),
            DeValue::Boolean(value) => Some(serde_json::Value::Bool(*value)),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => Some(number.into()),
                Err(_) => self.reading.report(self.problem("a number too large").label("does not fit into 64 bits")),
            },
            DeValue::Float(digits) => {
                let number = digits.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                match number {
                    Some(number) => Some(serde_json::Value::Number(number)),
                    None => {
                        self.reading.report(self.problem("not a number that JSON has").label("JSON has no such number"))
                    }
                }
            }
            DeValue::Datetime(_) => {
                let problem = self.problem("a date has no form of its own in JSON").label("a date");
                self.reading.report(problem.help("put it in quotes"))
            }
            DeValue::Array(_) => Some(serde_json::Value::Array(self.list(Self::json)?)),
            DeValue::Table(_) => Some(serde_json::Value::Object(self.map(Self::json)?.into_iter().collect())),
        }
    }
}
