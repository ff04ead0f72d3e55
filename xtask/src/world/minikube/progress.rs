//! What `minikube … -o json` says while it works: one JSON object per line.

use engine::failure::{Class, Failure};
use serde::Deserialize;

/// Something that minikube told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What it does now.
    Step(String),
    /// Something worth knowing.
    Warning(String),
    /// Why it gave up.
    Error(Complaint),
}

/// Why minikube gave up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Complaint {
    /// minikube's name for it: `PROVIDER_DOCKER_NOT_RUNNING`; empty where it has none.
    pub name: String,
    /// What went wrong.
    pub message: String,
    /// What minikube advises.
    pub advice: String,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Data,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Data {
    message: String,
    name: String,
    advice: String,
    artifact: String,
    progress: String,
    exitcode: Option<String>,
}

impl Said {
    /// Reads a line; `None` for what is of no interest, or no JSON.
    pub fn parse(line: &str) -> Option<Self> {
        let Line { kind, data } = serde_json::from_str(line).ok()?;
        let text = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        match kind.strip_prefix("io.k8s.sigs.minikube.")? {
            "step" => Some(Self::Step(text(&data.message))),
            "download.progress" => {
                let percent = data.progress.parse::<f64>().unwrap_or_default() * 100.0;
                Some(Self::Step(format!("downloading {}, {percent:.0} %", data.artifact)))
            }
            "warning" => Some(Self::Warning(text(&data.message))),
            // Without an exit code it goes on all the same.
            "error" if data.exitcode.is_none() => Some(Self::Warning(text(&data.message))),
            "error" => Some(Self::Error(Complaint {
                name: data.name,
                message: text(&data.message),
                advice: text(&data.advice),
            })),
            _ => None,
        }
    }
}

impl Complaint {
    /// The failure to `doing`, of the class that minikube's name for it tells.
    pub fn failure(&self, doing: &str) -> Failure {
        // The machine's provider, driver, network and resources; the rest went wrong inside of the node.
        let of_machine = ["PROVIDER_", "DRV_", "INET_", "RSRC_", "HOST_", "IF_"];
        let machine = of_machine.iter().any(|prefix| self.name.starts_with(prefix));
        let class = if machine { Class::Environment } else { Class::Step };
        let failure = Failure::new(class, format!("minikube could not {doing}")).because(&self.message);
        // minikube leaves the placeholders of some advice unfilled.
        if self.advice.is_empty() || self.advice.contains("{{") { failure } else { failure.help(&self.advice) }
    }
}

#[cfg(test)]
mod tests {
    use engine::failure::Class;

    use super::{Complaint, Said};

    fn line(kind: &str, data: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"x","source":"s","type":"io.k8s.sigs.minikube.{kind}","data":{data}}}"#)
    }

    #[test]
    fn lines_are_told_apart() {
        let step = |text: &str| Some(Said::Step(text.into()));
        let rows = [
            (
                line(
                    "step",
                    r#"{"currentstep":"13","message":"Booting up\ncontrol plane ...","name":"B","totalsteps":"19"}"#,
                ),
                step("Booting up control plane ..."),
            ),
            (
                line(
                    "download.progress",
                    r#"{"artifact":"preload.tar","currentstep":"5","progress":"0.4567","totalsteps":"19"}"#,
                ),
                step("downloading preload.tar, 46 %"),
            ),
            (line("warning", r#"{"message":"skips validations"}"#), Some(Said::Warning("skips validations".into()))),
            (
                line("error", r#"{"message":"should not be used as root"}"#),
                Some(Said::Warning("should not be used as root".into())),
            ),
            (
                line(
                    "error",
                    r#"{"advice":"start docker","exitcode":"69","issues":"","message":"no daemon","name":"PROVIDER_DOCKER_NOT_RUNNING","url":""}"#,
                ),
                Some(Said::Error(Complaint {
                    name: "PROVIDER_DOCKER_NOT_RUNNING".into(),
                    message: "no daemon".into(),
                    advice: "start docker".into(),
                })),
            ),
            (line("info", r#"{"message":"using root privileges"}"#), None),
            ("minikube was here".to_owned(), None),
        ];
        for (line, expected) in rows {
            assert_eq!(Said::parse(&line), expected, "{line}");
        }
    }

    #[test]
    fn the_machines_faults_are_told_from_the_nodes() {
        for (name, class) in [
            ("PROVIDER_DOCKER_NOT_RUNNING", Class::Environment),
            ("RSRC_INSUFFICIENT_CORES", Class::Environment),
            ("INET_REPOS", Class::Environment),
            ("K8S_APISERVER_MISSING", Class::Step),
            ("GUEST_START", Class::Step),
            ("", Class::Step),
        ] {
            let complaint = Complaint { name: name.into(), message: "why".into(), advice: String::new() };
            let failure = complaint.failure("make the node");
            assert_eq!(
                (failure.class, failure.message.as_str()),
                (class, "minikube could not make the node"),
                "{name}"
            );
        }
    }
}
