//! The question before the first deploy to a cluster that somebody else has made.

use std::io::Write as _;
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
    let Some(cluster) = session.project.file.cluster.as_ref().filter(|_| session.cx.interactive) else { return Ok(()) };
    let mut step = ClusterStep::new(Definition::from(cluster));
    let stored = session.cx.workspace.receipts().load(&StepId::cluster());
    let Some(identity) = step.question(stored.receipt()).await? else { return Ok(()) };
    let context = session.cx.world.context();
    let (server, uid) = (&identity.server, &identity.uid);
    let question = format!(
        "This is the first deploy to the cluster behind the context `{context}`:\n  server {server}\n  uid    {uid}\n\
         Deploy to it? [y/N] "
    );
    let asked = anstream::stderr().write_all(question.as_bytes()).and_then(|()| anstream::stderr().flush());
    asked.map_err(|error| Failure::environment("could not ask on this terminal").because(error))?;
    let answer = tokio::select! {
        answer = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()) => answer,
        () = session.cx.cancel.cancelled() => return Err(Failure::interrupted()),
    };
    let answer = answer.ok().flatten().and_then(Result::ok).unwrap_or_default();
    if !is_yes(&answer) {
        return Err(Failure::new(Class::Cluster, format!("the deploy to `{context}` was not confirmed"))
            .because("nothing was touched"));
    }
    step.accept(uid.clone());
    session.steps.insert(StepId::cluster(), Arc::new(step));
    Ok(())
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in
            [("y", true), ("Yes", true), (" y ", true), ("", false), ("n", false), ("yep", false), ("ja", false)]
        {
            assert_eq!(is_yes(answer), expected, "{answer}");
        }
    }
}
