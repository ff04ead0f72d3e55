//! Strings with a form of their own (`10m`, `4GiB`, `todo-frontend:80`): read, shown and described in one place.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::nearest::{listed, nearest};
use crate::step::{Kind, StepId};

/// Something that the graph file writes as a string.
pub(crate) trait Text: Sized {
    /// What it is, in a sentence after "expected": `a duration`.
    const WHAT: &'static str;
    /// How it looks, as a regular expression of JSON Schema; editors check it while one types.
    const PATTERN: &'static str;
    /// One right value.
    const EXAMPLE: &'static str;

    /// Reads it, or says what is wrong with it.
    fn parse(text: &str) -> Result<Self, Flaw>;
}

/// What is wrong with a string.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// What is wrong, where that is more than "`...` is not ...".
    pub(crate) message: Option<String>,
    /// The words behind the caret.
    pub(crate) label: String,
    /// The part that is wrong, in bytes from the string's start; all of it if `None`.
    pub(crate) part: Option<Range<usize>>,
    /// What to write instead, where that is more than the example of the type.
    pub(crate) help: Option<String>,
}

impl Flaw {
    pub(crate) fn new(label: impl Into<String>) -> Self {
        Self { message: None, label: label.into(), part: None, help: None }
    }

    pub(crate) fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    pub(crate) fn part(mut self, part: Range<usize>) -> Self {
        self.part = Some(part);
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Text for StepId {
    const WHAT: &'static str = "a step";
    const PATTERN: &'static str =
        "^(cluster|(image|secrets|manifests|release|check|command):[a-z0-9]([-a-z0-9]*[a-z0-9])?)$";
    const EXAMPLE: &'static str = "image:backend";

    fn parse(text: &str) -> Result<Self, Flaw> {
        text.parse().map_err(|_| {
            let words = Kind::ALL.map(Kind::word);
            let (word, name) = text.split_once(':').unwrap_or((text, ""));
            if name.is_empty() {
                return Flaw::new("a kind and a name are needed")
                    .help("write KIND:NAME, for example \"image:backend\"");
            }
            let flaw = Flaw::new("no such kind of step").part(0..word.len());
            flaw.help(match nearest(word, words) {
                Some(right) => format!("did you mean \"{right}:{name}\"?"),
                None => format!("the kinds are {}", listed(words)),
            })
        })
    }
}

/// Stands for `T` in the JSON schema: a string of `T`'s pattern.
pub(crate) struct Form<T>(PhantomData<T>);

impl<T: Text> JsonSchema for Form<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::WHAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": T::PATTERN, "examples": [T::EXAMPLE] })
    }
}

/// Writes a [`Text`] type into the definition of its step the way it is displayed.
macro_rules! serialize_as_text {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}
pub(crate) use serialize_as_text;
