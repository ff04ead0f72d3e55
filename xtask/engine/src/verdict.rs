//! Whether a step has to run: one verdict over its inputs and over the world.
//!
//! A pure function of what was gathered, what was recorded and what was observed. All reasons are collected;
//! the first one explains.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::manifest::{Change, Manifest};
use crate::receipt::{Receipt, Stored};

/// One way in which the world is not as the receipt says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "difference", content = "detail", rename_all = "kebab-case")]
pub enum Difference {
    /// The output is not there any more.
    Missing(String),
    /// It is there but has been altered behind our back.
    Altered(String),
    /// All is there as we left it, but it does not work: only waiting or restarting can help.
    Unhealthy(String),
    /// What was seen is too old to be believed.
    Aged(String),
}

impl Difference {
    /// The order in which reasons are given.
    const fn rank(&self) -> u8 {
        match self {
            Self::Missing(_) => 0,
            Self::Altered(_) => 1,
            Self::Unhealthy(_) => 2,
            Self::Aged(_) => 3,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(text) | Self::Altered(text) | Self::Unhealthy(text) | Self::Aged(text) => f.write_str(text),
        }
    }
}

/// What exists now, held against a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observation {
    /// Where it differs; empty when all is as recorded.
    pub differences: Vec<Difference>,
    /// What the receipt should say was observed from now on: the world moved, but not in any way that matters.
    pub refreshed: Option<serde_json::Value>,
}

impl Observation {
    /// All is as recorded.
    pub fn as_recorded() -> Self {
        Self::default()
    }

    /// Differs in one way.
    pub fn differs(difference: Difference) -> Self {
        Self { differences: vec![difference], refreshed: None }
    }
}

/// Why a step has to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", content = "detail", rename_all = "kebab-case")]
pub enum Reason {
    /// It has never succeeded here, as far as is known.
    NeverRun,
    /// Its receipt cannot be read.
    ReceiptDamaged(String),
    /// Its last run did not come to its end.
    Interrupted,
    /// The person asked for it.
    Forced,
    /// An input is not as it was.
    Input(Change),
    /// The world is not as it was left.
    World(Difference),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverRun => f.write_str("first run"),
            Self::ReceiptDamaged(what) => write!(f, "its receipt cannot be used: {what}"),
            Self::Interrupted => f.write_str("its last run did not finish"),
            Self::Forced => f.write_str("--force"),
            Self::Input(change) => change.fmt(f),
            Self::World(difference) => difference.fmt(f),
        }
    }
}

/// What a step's run starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "reasons", rename_all = "kebab-case")]
pub enum Verdict {
    /// Inputs and world are as they were when it last succeeded.
    Fresh,
    /// It has to run; never without a reason.
    Stale(Vec<Reason>),
}

impl Verdict {
    /// Whether nothing has to be done.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh)
    }

    /// The reasons; none when fresh.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Fresh => &[],
            Self::Stale(reasons) => reasons,
        }
    }

    /// Inputs and objects are as recorded, only their health is not: making them anew would change nothing.
    pub fn is_only_unhealthy(&self) -> bool {
        let unhealthy = |reason: &Reason| matches!(reason, Reason::World(Difference::Unhealthy(_)));
        !self.is_fresh() && self.reasons().iter().all(unhealthy)
    }
}

/// Judges a step. `observation` is `None` when there was no receipt to hold the world against.
pub fn judge(manifest: &Manifest, stored: &Stored, observation: Option<&Observation>, forced: bool) -> Verdict {
    let mut reasons = Vec::new();
    if forced {
        reasons.push(Reason::Forced);
    }
    match stored {
        Stored::Nothing => reasons.push(Reason::NeverRun),
        Stored::Damaged(what) => reasons.push(Reason::ReceiptDamaged(what.clone())),
        Stored::Receipt(receipt) => reasons.extend(reasons_against(receipt, manifest, observation)),
    }
    if reasons.is_empty() { Verdict::Fresh } else { Verdict::Stale(reasons) }
}

fn reasons_against(receipt: &Receipt, manifest: &Manifest, observation: Option<&Observation>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = manifest.changes_since(&receipt.manifest).into_iter().map(Reason::Input).collect();
    if receipt.output.is_none() {
        reasons.push(Reason::Interrupted);
    }
    if let Some(observation) = observation {
        let mut differences = observation.differences.clone();
        differences.sort_by_key(Difference::rank);
        reasons.extend(differences.into_iter().map(Reason::World));
    }
    reasons
}
