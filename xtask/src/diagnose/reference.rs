//! What the kubelet says about a Secret or ConfigMap that a pod needs and does not get, taken apart.

use k8s_openapi::api::core::v1::Pod;

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{Evidence, Reference, Want, Workload, name};

/// An object, or a key in one, that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The object.
    pub object: Reference,
    /// The key; `None` when the whole object is missing.
    pub key: Option<String>,
}

impl Missing {
    /// Reads the kubelet's sentence about an environment variable or a volume of a pod in `namespace`.
    /// `volume` is the name of the object that the volume is made from, which one of the sentences leaves out.
    pub fn parse(message: &str, namespace: &str, volume: Option<&Reference>) -> Option<Self> {
        let reference = |kind, name: &str| Reference { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        for (kind, word) in [("Secret", "secret"), ("ConfigMap", "configmap")] {
            if let Some(name) = between(message, &format!("{word} \""), "\" not found") {
                return Some(Self { object: reference(kind, name), key: None });
            }
            // "couldn't find key K in Secret NAMESPACE/NAME"
            if let Some((key, object)) =
                message.split_once("find key ").and_then(|(_, rest)| rest.split_once(&format!(" in {kind} ")))
            {
                let object = object.split_whitespace().next()?;
                let name = object.rsplit_once('/').map_or(object, |(_, name)| name);
                return Some(Self { object: reference(kind, name), key: Some(key.to_owned()) });
            }
        }
        for sentence in ["references non-existent secret key: ", "references non-existent config key: "] {
            if let Some((_, key)) = message.split_once(sentence) {
                return Some(Self { object: volume?.clone(), key: Some(key.trim().to_owned()) });
            }
        }
        None
    }

    /// The diagnosis, `for_what` saying what the pod needs it for; `None` when the object has meanwhile been
    /// found to be there, so that the kubelet's next attempt will succeed.
    pub fn diagnosis(
        &self,
        class: &'static str,
        workload: &Workload,
        pod: &Pod,
        for_what: &str,
        evidence: &Evidence,
    ) -> Option<Diagnosis> {
        let found = evidence.findings.keys.get(&self.object);
        let diagnosis = match (&self.key, found) {
            (None, Some(Some(_))) => return None,
            (Some(key), Some(Some(keys))) if keys.contains(key) => return None,
            (Some(key), Some(Some(keys))) => {
                let there = keys.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                self.titled(class, workload, &format!("{} has no key {key} that pod {} needs", self.object, name(pod)))
                    .because(for_what)
                    .because(if there.is_empty() { "it is empty".to_owned() } else { format!("its keys are {there}") })
            }
            (Some(key), _) => self
                .titled(class, workload, &format!("{} has no key {key} that pod {} needs", self.object, name(pod)))
                .because(for_what),
            (None, _) => self
                .titled(class, workload, &format!("{} that pod {} needs does not exist", self.object, name(pod)))
                .because(for_what),
        };
        let what = self.key.as_ref().map_or_else(|| "it".to_owned(), |key| format!("the key {key}"));
        Some(
            diagnosis
                .help(format!(
                    "add {what} to what makes {} in namespace {}, or correct the name where {} refers to it",
                    self.object, self.object.namespace, workload.identity
                ))
                .patience(Patience::SHORT)
                .wants(Want::Keys(self.object.clone())),
        )
    }

    fn titled(&self, class: &'static str, workload: &Workload, title: &str) -> Diagnosis {
        Diagnosis::new(class, &workload.identity, title)
    }
}

/// The text between `start` and `end`.
pub fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::{Missing, Reference};

    #[test]
    fn the_kubelets_sentences_are_understood() {
        let volume = Reference { kind: "Secret", namespace: "n".to_owned(), name: "tls".to_owned() };
        let check = |message: &str, expected: Option<(&str, &str, Option<&str>)>| {
            let missing = Missing::parse(message, "n", Some(&volume));
            let found = missing.as_ref().map(|m| (m.object.kind, m.object.name.as_str(), m.key.as_deref()));
            assert_eq!(found, expected, "{message}");
        };
        check("secret \"nope\" not found", Some(("Secret", "nope", None)));
        check("configmap \"nope\" not found", Some(("ConfigMap", "nope", None)));
        check("couldn't find key A in Secret n/s", Some(("Secret", "s", Some("A"))));
        check("couldn't find key a.b in ConfigMap n/c", Some(("ConfigMap", "c", Some("a.b"))));
        check("MountVolume.SetUp failed for volume \"v\" : secret \"nope\" not found", Some(("Secret", "nope", None)));
        check(
            "MountVolume.SetUp failed for volume \"v\" : references non-existent secret key: tls.crt",
            Some(("Secret", "tls", Some("tls.crt"))),
        );
        check("container has runAsNonRoot and image will run as root", None);
    }
}
