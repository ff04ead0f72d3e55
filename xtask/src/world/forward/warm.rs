//! Tunnels that are open before anybody wants them, so that a new connection costs no handshake: some that were opened
//! for that, and those whose connection has ended.
//!
//! They lead to pods that are ready now and are dropped when their pod is not any more. The pods do not notice them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{oneshot, watch};

use super::At;
use super::behind::Behind;
use super::resolve::Target;
use super::tunnel::Tunnel;
use crate::world::World;
use crate::world::backoff::Backoff;

/// How many are kept: a browser opens two connections at once, one of them for the case.
const KEPT: usize = 2;

/// How many whose connection has ended are kept beside those: enough for a page of many small files.
const GIVEN_BACK: usize = 16;

/// How long after a tunnel could not be opened, or broke, the next is: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A tunnel that can be had: whoever sends a sender gets it there, unless it has just broken.
struct Offer {
    target: Target,
    take: oneshot::Sender<oneshot::Sender<Tunnel>>,
}

/// See the module.
#[derive(Default)]
pub struct Warm {
    offers: [Mutex<Option<Offer>>; KEPT],
    /// The one that was used last is last.
    given_back: Mutex<VecDeque<(Target, Tunnel)>>,
    turn: AtomicUsize,
}

impl Warm {
    /// A tunnel to one of `targets`, if one is open.
    pub async fn take(&self, targets: &[Target]) -> Option<(Target, Tunnel)> {
        // With several pods, all of them are to get connections.
        let next = self.in_turn(targets).next()?;
        while let Some((target, mut tunnel)) = self.given_back_to(next) {
            // Nobody has listened to it meanwhile.
            if tunnel.until_broken().now_or_never().is_none() {
                return Some((target, tunnel));
            }
        }
        for slot in &self.offers {
            let Some(offer) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() else { continue };
            let (sender, tunnel) = oneshot::channel();
            if targets.contains(&offer.target)
                && offer.take.send(sender).is_ok()
                && let Ok(tunnel) = tunnel.await
            {
                return Some((offer.target, tunnel));
            }
        }
        None
    }

    /// Takes back a tunnel whose connection has ended.
    pub fn give_back(&self, target: Target, tunnel: Tunnel, targets: &[Target]) {
        if targets.contains(&target) {
            let mut all = self.all_given_back();
            all.push_back((target, tunnel));
            if all.len() > GIVEN_BACK {
                all.pop_front();
            }
        }
    }

    /// Drops the tunnels that were given back and lead to other pods.
    pub fn forget_all_but(&self, targets: &[Target]) {
        self.all_given_back().retain(|(target, _)| targets.contains(target));
    }

    fn given_back_to(&self, wanted: &Target) -> Option<(Target, Tunnel)> {
        let mut all = self.all_given_back();
        let newest = all.iter().rposition(|(target, _)| target == wanted)?;
        all.remove(newest)
    }

    fn all_given_back(&self) -> MutexGuard<'_, VecDeque<(Target, Tunnel)>> {
        // Whoever panicked with it in hand has left it whole: each change is one call.
        self.given_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each time another one of `targets`: the one whose turn it is first, then the others.
    pub fn in_turn<'a>(&self, targets: &'a [Target]) -> impl Iterator<Item = &'a Target> + use<'a> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % targets.len().max(1);
        targets.iter().cycle().skip(first).take(targets.len())
    }

    /// Keeps tunnels open until dropped.
    pub async fn keep(&self, world: &World, at: &At, behind: &watch::Receiver<Behind>) {
        let slots = self.offers.iter().map(|slot| self.fill(slot, world, at, behind.clone()));
        futures_util::future::join_all(slots).await;
    }

    async fn fill(&self, slot: &Mutex<Option<Offer>>, world: &World, at: &At, mut behind: watch::Receiver<Behind>) {
        let mut backoff = Backoff::between(PAUSES.0, PAUSES.1);
        loop {
            let target = {
                let targets = &behind.borrow_and_update().targets;
                self.in_turn(targets).next().cloned()
            };
            let Some(target) = target else {
                if behind.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let opened = match world.kube().await {
                Ok(client) => Tunnel::open(&client, &at.namespace, &target.pod).await,
                Err(failure) => Err(failure),
            };
            if let Ok(tunnel) = opened {
                let (take, taken) = oneshot::channel();
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Offer { target: target.clone(), take });
                if hold(tunnel, taken, &target, &mut behind).await {
                    backoff.reset();
                    continue;
                }
            }
            tokio::select! {
                () = backoff.pause() => {}
                changed = behind.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Holds a tunnel until it is taken, breaks, or leads to a pod that is not ready any more; whether it did its duty.
async fn hold(
    mut tunnel: Tunnel,
    mut taken: oneshot::Receiver<oneshot::Sender<Tunnel>>,
    target: &Target,
    behind: &mut watch::Receiver<Behind>,
) -> bool {
    let goes = behind.wait_for(|behind| !behind.targets.contains(target));
    tokio::select! {
        biased;
        // Whoever wanted it may have given up meanwhile.
        taken = &mut taken => taken.is_ok_and(|taker| taker.send(tunnel).is_ok()),
        _ = goes => true,
        _ = tunnel.until_broken() => false,
    }
}
