//! Loops of other users and on other machines: whoever keeps the pods of a release holds a Lease for it in its namespace.
//!
//! It is looked at before anything is done, and taken after a run: only then is the namespace there, and the cluster known
//! to be the one that is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::config::GraphFile;
use engine::failure::Failure;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::alone::{synced, taken};
use super::patched::{Place, places};
use super::screen::Screen;
use crate::world::kube::lease::{self, Holder};
use crate::world::{kube_client, pause};

/// Longer than a Lease lasts that nobody renews: whoever has it after that is alive.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between attempts to reach a cluster that does not answer.
const AGAIN: Duration = Duration::from_secs(2);

/// How long giving back may take at the end. What is not given back is free soon.
const ENDING: Duration = Duration::from_secs(2);

/// The releases whose pods this loop keeps. Dropped, they are free as soon as nobody has renewed their Leases for long
/// enough.
pub struct Claims {
    releases: BTreeSet<Place>,
    claims: BTreeMap<Place, Claim>,
    teller: mpsc::UnboundedSender<Failure>,
    lost: mpsc::UnboundedReceiver<Failure>,
    done: CancellationToken,
    screen: Screen,
}

/// One release's Lease, held or about to be.
struct Claim {
    is_held: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Claims {
    /// None yet.
    pub fn none(screen: Screen) -> Self {
        let (teller, lost) = mpsc::unbounded_channel();
        Self {
            releases: BTreeSet::new(),
            claims: BTreeMap::new(),
            teller,
            lost,
            done: CancellationToken::new(),
            screen,
        }
    }

    /// Makes sure that no other loop keeps the pods of a release of `file`. A cluster that does not answer has none.
    ///
    /// # Errors
    /// When one does.
    pub async fn look(file: &GraphFile, screen: &Screen) -> Result<(), Failure> {
        let Ok(client) = kube_client::client(&context(file)).await else { return Ok(()) };
        for release in synced(file) {
            let waiting = |other: &str| {
                screen.warning("Waiting", &format!("for {other}, which had the pods of {} last", release.name));
            };
            let (name, holder) = (lease::of_loop(&release.name), this());
            let found = lease::renewed_by(&client, &release.namespace, &name, &holder, waiting);
            if let Ok(Ok(Some(other))) = timeout(PATIENCE, found).await {
                return Err(taken(&other, &release.name));
            }
        }
        Ok(())
    }

    /// From now on they are about the releases of `file`. What is held stays so: its pods are synced until they are put
    /// back at the end.
    pub fn follow(&mut self, file: &GraphFile) {
        self.releases = places(file);
        self.claims.retain(|place, claim| self.releases.contains(place) || claim.is_held.load(Ordering::Relaxed));
    }

    /// Takes those that are not held: the cluster is the one that is meant, and may answer elsewhere than it did.
    pub fn take(&mut self) {
        for place in &self.releases {
            if self.claims.get(place).is_some_and(|claim| claim.is_held.load(Ordering::Relaxed)) {
                continue;
            }
            let is_held = Arc::new(AtomicBool::new(false));
            let Place { context, namespace, release: name } = place.clone();
            let (held, screen) = (Arc::clone(&is_held), self.screen.clone());
            let (teller, done) = (self.teller.clone(), self.done.clone());
            let task = tokio::spawn(async move {
                let note = |holds: bool| {
                    held.store(holds, Ordering::Relaxed);
                    screen.fact(&json!({"event": if holds { "claimed" } else { "unclaimed" }, "release": name}));
                };
                if let Some(other) = hold(&context, &namespace, &name, note, &done).await {
                    // Nobody listening means that the loop is ending.
                    let _ = teller.send(taken(&other, &name));
                }
            });
            self.claims.insert(place.clone(), Claim { is_held, task });
        }
    }

    /// Returns when another loop has taken one. Dropping the future loses nothing.
    pub async fn lost(&mut self) -> Failure {
        match self.lost.recv().await {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Gives them back.
    pub async fn release(&mut self) {
        self.done.cancel();
        for claim in self.claims.values_mut() {
            // What is not given back in time is free soon.
            let _ = timeout(ENDING, &mut claim.task).await;
        }
    }
}

fn context(file: &GraphFile) -> String {
    file.cluster.as_ref().map_or("", |cluster| cluster.kube_context()).to_owned()
}

fn this() -> Holder {
    Holder::this("dev")
}

/// Keeps the Lease of a release until `done`, when it is given back; returns who has taken it, if somebody else has.
/// `note` is told whether it is held.
async fn hold(
    context: &str,
    namespace: &str,
    release: &str,
    note: impl Fn(bool),
    done: &CancellationToken,
) -> Option<String> {
    let client = kube_client::client(context).await.ok()?;
    let name = lease::of_loop(release);
    loop {
        let mut other = None;
        let holder = this();
        let waiting = |holder: &str| other = Some(holder.to_owned());
        let attempt = timeout(PATIENCE, lease::acquire_named(&client, namespace, &name, &holder, waiting));
        let acquired = tokio::select! {
            acquired = attempt => acquired,
            () = done.cancelled() => return None,
        };
        match acquired {
            Ok(Ok(lease)) => {
                note(true);
                tokio::select! {
                    // Perhaps only because the cluster did not answer for a while.
                    () = lease.lost().cancelled() => note(false),
                    () = done.cancelled() => {
                        lease.release().await;
                        return None;
                    }
                }
            }
            Ok(Err(_)) => tokio::select! {
                () = pause(AGAIN) => {}
                () = done.cancelled() => return None,
            },
            Err(_) if other.is_some() => return other,
            Err(_) => {}
        }
    }
}
