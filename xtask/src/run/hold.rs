//! Taking a lock, and saying who has it meanwhile.

use std::time::Duration;

use engine::event::Event;
use engine::failure::Failure;
use engine::lock::{Held, Lock, Locks};
use engine::step::StepId;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::steps::Step;

/// How often a run looks who holds a lock before it waits for somebody without a name.
const LOOKS: usize = 50;

/// Takes the lock of `step`, waiting for whoever holds it: they are told as an event.
///
/// # Errors
/// When the lock cannot be made, or the run was cancelled while it waited.
pub async fn hold(cx: &Context, locks: &Locks, step: &dyn Step) -> Result<Held, Failure> {
    let lock = locks.named(&step.lock_name(cx)?);
    let holder = format!(
        "`{}` in {}, process {}",
        std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        cx.workspace.root().display(),
        std::process::id()
    );
    let mut looks = 0;
    loop {
        if let Some(held) = lock.try_acquire(&holder)? {
            return Ok(held);
        }
        match lock.holder() {
            // Who took it a moment ago has yet to write who it is.
            None if looks < LOOKS => looks += 1,
            other => return wait_for(cx, step.id(), lock, holder, other).await,
        }
        crate::world::pause(Duration::from_millis(2)).await;
    }
}

/// Waits for a lock that `other` has, on behalf of `step`; `holder` tells others who has it then.
///
/// # Errors
/// When the lock cannot be taken, or the run was cancelled while it waited.
pub async fn wait_for(
    cx: &Context,
    step: &StepId,
    lock: Lock,
    holder: String,
    other: Option<String>,
) -> Result<Held, Failure> {
    let other = other.unwrap_or_else(|| "another run".to_owned());
    cx.tell(Event::Waiting { step: step.clone(), holder: other });
    acquire(lock, holder, &cx.cancel).await
}

/// Takes a lock, waiting for whoever holds it, who is told of on behalf of `step`.
///
/// # Errors
/// As [`wait_for`].
pub async fn turn(cx: &Context, step: &StepId, lock: Lock, holder: String) -> Result<Held, Failure> {
    if let Some(held) = lock.try_acquire(&holder)? {
        return Ok(held);
    }
    let other = lock.holder();
    wait_for(cx, step, lock, holder, other).await
}

/// Waits for a lock; `holder` tells others who has it then.
///
/// # Errors
/// When the lock cannot be taken, or the run was cancelled while it waited.
pub async fn acquire(lock: Lock, holder: String, cancel: &CancellationToken) -> Result<Held, Failure> {
    // A thread that waits for a lock cannot be told to stop; it ends with the process.
    let acquire = tokio::task::spawn_blocking(move || lock.acquire(&holder));
    tokio::select! {
        held = acquire => held.map_err(|error| Failure::step("could not wait for a lock").because(error))?,
        () = cancel.cancelled() => Err(Failure::interrupted()),
    }
}
