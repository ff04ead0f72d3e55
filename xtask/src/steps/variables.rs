//! What the variables of the graph file (`${git.commit}`, `${image.backend.ref}`) are worth in this run.
//!
//! Looked up once per gathering, so that a step's inputs and what it then does with them cannot disagree.

use std::collections::BTreeMap;

use engine::config::{Reference, Template};
use engine::digest::Digest;
use engine::failure::Failure;
use engine::manifest::{Manifest, Source};
use engine::step::{Kind, StepId};
use secrecy::{ExposeSecret as _, SecretString};

use crate::context::Context;
use crate::steps::image;
use crate::world::git;

/// Where secret values come from.
pub trait SecretValues: Send + Sync {
    /// The value of `key` of the secrets step `step`, and its keyed digest.
    ///
    /// # Errors
    /// When there is no such value on this machine.
    fn value(&self, cx: &Context, step: &str, key: &str) -> Result<(SecretString, Digest), Failure>;
}

/// A variable's worth.
enum Value {
    Plain(String),
    Secret(SecretString, Digest),
}

/// The variables of one step.
#[derive(Default)]
pub struct Variables(BTreeMap<Reference, Value>);

impl Variables {
    /// Looks up all that `templates` use.
    ///
    /// # Errors
    /// When one has no value: not in git, an environment variable that is not set, a step that has made nothing.
    pub fn look_up<'a>(
        cx: &Context,
        secrets: &dyn SecretValues,
        templates: impl IntoIterator<Item = &'a Template>,
    ) -> Result<Self, Failure> {
        let mut values = BTreeMap::new();
        for reference in templates.into_iter().flat_map(Template::references) {
            if !values.contains_key(reference) {
                values.insert(reference.clone(), look_up(cx, secrets, reference)?);
            }
        }
        Ok(Self(values))
    }

    /// Adds them to a step's inputs, each by its own name, so that a change of one is told as such.
    pub fn add_to(&self, manifest: &mut Manifest) {
        for (reference, value) in &self.0 {
            match value {
                Value::Plain(text) => manifest.value(source_of(reference), reference.to_string(), text),
                Value::Secret(_, digest) => manifest.digest(Source::Secret, reference.to_string(), *digest),
            }
        }
    }

    /// `template` with its variables inserted, as plain text: it must have no secrets.
    ///
    /// # Errors
    /// When it has a variable that was not looked up, or a secret.
    pub fn expand(&self, template: &Template) -> Result<String, Failure> {
        let plain = |reference: &Reference| match self.0.get(reference)? {
            Value::Plain(text) => Some(text.clone()),
            Value::Secret(..) => None,
        };
        template.expand(&plain).map_err(|reference| no_value(&reference))
    }

    /// `template` with its variables inserted, secrets too.
    ///
    /// # Errors
    /// When it has a variable that was not looked up.
    pub fn expand_secret(&self, template: &Template) -> Result<SecretString, Failure> {
        let any = |reference: &Reference| match self.0.get(reference)? {
            Value::Plain(text) => Some(text.clone()),
            Value::Secret(text, _) => Some(text.expose_secret().to_owned()),
        };
        template.expand(&any).map(SecretString::from).map_err(|reference| no_value(&reference))
    }
}

fn source_of(reference: &Reference) -> Source {
    match reference {
        Reference::ImageRef(_) | Reference::ImageId(_) => Source::Upstream,
        _ => Source::Variable,
    }
}

fn no_value(reference: &Reference) -> Failure {
    Failure::step(format!("the variable ${{{reference}}} has no value here"))
}

fn look_up(cx: &Context, secrets: &dyn SecretValues, reference: &Reference) -> Result<Value, Failure> {
    let image = |name: &str| cx.facts::<image::Facts>(&StepId::new(Kind::Image, name));
    Ok(Value::Plain(match reference {
        Reference::Project => cx.project.clone(),
        Reference::GitCommit => git::commit(cx.workspace.root())?,
        Reference::ClusterContext => cx.world.context().to_owned(),
        // In an isolated deployment it has been replaced already.
        Reference::CheckUrl(_) => {
            return Err(Failure::usage(format!("${{{reference}}} has a value in isolated deployments only"))
                .help("use it in the table `isolated` of a release"));
        }
        Reference::ImageRef(name) => image(name)?.reference,
        Reference::ImageId(name) => image(name)?.id,
        Reference::Env(name) => std::env::var(name).map_err(|error| {
            Failure::environment(format!("the environment variable {name} cannot be used"))
                .because(error)
                .help(format!("the graph file uses ${{env.{name}}}: set it"))
        })?,
        Reference::Secret { step, key } => {
            let (value, digest) = secrets.value(cx, step, key)?;
            // From here on it may turn up in what a child prints.
            cx.redactor.learn(&value);
            return Ok(Value::Secret(value, digest));
        }
    }))
}
