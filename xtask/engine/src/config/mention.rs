//! A place in the graph file where one step names another: what the edges of the graph are made of.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::step::StepId;

/// Why a step needs another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "reason", content = "detail", rename_all = "kebab-case")]
pub enum Why {
    /// A release or manifests run the image; the value path or the literal reference that it is put into.
    Image(String),
    /// A release is given the secrets.
    Secrets,
    /// An image is built with the secret of this name.
    BuildSecret(String),
    /// A template has this variable.
    Variable(String),
    /// A check asks a service that the other step puts into the cluster.
    Service(String),
    /// A file that the other step makes.
    Output(String),
    /// The step acts on the cluster.
    Cluster,
    /// `after` says so.
    After,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(place) => f.write_str(place),
            Self::Secrets => f.write_str("secrets"),
            Self::BuildSecret(name) => write!(f, "build secret {name}"),
            Self::Variable(variable) => write!(f, "${{{variable}}}"),
            Self::Service(service) => write!(f, "service {service}"),
            Self::Output(path) => f.write_str(path),
            Self::Cluster => f.write_str("runs in it"),
            Self::After => f.write_str("after"),
        }
    }
}

/// What is named: a step, or an image whoever makes it (an image step, or a command with that output).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Step(StepId),
    Image(String),
    /// A name without its kind: always a mistake, kept until all steps are known and the right one can be told.
    Bare(String),
}

/// One step names another at one place.
#[derive(Debug, Clone)]
pub(crate) struct Mention {
    pub(crate) by: StepId,
    pub(crate) target: Target,
    pub(crate) why: Why,
    pub(crate) span: Range<usize>,
}
