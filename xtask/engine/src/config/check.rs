//! `[check.NAME]`: a request that the deployed application has to answer as expected.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::mention::{Target, Why};
use super::names::{HeaderName, Namespace, StepName};
use super::ports::ServicePort;
use super::table::Table;
use super::template::Template;
use super::text::{Flaw, Form, Text};
use super::value::Value;
use crate::step::{Kind, StepId};

/// A GET request through a port-forward, and what has to come back.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Check {
    /// The Service and its port: "todo-frontend:80".
    #[schemars(with = "Form<ServicePort>")]
    pub service: ServicePort,
    /// The release that the Service belongs to; needed when there are several.
    #[schemars(with = "Option<Form<StepName>>")]
    pub release: Option<String>,
    /// The Service's namespace; by default the release's.
    #[schemars(with = "Option<Form<Namespace>>", default)]
    pub namespace: String,
    /// The path to ask for: "/api/health".
    #[schemars(with = "Form<UrlPath>")]
    pub get: String,
    /// The status that has to come back: 200 by default.
    #[schemars(range(min = 100, max = 599), default = "default_status")]
    pub status: u16,
    /// What the JSON that comes back has to say: JSON pointer to value, { "/database" = "ok" }.
    #[schemars(default)]
    pub json: BTreeMap<String, serde_json::Value>,
    /// Text that has to be in what comes back.
    pub text: Option<String>,
    /// Headers to send; their values may have variables, secrets too.
    #[schemars(with = "BTreeMap<String, Form<Template>>", default)]
    pub headers: BTreeMap<String, Template>,
    /// How long a passed check holds: "10m" by default. The world behind it can change unseen.
    #[schemars(with = "Option<Form<Duration>>", default)]
    pub fresh_for: Duration,
    /// How long to go on asking: "1m" by default.
    #[schemars(with = "Option<Form<Duration>>", default)]
    pub timeout: Duration,
    /// Steps that have to be done before.
    #[schemars(with = "Vec<Form<StepId>>", default)]
    pub after: Vec<StepId>,
}

const fn default_status() -> u16 {
    200
}

const FRESH_FOR: Duration = Duration::from_secs(10 * 60);
const TIMEOUT: Duration = Duration::from_secs(60);

/// A step that puts Services into a namespace; the namespace is `None` where the file has it wrong.
pub(crate) struct Deployment {
    pub(crate) step: StepId,
    pub(crate) namespace: Option<String>,
}

impl Check {
    pub(crate) fn read(table: &Table<'_>, deployments: &[Deployment]) -> Option<Self> {
        let service = table.required("service", "\"todo-frontend:80\"", Value::text::<ServicePort>);
        let release = table.optional("release", "\"todo\"", |value| value.step_of(Kind::Release));
        let namespace = table.optional("namespace", "\"todo\"", |value| Some(value.text::<Namespace>()?.0));
        let get = table.required("get", "\"/\"", |value| Some(value.text::<UrlPath>()?.0));
        let status = table.optional("status", "200", |value| u16::try_from(value.integer(100..=599)?).ok());
        let json = table.optional("json", "{ \"/status\" = \"ok\" }", |value| {
            value.map(|entry| {
                entry.key_text::<JsonPointer>()?;
                entry.json()
            })
        });
        let text = table.optional("text", "\"Welcome\"", Value::words);
        let headers = table.optional("headers", "{ Accept = \"application/json\" }", |value| {
            value.map(|entry| {
                entry.key_text::<HeaderName>()?;
                entry.template(|_| None)
            })
        });
        let fresh_for = table.optional("fresh-for", "\"10m\"", Value::text::<Duration>);
        let timeout = table.optional("timeout", "\"1m\"", Value::text::<Duration>);
        let after = table.optional("after", "[\"command:seed\"]", Value::steps);
        table.needs_cluster();
        let service = service?;
        let (release, namespace) = if table.has("release") && release.is_none() {
            (None, None)
        } else {
            place(table, &service, release, namespace, deployments)
        };
        Some(Self {
            service,
            release,
            namespace: namespace?,
            get: get?,
            status: status.unwrap_or_else(default_status),
            json: json.unwrap_or_default(),
            text,
            headers: headers.unwrap_or_default(),
            fresh_for: fresh_for.unwrap_or(FRESH_FOR),
            timeout: timeout.unwrap_or(TIMEOUT),
            after: after.unwrap_or_default(),
        })
    }
}

