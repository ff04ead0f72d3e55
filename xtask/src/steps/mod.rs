//! The kinds of step, one file each.
//!
//! A step says what it reads, what it looks at in the world and how it changes the world; the engine decides when.
//! A step prints nothing and never asks for another step's internals: it sees their outputs.

pub mod check;
pub mod cluster;
pub mod command;
pub mod daemon;
pub mod exclusive;
mod files;
pub mod image;
pub mod local_secrets;
pub mod log;
pub mod manifests;
pub mod namespace;
mod of_graph_file;
pub mod release;
pub mod secrets;
pub mod variables;

use async_trait::async_trait;
use engine::failure::Failure;
use engine::manifest::Manifest;
use engine::receipt::{Output, Receipt};
use engine::run::{Job, Pool};
use engine::step::StepId;
use engine::verdict::Observation;
use serde::de::DeserializeOwned;

use crate::context::Context;

pub use of_graph_file::{Mode, of_graph_file};

/// What a step made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// What later steps see of it.
    pub output: Output,
    /// What of the world has to be as it is now for the step to stay fresh.
    pub observed: serde_json::Value,
    /// One line for people: `3f9c1a77b2d0 in the node's daemon, 212 MB`.
    pub summary: String,
}

/// How much a teardown takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope {
    /// Volumes, their data and the secrets that belong to it, too.
    pub data: bool,
    /// The cluster itself, too.
    pub cluster: bool,
}

/// Something in the world that a teardown would remove or keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belonging {
    /// What it is, for people: `helm release todo in namespace todo`.
    pub what: String,
    /// `None` when it goes; otherwise why it stays: `--data removes it`.
    pub kept: Option<String>,
}

/// A step of the graph, of any kind.
#[async_trait]
pub trait Step: Send + Sync {
    /// Which step.
    fn id(&self) -> &StepId;

    /// What it occupies while it runs.
    fn pool(&self) -> Pool;

    /// The name of the lock under which it runs: what it changes, so that every checkout on this machine that
    /// changes the same thing uses the same name.
    ///
    /// # Errors
    /// When the cluster or daemon that is part of the name is not known.
    fn lock_name(&self, cx: &Context) -> Result<String, Failure>;

    /// Whether what it does is done in this checkout alone. Then its lock is named after the checkout's folder, and what
    /// was done in one that stood there before, and was removed since, is not done here.
    fn is_done_in_checkout(&self) -> bool {
        false
    }

    /// Reads all inputs. Must not change anything, and must read the disk again at each call.
    async fn gather(&self, cx: &Context) -> Result<Manifest, Failure>;

    /// Whether this version of the tool can read what the receipt says of the output and of the world. A receipt that
    /// another version wrote in another shape is no receipt.
    fn understands(&self, receipt: &Receipt) -> bool;

    /// Holds the world against a receipt of this step that has an output. Must not change anything.
    async fn observe(&self, cx: &Context, receipt: &Receipt) -> Result<Observation, Failure>;

    /// Whether [`Self::observe`] waits for somebody to answer, so that it pays to ask early.
    fn asks_the_world(&self) -> bool {
        true
    }

    /// Changes the world. Must come to the same end whatever an earlier run that was killed has left.
    async fn perform(&self, cx: &Context, job: &Job) -> Result<Made, Failure>;

    /// What an output of this step looks like to those that need it, where it has none yet: for rehearsals only.
    fn stand_in(&self, _cx: &Context) -> Option<Output> {
        None
    }

    /// Finds what would make [`Self::perform`] fail as far as that can be found without changing anything or asking the
    /// world. What an earlier step has not made yet is stood in for.
    async fn rehearse(&self, _cx: &Context) -> Result<(), Failure> {
        Ok(())
    }

    /// What of this step there is in the world, and what a teardown of `scope` does with it. Changes nothing.
    async fn belongings(&self, cx: &Context, scope: Scope) -> Result<Vec<Belonging>, Failure>;

    /// Removes what [`Self::belongings`] says goes.
    async fn remove(&self, cx: &Context, scope: Scope) -> Result<(), Failure>;
}

/// What names the cluster in the names of locks: its identity, however many contexts lead to it. Before that is known
/// there is only the context.
fn cluster_in_locks(cx: &Context) -> String {
    let output = cx.output(&StepId::cluster());
    output.map_or_else(|| cx.world.context().to_owned(), |output| output.digest.to_string())
}

/// Whether a receipt's output and observation have these shapes.
fn has_shapes<Facts: DeserializeOwned, Observed: DeserializeOwned>(receipt: &Receipt) -> bool {
    let facts = receipt.output.as_ref().map(|output| Facts::deserialize(&output.facts).is_ok());
    facts.unwrap_or(true) && Observed::deserialize(&receipt.observed).is_ok()
}
