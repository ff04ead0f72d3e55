//! Cycles: steps that wait for each other, so that none of them can ever start.

use std::collections::BTreeSet;

use super::Needs;
use crate::config::{Diagnostic, GraphFile};
use crate::step::StepId;

/// Cycles among the steps that can never start, each from its first step by kind and name. Every `stuck` step needs
/// a stuck step: following the first of them from anywhere ends in a cycle.
pub(super) fn find(needs: &Needs, stuck: &BTreeSet<StepId>) -> Vec<Vec<StepId>> {
    let next = |step: &StepId| needs.get(step)?.keys().find(|on| stuck.contains(on));
    let mut seen = BTreeSet::new();
    let mut cycles = Vec::new();
    for start in stuck {
        let mut way: Vec<&StepId> = Vec::new();
        let mut at = Some(start);
        while let Some(step) = at.filter(|step| seen.insert(*step)) {
            way.push(step);
            at = next(step);
        }
        // A way that runs into an earlier one ends in a cycle that is known.
        if let Some(begin) = at.and_then(|again| way.iter().position(|step| *step == again)) {
            let mut cycle: Vec<_> = way.split_off(begin).into_iter().cloned().collect();
            let first = cycle.iter().enumerate().min_by_key(|(_, step)| *step).map_or(0, |(place, _)| place);
            cycle.rotate_left(first);
            cycles.push(cycle);
        }
    }
    cycles
}

/// One problem for each cycle, pointing at each place that makes it one.
pub(super) fn report(file: &GraphFile, cycles: &[Vec<StepId>]) -> Vec<Diagnostic> {
    let problem = |cycle: &Vec<StepId>| {
        let names: Vec<_> = cycle.iter().chain(cycle.first()).map(ToString::to_string).collect();
        let edges = cycle.iter().zip(cycle.iter().cycle().skip(1)).map(|(by, on)| (by.clone(), on.clone()));
        let message = format!("these steps wait for each other: {}", names.join(" → "));
        file.problem_at_edges(message, edges).help("remove one of these; a step cannot need what needs it")
    };
    cycles.iter().map(problem).collect()
}
