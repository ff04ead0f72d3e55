//! Strings with variables: `${git.commit}`, `${image.backend.ref}`.
//!
//! The list of variables is closed, and a template does nothing but insert: no shell, no functions, no defaults.
//! Whoever expands one decides what the variables are worth.

use std::fmt;
use std::ops::Range;

use super::names::{SecretKey, StepName, VariableName};
use super::nearest::nearest;
use super::text::{Flaw, Text, serialize_as_text};

/// What a variable stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// `${project}`: the project's name.
    Project,
    /// `${git.commit}`: the commit that is checked out, 40 hexadecimal digits.
    GitCommit,
    /// `${cluster.context}`: the kubeconfig context of the cluster.
    ClusterContext,
    /// `${image.NAME.ref}`: repository and tag, as a pod names the image.
    ImageRef(String),
    /// `${image.NAME.id}`: the image's ID, `sha256:` and 64 hexadecimal digits.
    ImageId(String),
    /// `${check.NAME.url}`: where a dev loop in an isolated deployment opens the Service of that check on this machine.
    CheckUrl(String),
    /// `${env.NAME}`: a variable of the environment that the file's `env` list declares.
    Env(String),
    /// `${secrets.STEP.KEY}`: one secret value.
    Secret {
        /// The secrets step.
        step: String,
        /// The key in its map.
        key: String,
    },
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project => f.write_str("project"),
            Self::GitCommit => f.write_str("git.commit"),
            Self::ClusterContext => f.write_str("cluster.context"),
            Self::ImageRef(name) => write!(f, "image.{name}.ref"),
            Self::ImageId(name) => write!(f, "image.{name}.id"),
            Self::CheckUrl(name) => write!(f, "check.{name}.url"),
            Self::Env(name) => write!(f, "env.{name}"),
            Self::Secret { step, key } => write!(f, "secrets.{step}.{key}"),
        }
    }
}

/// The variables as they are told to people.
const VARIABLES: &str = "the variables are `${project}`, `${git.commit}`, `${cluster.context}`, `${image.NAME.ref}`, \
                         `${image.NAME.id}`, `${check.NAME.url}`, `${env.NAME}` and `${secrets.STEP.KEY}`";

impl Reference {
    /// Reads the words between `${` and `}`.
    fn parse(words: &str) -> Result<Self, Flaw> {
        match words {
            "project" => return Ok(Self::Project),
            "git.commit" => return Ok(Self::GitCommit),
            "cluster.context" => return Ok(Self::ClusterContext),
            _ => {}
        }
        let (kind, rest) = words.split_once('.').unwrap_or((words, ""));
        let message = format!("there is no variable `${{{words}}}`");
        let unknown = |help: String| Err(Flaw::new("not a variable").message(message).help(help));
        match kind {
            "image" => match rest.rsplit_once('.') {
                Some((name, "ref")) if !name.is_empty() => Ok(Self::ImageRef(name.to_owned())),
                Some((name, "id")) if !name.is_empty() => Ok(Self::ImageId(name.to_owned())),
                _ => unknown("write `${image.NAME.ref}` or `${image.NAME.id}`".to_owned()),
            },
            "check" => match rest.rsplit_once('.') {
                Some((name, "url")) if StepName::parse(name).is_ok() => Ok(Self::CheckUrl(name.to_owned())),
                _ => unknown("write `${check.NAME.url}`".to_owned()),
            },
            "env" if VariableName::parse(rest).is_ok() => Ok(Self::Env(rest.to_owned())),
            "env" => unknown("write `${env.NAME}` with the name of a variable".to_owned()),
            "secrets" => match rest.split_once('.') {
                Some((step, key)) if StepName::parse(step).is_ok() && SecretKey::parse(key).is_ok() => {
                    Ok(Self::Secret { step: step.to_owned(), key: key.to_owned() })
                }
                _ => unknown("write `${secrets.STEP.KEY}`".to_owned()),
            },
            _ => match nearest(words, ["project", "git.commit", "cluster.context"]) {
                Some(right) => unknown(format!("did you mean `${{{right}}}`?")),
                None => unknown(VARIABLES.to_owned()),
            },
        }
    }
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(Variable),
}

