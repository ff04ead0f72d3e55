//! The question before the first deploy to a cluster that somebody else has made.

use std::sync::Arc;

use engine::failure::{Class, Failure};
use engine::step::StepId;

use super::session::Session;
use crate::steps::cluster::{ClusterStep, Definition};

/// Shows the cluster and asks, where there is something to ask and somebody to answer. Without a terminal the cluster
/// step itself refuses, and says what to write into the graph file.
///
/// # Errors
/// `Class::Cluster` for any answer but yes; or when the cluster does not answer.
pub async fn first_deploy(session: &mut Session) -> Result<(), Failure> {
    let Some(cluster) = session.project.file.cluster.as_ref().filter(|_| session.cx.person.is_there()) else {
        return Ok(());
    };
    let mut step = ClusterStep::new(Definition::from(cluster));
    let stored = session.cx.workspace.receipts().load(&StepId::cluster());
    let Some(identity) = step.question(stored.receipt()).await? else { return Ok(()) };
    let context = session.cx.world.context();
    let (server, uid) = (&identity.server, &identity.uid);
    let question = format!(
        "This is the first deploy to the cluster behind the context `{context}`:\n  server {server}\n  uid    {uid}\n\
         Deploy to it? [y/N] "
    );
    if !session.cx.person.says_yes(&question, &session.cx.cancel).await? {
        return Err(Failure::new(Class::Cluster, format!("the deploy to `{context}` was not confirmed"))
            .because("nothing was touched"));
    }
    step.accept(uid.clone());
    session.steps.insert(StepId::cluster(), Arc::new(step));
    Ok(())
}
