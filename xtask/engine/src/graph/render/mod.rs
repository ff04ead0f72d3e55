//! The graph as people and programs read it.
//!
//! Everywhere but in JSON, an edge to the cluster is left out where another edge says it too: a release that runs an
//! image in the cluster needs the cluster anyway.

mod diagram;
mod text;

use std::collections::BTreeSet;

use serde_json::json;

use super::{Dependency, Graph};
use crate::config::Why;
use crate::step::StepId;

pub use diagram::{dot, mermaid};
pub use text::text;

/// The graph as JSON: the steps in the order in which they can run, each with all that it needs and why.
pub fn json(graph: &Graph) -> serde_json::Value {
    let needs = |step: &StepId| {
        let needs = graph.dependencies(step).iter();
        needs.map(|dependency| json!({ "step": dependency.step, "why": dependency.why })).collect::<Vec<_>>()
    };
    let step =
        |step: &StepId| json!({ "step": step, "kind": step.kind.word(), "name": step.name, "needs": needs(step) });
    json!({ "steps": graph.order().iter().map(step).collect::<Vec<_>>() })
}

/// The edges worth showing.
struct Shown<'g> {
    graph: &'g Graph,
    /// The steps that cannot run without the cluster.
    bound: BTreeSet<&'g StepId>,
}

impl<'g> Shown<'g> {
    fn new(graph: &'g Graph) -> Self {
        let cluster = StepId::cluster();
        let mut bound = BTreeSet::new();
        for step in graph.order() {
            let needs = graph.dependencies(step);
            if needs.iter().any(|on| on.step == cluster || bound.contains(&on.step)) {
                bound.insert(step);
            }
        }
        Self { graph, bound }
    }

    fn dependencies(&self, step: &StepId) -> impl Iterator<Item = &'g Dependency> {
        let needs = self.graph.dependencies(step);
        let said_otherwise = needs.iter().any(|on| self.bound.contains(&on.step));
        let cluster = StepId::cluster();
        needs.iter().filter(move |on| on.step != cluster || !said_otherwise || !only_because_it_runs_there(on))
    }
}

fn only_because_it_runs_there(dependency: &Dependency) -> bool {
    dependency.why.iter().all(|why| *why == Why::Cluster)
}

/// The reasons in a few words; none for what goes without saying.
fn reasons(dependency: &Dependency) -> String {
    let why = dependency.why.iter().filter(|why| **why != Why::Cluster);
    why.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
