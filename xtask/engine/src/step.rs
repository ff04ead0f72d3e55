//! What a step is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The kinds of step, in the order in which they are listed to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The Kubernetes cluster: the root of all steps that need it.
    Cluster,
    /// A container image in the daemon that the pods use.
    Image,
    /// A Secret made from a local values file.
    Secrets,
    /// Raw manifests, applied.
    Manifests,
    /// A helm release.
    Release,
    /// A request that has to be answered as expected.
    Check,
    /// A command of the project's own.
    Command,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Cluster, Self::Image, Self::Secrets, Self::Manifests, Self::Release, Self::Check, Self::Command];

    /// The word in the graph file and in front of a step's name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Image => "image",
            Self::Secrets => "secrets",
            Self::Manifests => "manifests",
            Self::Release => "release",
            Self::Check => "check",
            Self::Command => "command",
        }
    }
}

/// A step's identity: `image:backend`; the one cluster step is just `cluster`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    /// What kind of step.
    pub kind: Kind,
    /// Its name in the graph file; empty for the cluster.
    pub name: String,
}

impl StepId {
    /// The step `name` of `kind`.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }

    /// The cluster step.
    pub fn cluster() -> Self {
        Self::new(Kind::Cluster, "")
    }

    /// The name as a part of file names: `image-backend`, `cluster`.
    pub fn file_stem(&self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Cluster => f.pad("cluster"),
            kind => f.pad(&format!("{}:{}", kind.word(), self.name)),
        }
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was no step's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAStep(String);

impl fmt::Display for NotAStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a step: write KIND:NAME, for example image:backend", self.0)
    }
}

impl std::error::Error for NotAStep {}

impl FromStr for StepId {
    type Err = NotAStep;

    fn from_str(text: &str) -> Result<Self, NotAStep> {
        if text == "cluster" {
            return Ok(Self::cluster());
        }
        let (word, name) = text.split_once(':').ok_or_else(|| NotAStep(text.to_owned()))?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word && *kind != Kind::Cluster);
        match kind {
            Some(kind) if !name.is_empty() => Ok(Self::new(kind, name)),
            _ => Err(NotAStep(text.to_owned())),
        }
    }
}

impl Serialize for StepId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
