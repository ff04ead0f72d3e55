//! The state of workloads in one line, for people who wait.

use super::scope::Scope;
use crate::diagnose::evidence::{Kind, Workload};

/// `backend 1/2 ready, frontend 2/2`; Jobs that are done are left out.
pub fn line(workloads: &[Workload], scope: &Scope) -> String {
    let shown = workloads.iter().filter(|workload| {
        !(workload.rollout.is_complete() && matches!(workload.identity.kind, Kind::Job | Kind::Pod))
    });
    let parts: Vec<String> = shown
        .map(|workload| {
            let name = scope.short(&workload.identity);
            let (ready, desired) = (workload.rollout.ready, workload.rollout.desired);
            match (&workload.rollout.waiting, workload.identity.kind) {
                (Some(_), Kind::Job | Kind::Pod) => format!("{name} runs"),
                // All ready and yet not complete: old pods are on their way out.
                (Some(waiting), _) if ready >= desired => format!("{name} {ready}/{desired}, {waiting}"),
                (Some(_), _) => format!("{name} {ready}/{desired} ready"),
                (None, _) => format!("{name} {ready}/{desired}"),
            }
        })
        .collect();
    parts.join(", ")
}
