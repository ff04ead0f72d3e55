//! `[release.NAME]`: a helm release.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::image_use::ImageUse;
use super::inline::Inline;
use super::mention::{Target, Why};
use super::names::{Namespace, ReleaseName, StepName};
use super::paths::Shape;
use super::table::Table;
use super::text::{Flaw, Form, Text, serialize_as_text};
use super::value::Value;
use crate::step::{Kind, StepId};

/// A chart and what it is installed with.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Release {
    /// The folder of the chart.
    pub chart: PathBuf,
    /// The release's namespace; made when it is missing.
    #[schemars(with = "Form<Namespace>")]
    pub namespace: String,
    /// The release's name in helm; by default the step's.
    #[schemars(with = "Option<Form<ReleaseName>>", default)]
    pub name: String,
    /// Values files, later ones over earlier ones. Maps of secrets in them are left out.
    #[schemars(default)]
    pub values: Vec<PathBuf>,
    /// Values over those of the files; strings may have variables.
    #[schemars(default)]
    pub set: BTreeMap<String, Inline>,
    /// Values over all those where the deployment is one of its own beside another (`ci`): one replica, no fixed port.
    #[schemars(default)]
    pub isolated: BTreeMap<String, Inline>,
    /// Where the chart wants its images: value path to image. "backend.image" = "backend" sets `repository` and
    /// `tag` below that path; a table names other forms.
    #[schemars(default)]
    pub images: BTreeMap<String, ImageUse>,
    /// Secrets steps whose values the chart needs.
    #[schemars(with = "Vec<Form<StepName>>", default)]
    pub secrets: Vec<String>,
    /// How long pods may take to become ready: "5m" by default.
    #[schemars(with = "Option<Form<Duration>>", default)]
    pub timeout: Duration,
    /// Steps that have to be done before.
    #[schemars(with = "Vec<Form<StepId>>", default)]
    pub after: Vec<StepId>,
}

const TIMEOUT: Duration = Duration::from_secs(5 * 60);

impl Release {
    pub(crate) fn read(table: &Table<'_>) -> Option<Self> {
        let chart = table.required("chart", "\"helm/todo-chatbot\"", |value| value.existing(Shape::Chart));
        let namespace = table.required("namespace", "\"todo\"", |value| Some(value.text::<Namespace>()?.0));
        let name = table.optional("name", "\"todo\"", |value| Some(value.text::<ReleaseName>()?.0));
        let values =
            table.optional("values", "[\"values-local.yaml\"]", |value| value.set(|item| item.existing(Shape::File)));
        let set = table.optional("set", "{ replicaCount = 2 }", |value| value.map(Inline::read));
        let isolated = table.optional("isolated", "{ replicaCount = 1 }", |value| value.map(Inline::read));
        let images = table.optional("images", "{ \"backend.image\" = \"backend\" }", ImageUse::read_all);
        let secrets = table.optional("secrets", "[\"todo\"]", |value| value.set(read_secrets));
        let timeout = table.optional("timeout", "\"5m\"", Value::text::<Duration>);
        let after = table.optional("after", "[\"release:database\"]", Value::steps);
        table.needs_cluster();
        let step = table.reading.step().name;
        let name = match name {
            Some(name) => name,
            None if table.has("name") => return None,
            None => match ReleaseName::parse(&step) {
                Ok(name) => name.0,
                Err(flaw) => {
                    let problem = table.problem(format!("`{step}` is not a release's name")).label(flaw.label);
                    return table.reading.report(problem.help("give the release a shorter one: name = \"...\""));
                }
            },
        };
        Some(Self {
            chart: chart?,
            namespace: namespace?,
            name,
            values: values.unwrap_or_default(),
            set: set.unwrap_or_default(),
            isolated: isolated.unwrap_or_default(),
            images: images.unwrap_or_default(),
            secrets: secrets.unwrap_or_default(),
            timeout: timeout.unwrap_or(TIMEOUT),
            after: after.unwrap_or_default(),
        })
    }
}

fn read_secrets(item: Value<'_>) -> Option<String> {
    let name = item.step_of(Kind::Secrets)?;
    item.reading.mention(Target::Step(StepId::new(Kind::Secrets, name.as_str())), Why::Secrets, item.span());
    Some(name)
}

/// A path in a chart's values: `backend.image.tag`. A dot inside a key is written `\.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValuePath(String);

impl ValuePath {
    /// The keys from the outermost to the innermost.
    pub fn keys(&self) -> Vec<String> {
        split(&self.0)
    }

    /// The path of `key` below this one.
    pub(crate) fn below(&self, key: &str) -> Self {
        Self(format!("{}.{key}", self.0))
    }
}

fn split(text: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, keys.last_mut()) {
            ('\\', Some(key)) => key.extend(characters.next()),
            ('.', _) => keys.push(String::new()),
            (other, Some(key)) => key.push(other),
            (_, None) => {}
        }
    }
    keys
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serialize_as_text!(ValuePath);

impl Text for ValuePath {
    const WHAT: &'static str = "a value path";
    const PATTERN: &'static str = "^[^.\\[\\] ]+(\\.[^.\\[\\] ]+)*$";
    const EXAMPLE: &'static str = "backend.image";

    fn parse(text: &str) -> Result<Self, Flaw> {
        const HELP: &str = "write the keys with dots between them, for example \"backend.image\"";
        if let Some(at) = text.find(['[', ']']) {
            let flaw = Flaw::new("items of lists cannot be set by path").part(at..at + 1);
            return Err(flaw.help("only maps have paths: in the chart, move this value out of the list"));
        }
        if let Some(at) = text.find(char::is_whitespace) {
            return Err(Flaw::new("a space is not allowed here").part(at..at + 1).help(HELP));
        }
        if split(text).iter().any(String::is_empty) {
            return Err(Flaw::new("an empty key").help(HELP));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::ValuePath;
    use crate::config::text::Text;

    #[test]
    fn value_paths_are_keys_with_dots_between() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let keys = ValuePath::parse(text).ok().map(|path| path.keys());
            assert_eq!(keys, expected.map(|keys| keys.iter().map(ToString::to_string).collect()), "{text}");
        };
        check("image", Some(&["image"]));
        check("backend.image.tag", Some(&["backend", "image", "tag"]));
        check(r"annotations.example\.org/x", Some(&["annotations", "example.org/x"]));
        for wrong in ["", ".", "a.", ".a", "a..b", "a b", "a[0]"] {
            check(wrong, None);
        }
    }
}
