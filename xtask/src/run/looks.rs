//! Looks at the world begun before their steps' turns, so that a run which finds nothing to do waits for all of them
//! at once and not for one after another.
//!
//! A look is a step's own `observe`, against the receipt that it will most likely be judged by. It counts only if that
//! is so, and only as long as nothing that this run does could have changed the world: then it tells what an `observe`
//! a moment later would have told. What was looked at too early is thrown away and costs a request too many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use engine::failure::Failure;
use engine::receipt::Receipt;
use engine::run::Planned;
use engine::step::StepId;
use engine::verdict::Observation;
use tokio_util::task::AbortOnDropHandle;

use super::Steps;
use crate::context::Context;

/// The looks that wait for their steps.
#[derive(Clone, Default)]
pub(super) struct Looks(Arc<Mutex<BTreeMap<StepId, Look>>>);

struct Look {
    receipt: Receipt,
    /// When it began, in milliseconds since 1970.
    begun_ms: u64,
    observation: AbortOnDropHandle<Result<Observation, Failure>>,
}

impl Looks {
    /// Begins to look for every step of `plan` whose turn comes only after others'.
    pub(super) fn begin(cx: &Context, steps: &Steps, plan: &[Planned]) -> Self {
        let receipts = cx.workspace.receipts();
        let looks = plan.iter().filter(|planned| !planned.needs.is_empty() && !planned.forced).filter_map(|planned| {
            let step = Arc::clone(steps.get(&planned.step).filter(|step| step.asks_the_world())?);
            let receipt = receipts.load(&planned.step).receipt()?.clone();
            receipt.output.as_ref()?;
            let (cx, against) = (cx.clone(), receipt.clone());
            let observation = tokio::spawn(async move { step.observe(&cx, &against).await });
            let look = Look { receipt, begun_ms: now_ms(), observation: AbortOnDropHandle::new(observation) };
            Some((planned.step.clone(), look))
        });
        Self(Arc::new(Mutex::new(looks.collect())))
    }

    /// What was seen for `step`, if it was held against `receipt` and nobody is known to have worked on the step
    /// since: the last one who did has ended `left_ms`, in milliseconds since 1970.
    pub(super) async fn take(&self, step: &StepId, receipt: &Receipt, left_ms: Option<u64>) -> Option<Observation> {
        let look = self.waiting().remove(step)?;
        let left_meanwhile = left_ms.is_some_and(|left_ms| left_ms >= look.begun_ms);
        if look.receipt != *receipt || left_meanwhile {
            return None;
        }
        // What failed early may succeed in its turn, and if not, that failure is the one to tell.
        look.observation.await.ok()?.ok()
    }

    /// Throws all away: the world is about to change, or may have changed.
    pub(super) fn forget(&self) {
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<StepId, Look>> {
        // Whoever panicked while holding it left complete entries.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
