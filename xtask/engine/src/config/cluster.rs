//! `[cluster]`: where everything runs.

use schemars::JsonSchema;
use serde::Serialize;

use super::names::Profile;
use super::ports::PortMapping;
use super::table::Table;
use super::text::{Flaw, Form, Text, serialize_as_text};
use super::units::ByteSize;
use super::value::Value;

/// Who makes the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// A minikube profile of our own, started and repaired when needed.
    Minikube,
    /// A cluster that is already there, by the name of its kubeconfig context.
    Context,
}

/// The Kubernetes cluster that the steps act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cluster {
    /// `minikube` (the default) for a cluster of our own, `context` for one that is already there.
    #[schemars(default = "default_driver")]
    pub driver: Driver,
    /// The minikube profile; by default the project's name. Also the name of the kubeconfig context.
    #[schemars(with = "Option<Form<Profile>>", default)]
    pub profile: String,
    /// The kubeconfig context, for the driver `context`.
    pub context: Option<String>,
    /// The Kubernetes version that minikube installs: "1.34", or with its patch "1.34.4".
    #[schemars(with = "Option<Form<KubernetesVersion>>")]
    pub kubernetes: Option<KubernetesVersion>,
    /// CPUs of the node.
    #[schemars(range(min = 2, max = 1024))]
    pub cpus: Option<u32>,
    /// Memory of the node: "4GiB".
    #[schemars(with = "Option<Form<ByteSize>>")]
    pub memory: Option<ByteSize>,
    /// Ports of the node that are to answer on this machine: `[IP:]HOST:NODE`. Set when the node is made.
    #[schemars(with = "Vec<Form<PortMapping>>", default)]
    pub ports: Vec<PortMapping>,
    /// Further flags for `minikube start`: a base image of your own, a registry mirror.
    #[schemars(default)]
    pub start_args: Vec<String>,
    /// The uid of the namespace `kube-system`, by which a cluster is known. With it a first deploy to a cluster that
    /// is already there need not ask.
    #[schemars(with = "Option<Form<Identity>>")]
    pub identity: Option<String>,
}

const fn default_driver() -> Driver {
    Driver::Minikube
}

impl Cluster {
    /// The kubeconfig context that every call names.
    pub fn kube_context(&self) -> &str {
        self.context.as_deref().unwrap_or(&self.profile)
    }

    /// Reads the table. `project` is the profile's default.
    pub(crate) fn read(table: &Table<'_>, project: Option<&str>) -> Option<Self> {
        let drivers = [("minikube", Driver::Minikube), ("context", Driver::Context)];
        let driver =
            table.optional("driver", "\"minikube\"", |value| value.choice(&drivers)).unwrap_or(Driver::Minikube);
        let profile = table.optional("profile", "\"todo-chatbot\"", |value| Some(value.text::<Profile>()?.0));
        let context = table.optional("context", "\"my-cluster\"", Value::words);
        let kubernetes = table.optional("kubernetes", "\"1.34\"", Value::text::<KubernetesVersion>);
        let cpus = table.optional("cpus", "2", read_cpus);
        let memory = table.optional("memory", "\"4GiB\"", read_memory);
        let ports = table.optional("ports", "[\"127.0.0.1:30080:30080\"]", |value| read_ports(value));
        let start_args =
            table.optional("start-args", "[\"--base-image=my/node:1\"]", |value| value.list(read_start_arg));
        let identity = table.optional("identity", "\"3f0e4c1a-5b7d-4a52-9a60-0d2f1c8f7e11\"", Value::text::<Identity>);
        match driver {
            Driver::Minikube => {
                table.refuse(
                    "context",
                    "`context` is for clusters that are already there",
                    "the driver is minikube",
                    "write driver = \"context\", or remove this line: minikube's context has the profile's name",
                );
                table.refuse(
                    "identity",
                    "`identity` is for clusters that are already there",
                    "the driver is minikube",
                    "remove this line: the minikube profile is ours, made anew whenever it is gone",
                );
                if !table.has("profile") && project.is_none() {
                    table.missing::<()>("profile", "\"todo-chatbot\"");
                }
            }
            Driver::Context => {
                for name in ["profile", "kubernetes", "cpus", "memory", "ports", "start-args"] {
                    table.refuse(
                        name,
                        format!("`{name}` is for clusters that minikube makes"),
                        "the driver is \"context\"",
                        "remove this line, or write driver = \"minikube\"",
                    );
                }
                if !table.has("context") {
                    table.missing::<()>("context", "\"my-cluster\"");
                }
                if project.is_none() {
                    let problem = table.problem("a cluster that is already there needs the project's name");
                    let problem = problem.label("what we make in it is marked with that name");
                    table
                        .reading
                        .report::<()>(problem.help("add a first line to the file: project = \"todo-chatbot\""));
                }
            }
        }
        Some(Self {
            driver,
            profile: profile.or_else(|| project.map(str::to_owned)).unwrap_or_default(),
            context,
            kubernetes,
            cpus,
            memory,
            ports: ports.unwrap_or_default(),
            start_args: start_args.unwrap_or_default(),
            identity: identity.map(|identity| identity.0),
        })
    }
}

