//! `[secrets.NAME]`: secret values from a git-ignored file, and the Secret that they become.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::names::{SecretKey, SecretName};
use super::paths::Shape;
use super::release::ValuePath;
use super::table::Table;
use super::text::{Flaw, Form, Text, serialize_as_text};
use super::value::Value;
use crate::step::StepId;

/// How the values reach the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum As {
    /// As a Secret of our own, which helm never sees.
    Object,
    /// As helm values on its standard input, for charts that insist; helm's history keeps them.
    Values,
}

/// Secret values, and what they become. One Secret in each namespace of the releases that use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Secrets {
    /// The YAML file with the values; git-ignored, made from its example on the first run.
    pub from: PathBuf,
    /// The path of the map inside that file: "secrets"; by default the whole file is the map.
    #[schemars(with = "Option<Form<ValuePath>>")]
    pub key: Option<ValuePath>,
    /// The file that `from` is made from; by default its name with `.example` behind it.
    #[schemars(with = "Option<PathBuf>", default)]
    pub example: PathBuf,
    /// Keys to fill with random values where they are empty: "hex:32", "base64:24", "alphanumeric:20", "uuid".
    #[schemars(with = "BTreeMap<String, Form<Generator>>", default)]
    pub generate: BTreeMap<String, Generator>,
    /// Keys that may not be empty.
    #[schemars(with = "Vec<Form<SecretKey>>", default)]
    pub require: Vec<String>,
    /// The Secret's name; by default the step's.
    #[schemars(with = "Option<Form<SecretName>>", default)]
    pub object: String,
    /// `object` (the default) for a Secret of our own, `values` for charts that insist on values.
    #[serde(rename = "as")]
    #[schemars(default = "default_as")]
    pub r#as: As,
    /// Steps that have to be done before.
    #[schemars(with = "Vec<Form<StepId>>", default)]
    pub after: Vec<StepId>,
}

const fn default_as() -> As {
    As::Object
}

impl Secrets {
    pub(crate) fn read(table: &Table<'_>) -> Option<Self> {
        let from = table.required("from", "\"helm/todo-chatbot/values-local.yaml\"", Value::path);
        let key = table.optional("key", "\"secrets\"", Value::text::<ValuePath>);
        let example = table.optional("example", "\"values-local.yaml.example\"", |value| value.existing(Shape::File));
        let generate = table.optional("generate", "{ SESSION_KEY = \"hex:32\" }", |value| {
            value.map(|entry| {
                entry.key_text::<SecretKey>()?;
                entry.text::<Generator>()
            })
        });
        let require =
            table.optional("require", "[\"API_KEY\"]", |value| value.set(|item| Some(item.text::<SecretKey>()?.0)));
        let object = table.optional("object", "\"todo-secrets\"", |value| Some(value.text::<SecretName>()?.0));
        let choices = [("object", As::Object), ("values", As::Values)];
        let r#as = table.optional("as", "\"values\"", |value| value.choice(&choices)).unwrap_or(As::Object);
        let after = table.optional("after", "[\"command:codegen\"]", Value::steps);
        if r#as == As::Values {
            let help = "remove this line, or remove as = \"values\"";
            table.refuse("object", "`object` names a Secret that is not made", "as = \"values\" makes none", help);
        }
        // Also where no Secret is made: generated values that belong to kept data are found there.
        table.needs_cluster();
        let from = from?;
        let example = match example {
            Some(path) => path,
            None if table.has("example") => return None,
            None => PathBuf::from(format!("{}.example", from.display())),
        };
        // An example that is named has to be there, and says so itself.
        if let Some(value) = table.value_of("from").filter(|_| !table.has("example")) {
            value.expect(&from, Shape::File, Some(example.clone()));
        }
        Some(Self {
            from,
            key,
            example,
            generate: generate.unwrap_or_default(),
            require: require.unwrap_or_default(),
            object: object.unwrap_or_else(|| table.reading.step().name),
            r#as,
            after: after.unwrap_or_default(),
        })
    }
}

/// How a secret value is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// So many random bytes as two hexadecimal digits each.
    Hex(u16),
    /// So many random bytes as base64 with padding.
    Base64(u16),
    /// So many random letters and digits.
    Alphanumeric(u16),
    /// A random UUID (version 4).
    Uuid,
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex(bytes) => write!(f, "hex:{bytes}"),
            Self::Base64(bytes) => write!(f, "base64:{bytes}"),
            Self::Alphanumeric(characters) => write!(f, "alphanumeric:{characters}"),
            Self::Uuid => f.write_str("uuid"),
        }
    }
}

serialize_as_text!(Generator);

impl Text for Generator {
    const WHAT: &'static str = "a way to make up a secret";
    const PATTERN: &'static str = "^((hex|base64|alphanumeric):[0-9]+|uuid)$";
    const EXAMPLE: &'static str = "hex:32";

    fn parse(text: &str) -> Result<Self, Flaw> {
        const HELP: &str =
            "write \"hex:32\" or \"base64:32\" (random bytes), \"alphanumeric:20\" (characters) or \"uuid\"";
        if text == "uuid" {
            return Ok(Self::Uuid);
        }
        let (kind, length) = text.split_once(':').unwrap_or((text, ""));
        let length_part = (kind.len() + 1).min(text.len())..text.len();
        let make: fn(u16) -> Self = match kind {
            "hex" => Self::Hex,
            "base64" => Self::Base64,
            "alphanumeric" => Self::Alphanumeric,
            _ => return Err(Flaw::new("no such generator").part(0..kind.len()).help(HELP)),
        };
        match length.parse::<u16>() {
            Ok(length @ 8..=1024) => Ok(make(length)),
            Ok(0..8) => {
                Err(Flaw::new("too short to stay a secret").part(length_part).help("8 is the least, 32 is usual"))
            }
            Ok(_) => {
                Err(Flaw::new("longer than anything needs").part(length_part).help("1024 is the most, 32 is usual"))
            }
            Err(_) if length.is_empty() => Err(Flaw::new("the length is missing").help(HELP)),
            Err(_) => Err(Flaw::new("not a length").part(length_part).help(HELP)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Generator;
    use crate::config::text::Text;

    #[test]
    fn generators_have_a_kind_and_a_length() {
        for right in ["hex:32", "base64:16", "alphanumeric:20", "uuid", "hex:8"] {
            assert_eq!(Generator::parse(right).map(|generator| generator.to_string()), Ok(right.to_owned()));
        }
        for wrong in ["", "hex", "hex:", "hex:x", "hex:7", "hex:1025", "hex:99999", "HEX:32", "md5:32", "uuid:4"] {
            assert!(Generator::parse(wrong).is_err(), "{wrong}");
        }
    }
}
