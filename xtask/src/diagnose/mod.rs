//! Why a workload does not become ready: one file per class of failure.
//!
//! Each class is a pure function from a workload and the [`evidence::Evidence`] to a
//! [`diagnosis::Diagnosis`]. Nothing in here talks to the cluster, waits, or knows the time.

pub mod diagnosis;
pub mod evidence;

mod admission;
mod command;
mod config;
mod crash;
mod image;
mod job;
mod memory;
mod paused;
mod probe;
mod quantity;
mod reference;
mod schedule;
mod stall;
mod stuck;
mod unfinished;
mod volume;

use diagnosis::Diagnosis;
use evidence::{Evidence, Workload};

/// A class of failure.
type Class = fn(&Workload, &Evidence) -> Option<Diagnosis>;

/// The classes, the most exact first: where several fit one workload, the first explains.
const CLASSES: [Class; 14] = [
    config::find,
    volume::find,
    image::find,
    command::find,
    memory::find,
    job::find,
    paused::find,
    stuck::find,
    admission::find,
    schedule::find,
    crash::find,
    probe::find,
    stall::find,
    unfinished::find,
];

/// Everything that is wrong with the workloads that `of` picks, the most exact diagnosis first, whichever workload it is
/// about: one that crashes explains others that only wait for it. A workload whose rollout is complete has none.
pub fn diagnose(evidence: &Evidence, of: impl Fn(&Workload) -> bool) -> Vec<Diagnosis> {
    let broken = evidence.workloads.iter().filter(|workload| !workload.rollout.is_complete() && of(workload));
    let broken: Vec<&Workload> = broken.collect();
    CLASSES.iter().flat_map(|class| broken.iter().filter_map(move |workload| class(workload, evidence))).collect()
}
