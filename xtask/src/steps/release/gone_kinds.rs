//! Kinds that a release uses and that somebody has removed from the cluster, with all objects of them.
//!
//! Helm cannot upgrade a release while the cluster does not know all of its kinds, and it installs the definitions of
//! `crds/` just once: so they are brought back before helm runs.

use std::collections::BTreeSet;
use std::path::Path;

use engine::event::Level;
use engine::failure::Failure;
use kube::Client;

use crate::context::Context;
use crate::steps::Step as _;
use crate::steps::release::ReleaseStep;
use crate::steps::release::observed::{self, Objects};
use crate::world::helm::record::Record;
use crate::world::kube::definitions;
use crate::world::kube::rendered::Rendered;

/// Makes the CustomResourceDefinitions anew that `record` needs, as far as the chart or the release itself has them.
///
/// # Errors
/// When neither brings a kind, or the API server does not take a definition.
pub async fn bring_back(
    cx: &Context,
    step: &ReleaseStep,
    client: &Client,
    chart: &Path,
    record: &Record,
) -> Result<(), Failure> {
    let Objects { known, unknown } = observed::objects(client, &step.kinds, &step.definition.namespace, record).await?;
    if unknown.is_empty() {
        return Ok(());
    }
    let own = known.into_iter().map(|(_, object)| object).filter(|object| object.kind == definitions::KIND);
    let brought: Vec<Rendered> = definitions::of_chart(chart)?.into_iter().chain(own).collect();
    let mut back = BTreeSet::new();
    for object in &unknown {
        let definition = brought.iter().find(|definition| definitions::brings(definition, object));
        let definition = definition.ok_or_else(|| nobody_brings(object, &step.definition.chart))?;
        if back.insert(&definition.name) {
            cx.note(step.id(), Level::Info, format!("putting back: {} is gone", definition.title()));
            definitions::bring_back(client, &step.kinds, definition).await?;
        }
    }
    Ok(())
}

/// The error for an object of a kind that the cluster does not have any more, and that the chart does not bring.
pub fn nobody_brings(object: &Rendered, chart: &Path) -> Failure {
    Failure::step(format!("the cluster has no kind {} in {} any more", object.kind, object.api_version))
        .because(format!("{} of the release is of that kind", object.title()))
        .because(format!("{} has no CustomResourceDefinition for it", chart.display()))
        .help("install again what brought this kind, then run the same command again")
}
