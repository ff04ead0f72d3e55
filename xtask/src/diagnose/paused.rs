//! A Deployment that is paused before all its pods are of the newest template: nothing makes them so.

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{Evidence, HELD, Workload};

const CLASS: &str = "paused";

/// The field `spec.paused`, while pods of the newest template are missing or others are left.
pub fn find(workload: &Workload, _: &Evidence) -> Option<Diagnosis> {
    workload.condition(HELD)?;
    let identity = &workload.identity;
    Some(
        Diagnosis::new(CLASS, identity, format!("{identity} is paused before its rollout is complete"))
            .because(workload.rollout.waiting.clone().unwrap_or_default())
            .help(format!(
                "let it go on: kubectl --namespace {} rollout resume deployment/{}",
                identity.namespace, identity.name
            ))
            .help("where the manifest itself sets spec.paused, take that out: with it no deploy comes to its end")
            // Somebody may be about to resume it after several changes.
            .patience(Patience::SHORT),
    )
}
