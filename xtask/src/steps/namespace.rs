//! The namespace that a step puts things into, made when it is missing.

use engine::event::Event;
use engine::failure::Failure;
use engine::step::StepId;
use kube::Client;

use crate::context::Context;
use crate::world::kube::namespaces;

/// Makes `namespace` for `step` when it is missing. One that is being removed is waited for, which is told.
///
/// # Errors
/// When it does not go, or cannot be made; or the run was cancelled meanwhile.
pub async fn ensure(cx: &Context, step: &StepId, client: &Client, namespace: &str) -> Result<(), Failure> {
    let waiting = |what: &str| cx.tell(Event::Waiting { step: step.clone(), holder: what.to_owned() });
    tokio::select! {
        free = namespaces::until_free(client, namespace, waiting) => free?,
        () = cx.cancel.cancelled() => return Err(Failure::interrupted()),
    }
    namespaces::ensure(client, namespace, &cx.project).await
}