/// A variable and where it stands in the template's text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) reference: Reference,
    pub(crate) range: Range<usize>,
}

/// A string with variables; `$$` is a dollar sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// The things that have to be known before this can be expanded, in order of appearance.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.variables().map(|variable| &variable.reference)
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            Part::Literal(_) => None,
        })
    }

    /// Puts what `lookup` gives in the place of the variables that it knows.
    pub(crate) fn bind(&mut self, lookup: &dyn Fn(&Reference) -> Option<String>) {
        for part in &mut self.parts {
            if let Part::Variable(variable) = part
                && let Some(value) = lookup(&variable.reference)
            {
                *part = Part::Literal(value);
            }
        }
    }

    /// Inserts what `lookup` gives for each variable; the first that it does not know is the error.
    pub fn expand(&self, lookup: &dyn Fn(&Reference) -> Option<String>) -> Result<String, Reference> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable(variable) => {
                    let value = lookup(&variable.reference).ok_or_else(|| variable.reference.clone())?;
                    text.push_str(&value);
                }
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    /// As it is written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

serialize_as_text!(Template);

impl Text for Template {
    const WHAT: &'static str = "a string";
    const PATTERN: &'static str = "^([^$]|\\$\\$|\\$\\{[^}]+\\})*$";
    const EXAMPLE: &'static str = "${git.commit}";

    fn parse(text: &str) -> Result<Self, Flaw> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(dollar) = text[at..].find('$').map(|offset| at + offset) {
            literal.push_str(&text[at..dollar]);
            let rest = &text[dollar + 1..];
            if rest.starts_with('$') {
                literal.push('$');
                at = dollar + 2;
            } else if let Some(inner) = rest.strip_prefix('{') {
                let Some(length) = inner.find('}') else {
                    let flaw = Flaw::new("`${` without its `}`").message("a variable is not closed");
                    let flaw = flaw.part(dollar..text.len());
                    return Err(flaw.help("close it with `}`, or write `$$` for a dollar sign"));
                };
                let range = dollar..dollar + length + 3;
                let reference =
                    Reference::parse(&inner[..length]).map_err(|flaw| Flaw { part: Some(range.clone()), ..flaw })?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                at = range.end;
                parts.push(Part::Variable(Variable { reference, range }));
            } else {
                let flaw =
                    Flaw::new("neither `$$` nor `${...}`").message("a lone dollar sign").part(dollar..dollar + 1);
                return Err(flaw.help("write `$$` for a dollar sign, `${...}` for a variable; no shell reads this"));
            }
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

#[cfg(test)]
mod tests {
    use super::{Reference, Template};
    use crate::config::text::Text;

    fn expanded(text: &str) -> Result<String, String> {
        let template = Template::parse(text).map_err(|flaw| flaw.label)?;
        let lookup = |reference: &Reference| match reference {
            Reference::Env(_) => None,
            known => Some(format!("<{known}>")),
        };
        template.expand(&lookup).map_err(|unknown| unknown.to_string())
    }

    #[test]
    fn variables_are_inserted_and_nothing_else_happens() {
        let check = |text: &str, expected: &str| assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        check("", "");
        check("plain", "plain");
        check("${git.commit}", "<git.commit>");
        check("a${project}b${image.backend.ref}", "a<project>b<image.backend.ref>");
        check("${image.acme/worker:dev.id}", "<image.acme/worker:dev.id>");
        check("${secrets.todo.tls.crt}", "<secrets.todo.tls.crt>");
        check("$$5 and $${git.commit}", "$5 and ${git.commit}");
        check("`id` * ~", "`id` * ~");
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for wrong in [
            "$",
            "a $b",
            "$(id)",
            "${",
            "${git.commit",
            "${}",
            "${git}",
            "${image.backend}",
            "${image..ref}",
            "${env.}",
            "${HOME}",
            "${secrets.todo}",
        ] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_variable_without_a_value_is_named() {
        assert_eq!(expanded("x${env.CI}"), Err("env.CI".to_owned()));
    }
}
