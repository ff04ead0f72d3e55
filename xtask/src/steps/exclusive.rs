//! Work on a namespace that no run on any machine may do at the same time: under its Lease.

use engine::event::Event;
use engine::failure::Failure;
use engine::step::StepId;
use kube::Client;

use crate::context::Context;
use crate::world::kube::lease::{self, Holder};

/// Does `work` on behalf of `step` while holding the Lease of `namespace`, which is there already.
///
/// # Errors
/// Those of `work`; or the run was cancelled while it waited, or the Lease was lost.
pub async fn under_lease<T>(
    cx: &Context,
    step: &StepId,
    client: &Client,
    namespace: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let holder = Holder::this(&step.to_string());
    let waiting = |holder: &str| cx.tell(Event::Waiting { step: step.clone(), holder: holder.to_owned() });
    let lease = tokio::select! {
        lease = lease::acquire(client, namespace, &holder, waiting) => lease?,
        () = cx.cancel.cancelled() => return Err(Failure::interrupted()),
    };
    let done = tokio::select! {
        done = work => done,
        () = lease.lost().cancelled() => Err(Failure::step(format!("the Lease of namespace {namespace} was lost"))
            .because("somebody else has taken it, or the cluster did not answer for a while")
            .help("run the same command again")),
    };
    lease.release().await;
    done
}
