//! The forms that names must have: Kubernetes', helm's, docker's and our own.

use super::text::{Flaw, Text};

/// Declares a string type whose only rule is the form of a name.
macro_rules! name {
    ($(#[doc = $doc:literal])* $type:ident, $what:literal, $pattern:literal, $example:literal, $rule:expr) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub(crate) struct $type(pub(crate) String);

        impl Text for $type {
            const WHAT: &'static str = $what;
            const PATTERN: &'static str = $pattern;
            const EXAMPLE: &'static str = $example;

            fn parse(text: &str) -> Result<Self, Flaw> {
                let rule: Rule = $rule;
                rule.check(text)?;
                Ok(Self(text.to_owned()))
            }
        }
    };
}

/// What a name may consist of.
struct Rule {
    longest: usize,
    /// Besides lower-case letters and digits, which every name may have.
    also: &'static str,
    capitals: bool,
    /// Whether it has to begin and end with a letter or digit.
    alphanumeric_ends: bool,
    /// Whether a digit may come first.
    digit_first: bool,
}

const DNS_LABEL: Rule = Rule { longest: 63, also: "-", capitals: false, alphanumeric_ends: true, digit_first: true };

impl Rule {
    fn check(&self, text: &str) -> Result<(), Flaw> {
        let Some(first) = text.chars().next() else {
            return Err(Flaw::new("an empty name"));
        };
        if let Some((at, wrong)) = text.char_indices().find(|(_, character)| !self.allows(*character)) {
            let part = at..at + wrong.len_utf8();
            let label = match wrong {
                ' ' => "a space is not allowed here".to_owned(),
                wrong if wrong.is_ascii_uppercase() => format!("the capital letter `{wrong}` is not allowed here"),
                wrong => format!("`{}` is not allowed here", wrong.escape_debug()),
            };
            let flaw = Flaw::new(label).part(part);
            return Err(match self.repaired(text) {
                Some(right) => flaw.help(format!("write \"{right}\"")),
                None => flaw.help(self.words()),
            });
        }
        if !self.digit_first && first.is_ascii_digit() {
            return Err(Flaw::new("begins with a digit").help(self.words()));
        }
        let is_end = |character: char| character.is_ascii_alphanumeric();
        if self.alphanumeric_ends && !(first.is_ascii_alphanumeric() && text.ends_with(is_end)) {
            return Err(Flaw::new("has to begin and end with a letter or digit").help(self.words()));
        }
        // Each part of a name with dots is a name of its own.
        if self.alphanumeric_ends && text.split('.').any(|part| !(part.starts_with(is_end) && part.ends_with(is_end))) {
            return Err(Flaw::new("has a part that is empty or begins or ends with `-`").help(self.words()));
        }
        if text.len() > self.longest {
            let label = format!("{} characters, {} more than allowed", text.len(), text.len() - self.longest);
            return Err(Flaw::new(label).help(self.words()));
        }
        Ok(())
    }

    /// The name with what is not allowed replaced, if that makes it right.
    fn repaired(&self, text: &str) -> Option<String> {
        let filler = self.also.chars().next().filter(|_| text.is_ascii())?;
        let text = if self.capitals { text.to_owned() } else { text.to_ascii_lowercase() };
        let right: String =
            text.chars().map(|character| if self.allows(character) { character } else { filler }).collect();
        let right = right.trim_matches(filler);
        self.check(right).is_ok().then(|| right.to_owned())
    }

    fn allows(&self, character: char) -> bool {
        character.is_ascii_lowercase()
            || character.is_ascii_digit()
            || (self.capitals && character.is_ascii_uppercase())
            || self.also.contains(character)
    }

    fn words(&self) -> String {
        let letters = if self.capitals { "letters" } else { "lower-case letters" };
        let also: String = self.also.chars().map(|character| format!(", `{character}`")).collect();
        format!("at most {} characters: {letters}, digits{also}", self.longest)
    }
}

name!(
    /// A step's name: part of image names, labels and file names, so the narrowest of their forms.
    StepName, "a step's name", "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "backend", DNS_LABEL
);
name!(
    /// The project's name: first part of image names, value of the label that says what is ours.
    ProjectName, "a project's name", "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "todo-chatbot", DNS_LABEL
);
name!(
    /// A namespace: a DNS label (RFC 1123).
    Namespace, "a namespace", "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "todo", DNS_LABEL
);
name!(
    /// A Service's name: a DNS label that may not begin with a digit (RFC 1035).
    ServiceName, "a service's name", "^[a-z]([-a-z0-9]*[a-z0-9])?$", "todo-backend",
    Rule { digit_first: false, ..DNS_LABEL }
);
name!(
    /// A minikube profile: also a container's name and a host name.
    Profile, "a profile's name", "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "todo-chatbot", DNS_LABEL
);
name!(
    /// A helm release: 53 characters, because helm adds suffixes of its own.
    ReleaseName, "a release's name", "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "todo",
    Rule { longest: 53, also: "-.", ..DNS_LABEL }
);
name!(
    /// A Secret's name: a DNS subdomain (RFC 1123).
    SecretName, "a Secret's name", "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "todo-secrets",
    Rule { longest: 253, also: "-.", ..DNS_LABEL }
);
name!(
    /// A key in a Secret's data.
    SecretKey, "a key of a Secret", "^[-._a-zA-Z0-9]+$", "POSTGRES_PASSWORD",
    Rule { longest: 253, also: "-._", capitals: true, alphanumeric_ends: false, digit_first: true }
);
name!(
    /// A variable of the environment or of a Dockerfile.
    VariableName, "a variable's name", "^[A-Za-z_][A-Za-z0-9_]*$", "GIT_COMMIT",
    Rule { longest: 255, also: "_", capitals: true, alphanumeric_ends: false, digit_first: false }
);
/// A name of an HTTP header.
pub(crate) struct HeaderName;

impl Text for HeaderName {
    const WHAT: &'static str = "a header's name";
    const PATTERN: &'static str = "^[-_A-Za-z0-9]+$";
    const EXAMPLE: &'static str = "Authorization";

    fn parse(text: &str) -> Result<Self, Flaw> {
        let rule = Rule { longest: 255, also: "-_", capitals: true, alphanumeric_ends: false, digit_first: true };
        rule.check(text).map(|()| Self)
    }
}

/// A docker repository without tag: `todo-chatbot/backend`, `localhost:5000/team/app`.
#[derive(Debug)]
pub(crate) struct Repository(pub(crate) String);

impl Text for Repository {
    const WHAT: &'static str = "an image's name without tag";
    const PATTERN: &'static str =
        "^([-a-zA-Z0-9.]+(:[0-9]+)?/)?[a-z0-9]+([-._a-z0-9]*[a-z0-9])?(/[a-z0-9]+([-._a-z0-9]*[a-z0-9])?)*$";
    const EXAMPLE: &'static str = "todo-chatbot/backend";

    fn parse(text: &str) -> Result<Self, Flaw> {
        if let Some(at) = text.find('@') {
            return Err(Flaw::new("a digest does not belong to the name").part(at..text.len()));
        }
        let (host, path) = match text.split_once('/') {
            // As docker tells a registry from a folder of images: by a dot, a port, or this very name.
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
            _ => (None, text),
        };
        if let Some(at) = path.find(':') {
            let at = text.len() - path.len() + at;
            let flaw = Flaw::new("a tag does not belong to the name").part(at..text.len());
            return Err(flaw.help("leave the tag out: it is made from the image's contents, so that pods see a change"));
        }
        let host_is_right = host.is_none_or(|host| {
            let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
            let of_name = |character: char| character.is_ascii_alphanumeric() || "-.".contains(character);
            !name.is_empty() && name.chars().all(of_name) && port.is_none_or(|port| port.parse::<u16>().is_ok())
        });
        if !host_is_right {
            return Err(Flaw::new("the part before the first `/` is no registry's address"));
        }
        let component = Rule { longest: 255, also: "-._", capitals: false, alphanumeric_ends: true, digit_first: true };
        let mut at = text.len() - path.len();
        for part in path.split('/') {
            component.check(part).map_err(|flaw| {
                let inner = flaw.part.clone().unwrap_or(0..part.len());
                let lower = text.to_ascii_lowercase();
                let help = if lower != text && Self::parse(&lower).is_ok() {
                    Some(format!("write \"{lower}\""))
                } else {
                    Some(component.words())
                };
                Flaw { part: Some(at + inner.start..at + inner.end), help, ..flaw }
            })?;
            at += part.len() + 1;
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Namespace, ReleaseName, Repository, SecretKey, SecretName, ServiceName, VariableName};
    use crate::config::text::Text;

    fn check<T: Text>(right: &[&str], wrong: &[&str]) {
        for name in right {
            assert!(T::parse(name).is_ok(), "{name} is {}", T::WHAT);
        }
        for name in wrong {
            assert!(T::parse(name).is_err(), "{name} is not {}", T::WHAT);
        }
    }

    #[test]
    fn names_have_the_forms_that_kubernetes_helm_and_docker_ask_for() {
        let long = "a".repeat(64);
        check::<Namespace>(&["todo", "todo-2", "0a"], &["", "Todo", "to_do", "-a", "a-", "a.b", "a b", "é", &long]);
        check::<ServiceName>(&["todo"], &["0todo", "todo-"]);
        check::<ReleaseName>(&["todo", "todo.v2"], &["Todo", "todo..v2", "todo.-v", &"a".repeat(54)]);
        check::<SecretName>(&["todo-secrets", "a.b-c.d", &long], &["todo_secrets", "a..b", &"a".repeat(254)]);
        check::<SecretKey>(&["POSTGRES_PASSWORD", "tls.crt", ".npmrc"], &["", "A B", "a/b"]);
        check::<VariableName>(&["GIT_COMMIT", "_x", "a1"], &["1A", "A-B", "A.B", ""]);
        check::<Repository>(
            &["backend", "todo-chatbot/backend", "localhost:5000/a/b", "ghcr.io/Acme".to_lowercase().as_str(), "a__b"],
            &["", "a:1", "Backend", "a//b", "a/", "/a", "a@sha256:00", "ghcr.io/Acme", "localhost:x/a", "a/-b"],
        );
    }

    #[test]
    fn a_wrong_name_comes_with_the_right_one() {
        let help = |text: &str| Namespace::parse(text).err().and_then(|flaw| flaw.help);
        assert_eq!(help("My_App"), Some("write \"my-app\"".to_owned()));
        assert_eq!(help("a-"), Some("at most 63 characters: lower-case letters, digits, `-`".to_owned()));
    }
}