fn read_cpus(value: Value<'_>) -> Option<u32> {
    value.integer(2..=1024)
}

fn read_memory(value: Value<'_>) -> Option<ByteSize> {
    let memory = value.text::<ByteSize>()?;
    // minikube refuses less than this.
    if memory.mebibytes() < 1800 {
        let problem = value.problem(format!("{memory} is too little memory for a node"));
        let problem = problem.label("minikube wants 1800MiB at least");
        return value.reading.report(problem.help("4GiB suits a small application"));
    }
    Some(memory)
}

fn read_ports(value: Value<'_>) -> Option<Vec<PortMapping>> {
    let seen = std::cell::RefCell::new(std::collections::BTreeMap::new());
    value.list(|item| {
        let mapping = item.text::<PortMapping>()?;
        if let Some(first) = seen.borrow_mut().insert(mapping.host, item.span()) {
            let problem = item.problem(format!("port {} of this machine is given away twice", mapping.host));
            let problem = problem.label("the second time").remark(first, "the first time");
            return item.reading.report(problem.help("choose another port for one of the two"));
        }
        Some(mapping)
    })
}

/// Flags of `minikube start` that have a key of their own, so that they cannot contradict each other.
const FLAGS_WITH_KEYS: [(&str, &str); 8] = [
    ("--profile", "profile"),
    ("-p", "profile"),
    ("--kubernetes-version", "kubernetes"),
    ("--cpus", "cpus"),
    ("--memory", "memory"),
    ("--ports", "ports"),
    ("--driver", "driver"),
    ("--container-runtime", ""),
];

fn read_start_arg(value: Value<'_>) -> Option<String> {
    let flag = value.words()?;
    let name = flag.split('=').next().unwrap_or_default();
    match FLAGS_WITH_KEYS.iter().find(|(with_key, _)| *with_key == name) {
        None => Some(flag),
        Some((_, "")) => {
            let problem = value.problem(format!("`{name}` may not be given")).label("always docker");
            value.reading.report(problem.help("remove it: images are built in the node's docker daemon"))
        }
        Some((_, key)) => {
            let problem = value.problem(format!("`{name}` has a key of its own")).label(format!("use `{key}`"));
            value.reading.report(problem.help(format!("remove the flag and set `{key}` in this table")))
        }
    }
}

/// A Kubernetes version, with or without its patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesVersion(String);

impl KubernetesVersion {
    /// As it is written, without a leading `v`: `1.34` or `1.34.4`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `version` (`1.34.4`, `v1.34.4`) is one that was asked for: `1.34` takes every patch.
    pub fn admits(&self, version: &str) -> bool {
        let version = version.strip_prefix('v').unwrap_or(version);
        version.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+']))
    }
}

impl std::fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

serialize_as_text!(KubernetesVersion);

impl Text for KubernetesVersion {
    const WHAT: &'static str = "a Kubernetes version";
    const PATTERN: &'static str = "^v?1\\.[0-9]+(\\.[0-9]+)?$";
    const EXAMPLE: &'static str = "1.34";

    fn parse(text: &str) -> Result<Self, Flaw> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let parts: Vec<_> = bare.split('.').collect();
        let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if (2..=3).contains(&parts.len()) && parts.iter().all(is_number) && parts.first() == Some(&"1") {
            Ok(Self(bare.to_owned()))
        } else {
            Err(Flaw::new("not a version")
                .help("write major and minor, for example \"1.34\", or a patch too: \"1.34.4\""))
        }
    }
}

/// A uid as Kubernetes makes them.
struct Identity(String);

impl Text for Identity {
    const WHAT: &'static str = "a cluster's identity";
    const PATTERN: &'static str = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";
    const EXAMPLE: &'static str = "3f0e4c1a-5b7d-4a52-9a60-0d2f1c8f7e11";

    fn parse(text: &str) -> Result<Self, Flaw> {
        let groups: Vec<_> = text.split('-').map(str::len).collect();
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        if groups == [8, 4, 4, 4, 12] && is_hex {
            Ok(Self(text.to_owned()))
        } else {
            let help = "it is what `kubectl get namespace kube-system -o jsonpath={.metadata.uid}` prints";
            Err(Flaw::new("not a uid").help(help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KubernetesVersion;
    use crate::config::text::Text;

    #[test]
    fn a_version_without_patch_takes_every_patch() {
        let check = |asked: &str, version: &str, expected: bool| {
            let asked = KubernetesVersion::parse(asked).unwrap();
            assert_eq!(asked.admits(version), expected, "{asked} admits {version}");
        };
        check("1.34", "v1.34.4", true);
        check("v1.34", "1.34.0", true);
        check("1.34.4", "1.34.4", true);
        check("1.34.4", "v1.34.4+k3s1", true);
        check("1.34.4", "1.34.40", false);
        check("1.3", "1.34.4", false);
    }
}
