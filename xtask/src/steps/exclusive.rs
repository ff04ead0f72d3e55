//! Work on namespaces that no run on any machine may do at the same time: under their Leases.

use engine::event::Event;
use engine::failure::Failure;
use engine::step::StepId;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use kube::Client;

use crate::context::Context;
use crate::world::kube::lease::{self, Held, Holder};

/// What is done under Leases. Boxed, because it is most of what a step does: moved from call to call instead it
/// overflows the stack of the runtime's threads in a build that is not optimized.
pub type Work<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// As whom `step` of this run holds Leases.
pub fn holder(step: &StepId) -> Holder {
    Holder::this(&step.to_string())
}

/// Does `work` on behalf of `step` while holding the Lease of `namespace`, which is there already.
///
/// # Errors
/// Those of `work`; or the run was cancelled while it waited, or the Lease was lost.
pub async fn under_lease<T>(
    cx: &Context,
    step: &StepId,
    client: &Client,
    namespace: &str,
    work: Work<'_, T>,
) -> Result<T, Failure> {
    under_leases(cx, step, client, &[namespace], work).await
}

/// As [`under_lease`], for work on several namespaces. They are given in alphabetical order by whoever takes several, so
/// that no two ever wait for each other.
///
/// # Errors
/// As there.
pub async fn under_leases<T>(
    cx: &Context,
    step: &StepId,
    client: &Client,
    namespaces: &[&str],
    work: Work<'_, T>,
) -> Result<T, Failure> {
    let mut leases = Vec::new();
    let taken = take(cx, step, client, namespaces, &mut leases).await;
    let mut done = match taken {
        Ok(()) => {
            let mut losses: FuturesUnordered<_> = leases.iter().map(lost).collect();
            tokio::select! {
                done = work => done,
                Some(namespace) = losses.next() => Err(lease::lost(namespace)),
            }
        }
        Err(failure) => Err(failure),
    };
    for (namespace, lease) in leases {
        // Nobody knows what was done beside somebody else.
        if !lease.release().await && done.is_ok() {
            done = Err(lease::lost(namespace));
        }
    }
    done
}

async fn take<'a>(
    cx: &Context,
    step: &StepId,
    client: &Client,
    namespaces: &[&'a str],
    leases: &mut Vec<(&'a str, Held)>,
) -> Result<(), Failure> {
    let holder = holder(step);
    for namespace in namespaces {
        let waiting = |holder: &str| cx.tell(Event::Waiting { step: step.clone(), holder: holder.to_owned() });
        let lease = tokio::select! {
            lease = lease::acquire(client, namespace, &holder, waiting) => lease?,
            () = cx.cancel.cancelled() => return Err(Failure::interrupted()),
        };
        leases.push((namespace, lease));
    }
    Ok(())
}

async fn lost<'a>((namespace, lease): &(&'a str, Held)) -> &'a str {
    lease.lost().cancelled().await;
    namespace
}