/// Where the Service is, and which steps put it there: the named release; else whatever is deployed into the named
/// namespace; else the only thing that is deployed at all.
fn place(
    table: &Table<'_>,
    service: &ServicePort,
    release: Option<String>,
    namespace: Option<String>,
    deployments: &[Deployment],
) -> (Option<String>, Option<String>) {
    let why = || Why::Service(service.to_string());
    let span = |key: &str| table.span_of(key).or_else(|| table.span_of("service")).unwrap_or_default();
    let mention = |step: &StepId, key: &str| table.reading.mention(Target::Step(step.clone()), why(), span(key));
    if let Some(release) = release {
        let step = StepId::new(Kind::Release, release.as_str());
        mention(&step, "release");
        let found = deployments.iter().find(|deployment| deployment.step == step);
        return (Some(release), namespace.or_else(|| found.and_then(|found| found.namespace.clone())));
    }
    if namespace.is_some() {
        let there: Vec<_> = deployments.iter().filter(|deployment| deployment.namespace == namespace).collect();
        there.iter().for_each(|deployment| mention(&deployment.step, "namespace"));
        let release = match there.as_slice() {
            [only] if only.step.kind == Kind::Release => Some(only.step.name.clone()),
            _ => None,
        };
        return (release, namespace);
    }
    if table.has("namespace") {
        return (None, None);
    }
    let problem = |message: &str, label: &str, help: String| {
        let problem = table.reading.at(span("service"), message.to_owned()).label(label.to_owned()).help(help);
        table.reading.report::<()>(problem);
        (None, None)
    };
    match deployments {
        [only] => {
            mention(&only.step, "service");
            let release = (only.step.kind == Kind::Release).then(|| only.step.name.clone());
            (release, only.namespace.clone())
        }
        [] => problem(
            "nothing is deployed that could have this service",
            "in which namespace?",
            "add a [release.NAME], or say where the service is: namespace = \"...\"".to_owned(),
        ),
        several => {
            let names: Vec<_> = several.iter().map(|deployment| deployment.step.to_string()).collect();
            let help =
                "name the one that it belongs to, release = \"...\", or its namespace, namespace = \"...\"".to_owned();
            let label = format!("which of {}?", super::nearest::listed(names.iter().map(String::as_str)));
            problem("it is not clear whose service this is", &label, help)
        }
    }
}

/// The path of a request.
struct UrlPath(String);

impl Text for UrlPath {
    const WHAT: &'static str = "a path to ask for";
    const PATTERN: &'static str = "^/[^ ]*$";
    const EXAMPLE: &'static str = "/api/health";

    fn parse(text: &str) -> Result<Self, Flaw> {
        if let Some((_, rest)) = text.split_once("://") {
            let path = rest.find('/').map_or("/", |slash| &rest[slash..]);
            let flaw = Flaw::new("a whole address, where the path alone belongs");
            return Err(flaw.help(format!("write \"{path}\": the service says where to connect")));
        }
        if !text.starts_with('/') {
            return Err(Flaw::new("does not begin with `/`").help(format!("write \"/{text}\"")));
        }
        let forbidden =
            |character: char| character.is_control() || character == ' ' || character == '#' || !character.is_ascii();
        if let Some(at) = text.find(forbidden) {
            let end = at + text[at..].chars().next().map_or(1, char::len_utf8);
            return Err(Flaw::new("not allowed in an address").part(at..end).help("write it as %XX, in UTF-8"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A place in a JSON document (RFC 6901).
struct JsonPointer;

impl Text for JsonPointer {
    const WHAT: &'static str = "a JSON pointer";
    const PATTERN: &'static str = "^(/([^/~]|~[01])*)*$";
    const EXAMPLE: &'static str = "/database";

    fn parse(text: &str) -> Result<Self, Flaw> {
        if !text.is_empty() && !text.starts_with('/') {
            let slashed = text.trim_start_matches(['$', '.']).replace('.', "/");
            return Err(Flaw::new("does not begin with `/`").help(format!("write \"/{slashed}\"")));
        }
        let lone = |at: &usize| !matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1'));
        match text.match_indices('~').map(|(at, _)| at).find(lone) {
            Some(at) => Err(Flaw::new("a lone `~`").part(at..at + 1).help("write `~0` for `~`, and `~1` for `/`")),
            None => Ok(Self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonPointer, UrlPath};
    use crate::config::text::Text;

    #[test]
    fn paths_and_pointers_begin_with_a_slash() {
        for right in ["/", "/api/health?deep=1", "/a%20b"] {
            assert!(UrlPath::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "api", "http://x/y", "/a b", "/a#b", "/é"] {
            assert!(UrlPath::parse(wrong).is_err(), "{wrong}");
        }
        for right in ["", "/", "/a/0", "/a~1b~0c"] {
            assert!(JsonPointer::parse(right).is_ok(), "{right}");
        }
        for wrong in ["a", "$.a", "/a~", "/~2"] {
            assert!(JsonPointer::parse(wrong).is_err(), "{wrong}");
        }
    }
}
