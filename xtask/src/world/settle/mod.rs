//! Waits until workloads run what their manifests say, and ends the wait as soon as that cannot happen any more.
//!
//! A [`Watch`] is begun before anything is applied, so that what was there before is told from what the apply made,
//! and so that a hook which hangs inside helm is seen. It changes nothing in the cluster, and knows neither helm
//! nor the graph file.

pub mod scope;

mod feed;
mod judge;
mod lookup;
mod narrate;
mod rollout;
mod snapshot;
mod steady;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::failure::Failure;
use futures_util::{Stream, stream};
use kube::Client;
use tokio::time::Instant;

use crate::diagnose::diagnose;
use crate::diagnose::diagnosis::{Diagnosis, Patience};
use crate::diagnose::evidence::{Evidence, Findings, Identity, Kind, Want, Workload};
use crate::world::process::Redact;
use feed::Feed;
use judge::Judge;
use scope::Scope;
use snapshot::Snapshot;

/// How far the watch may be behind an apply that has returned.
const ARRIVAL: Duration = Duration::from_secs(5);

/// A workload that has to be rolled out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    /// Which one.
    pub identity: Identity,
    /// Its `metadata.generation` after the apply: what is seen of an older one says nothing. 0 when any will do, and
    /// for a Job or a bare pod that may have finished and gone.
    pub generation: i64,
}

/// A workload that has settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Pods that are available.
    pub ready: i32,
    /// Pods that there should be.
    pub desired: i32,
    /// Whether its pods are the very ones that were there when the watch began.
    pub unchanged: bool,
}

/// What [`Watch::until_settled`] waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The expected workloads. Jobs that have finished and are gone already are left out.
    pub workloads: BTreeMap<Identity, State>,
}

/// Watches the workloads of a [`Scope`], their pods and their events. Dropped, it stops.
pub struct Watch {
    client: Client,
    scope: Scope,
    redact: Redact,
    feed: Feed,
    /// The generations of the scope's workloads when the watch began, by uid.
    before: BTreeMap<String, i64>,
    /// The uids of the pods that were there when the watch began.
    pods_before: BTreeSet<String>,
}

impl Watch {
    /// Begins to watch. What exists when this returns is not what a later apply made.
    ///
    /// # Errors
    /// When the cluster does not answer, or forbids listing and watching.
    pub async fn begin(client: Client, scope: Scope, redact: Redact) -> Result<Self, Failure> {
        let feed = Feed::start(&client, &scope.namespaces).await?;
        let (before, pods_before) = {
            let snapshots = feed.snapshots();
            let snapshot = snapshots.borrow();
            let workloads = view::workloads(&snapshot, &scope);
            let pods = snapshot.pods.values().filter_map(|pod| pod.metadata.uid.clone()).collect();
            (view::generations(&workloads, &snapshot), pods)
        };
        Ok(Self { client, scope, redact, feed, before, pods_before })
    }

    /// The state of the scope's workloads in one line, whenever it changes: `backend 1/2 ready, frontend 2/2`.
    pub fn progress(&self) -> impl Stream<Item = String> + Send + use<> {
        let scope = self.scope.clone();
        let state = (self.feed.snapshots(), String::new(), true);
        stream::unfold(state, move |(mut snapshots, shown, first)| {
            let scope = scope.clone();
            async move {
                let mut first = first;
                loop {
                    if !first {
                        snapshots.changed().await.ok()?;
                    }
                    first = false;
                    let line = {
                        let snapshot = snapshots.borrow_and_update();
                        narrate::line(&view::workloads(&snapshot, &scope), &scope)
                    };
                    if line != shown && !line.is_empty() {
                        return Some((line.clone(), (snapshots, line, false)));
                    }
                }
            }
        })
    }

    /// Resolves as soon as something that was made or changed since the watch began will not heal; never otherwise.
    /// For use beside helm, which is deaf while it waits for hooks.
    pub async fn failure(&self) -> Failure {
        let touched = |workload: &Workload, snapshot: &Snapshot| self.touched(workload, snapshot);
        let never = |_: &Snapshot| None::<((), Duration)>;
        match self.wait(&self.scope, never, touched, None).await {
            Ended::Broken(failure) => failure,
            // Only a deadline or a result ends the wait otherwise, and there is neither.
            Ended::Done(()) | Ended::TimedOut(_) => std::future::pending().await,
        }
    }

    /// Why those of `workloads` that were made or changed since the watch began have not come to their end: for when
    /// somebody else's time for them is over. `None` when nothing tells.
    pub async fn overdue(&self, workloads: &[Identity]) -> Option<Failure> {
        let of = |workload: &Workload, snapshot: &Snapshot| {
            workloads.contains(&workload.identity) && self.touched(workload, snapshot)
        };
        let never = |_: &Snapshot| None::<((), Duration)>;
        match self.wait(&self.scope, never, of, Some(Instant::now())).await {
            Ended::Broken(failure) => Some(failure),
            Ended::TimedOut(found) => found.map(|diagnosis| diagnosis.into_failure(&*self.redact)),
            Ended::Done(()) => None,
        }
    }

    /// Whether a workload was made or changed since the watch began.
    fn touched(&self, workload: &Workload, snapshot: &Snapshot) -> bool {
        let now = view::generation(&workload.identity, snapshot);
        self.before.get(&workload.uid).is_none_or(|before| *before < now)
    }

    /// Waits until every one of `expected` is rolled out, wherever it is: where the watch has not looked so far it does
    /// from now on.
    ///
    /// # Errors
    /// The most exact diagnosis of what will not heal, at once; at the `deadline`, of what has not healed. When the
    /// cluster forbids listing and watching where one of them is.
    pub async fn until_settled(
        &mut self,
        expected: &[Expected],
        deadline: std::time::Instant,
    ) -> Result<Settled, Failure> {
        // Which namespaces a release uses is known for certain only when it has been applied.
        let namespaces = expected.iter().map(|expected| expected.identity.namespace.clone()).collect();
        self.feed.cover(&self.client, &namespaces).await?;
        let mut scope = self.scope.clone();
        scope.objects.extend(expected.iter().map(|expected| expected.identity.clone()));
        let names: BTreeSet<&Identity> = expected.iter().map(|expected| &expected.identity).collect();
        // The watch may be a moment behind the apply: what it has not shown yet is not gone.
        let mut snapshots = self.feed.snapshots();
        let arrived = snapshots.wait_for(|snapshot| {
            let workloads = view::workloads(snapshot, &scope);
            let there: BTreeSet<&Identity> = workloads.iter().map(|workload| &workload.identity).collect();
            let known = |one: &Expected| {
                there.contains(&one.identity) || snapshot.deleted.contains(&one.identity)
                    // A Job of an earlier time may be gone long since.
                    || (finishes(&one.identity) && one.generation == 0)
            };
            expected.iter().all(known)
        });
        // Whether all have arrived or not: what is missing from now on is gone.
        let _ = tokio::time::timeout(ARRIVAL, arrived).await;
        let settled = |snapshot: &Snapshot| self.settled(expected, &scope, snapshot);
        let of = |workload: &Workload, _: &Snapshot| names.contains(&workload.identity);
        match self.wait(&scope, settled, of, Some(Instant::from_std(deadline))).await {
            Ended::Done(result) => result,
            Ended::Broken(failure) => Err(failure),
            Ended::TimedOut(found) => Err(self.timed_out(expected, &scope, found)),
        }
    }

    /// Runs until `done` gives something that lasts as long as it asks for, a diagnosis of a workload that `of` picks
    /// ends the wait, or the deadline.
    async fn wait<T>(
        &self,
        scope: &Scope,
        done: impl Fn(&Snapshot) -> Option<(T, Duration)>,
        of: impl Fn(&Workload, &Snapshot) -> bool,
        deadline: Option<Instant>,
    ) -> Ended<T> {
        let mut snapshots = self.feed.snapshots();
        let mut judge = Judge::default();
        let mut findings = Findings::default();
        let mut done_since = None;
        loop {
            let now = Instant::now();
            let mut steady = None;
            let (found, over) = {
                let snapshot = snapshots.borrow_and_update();
                match done(&snapshot) {
                    Some((result, remaining)) => {
                        let since = *done_since.get_or_insert(now);
                        if remaining.is_zero() || now >= since + steady::LONGEST {
                            return Ended::Done(result);
                        }
                        steady = Some((now + remaining).min(since + steady::LONGEST));
                    }
                    None => done_since = None,
                }
                let evidence = view::evidence(&snapshot, scope, findings.clone());
                let found = diagnose(&evidence, |workload| of(workload, &snapshot));
                (found, deadline.is_some_and(|deadline| deadline <= now))
            };
            let round = judge.round(found.clone(), now);
            let suspects = if over { found } else { round.ripe };
            if !suspects.is_empty() {
                let wants: Vec<Want> = suspects.iter().flat_map(|suspect| suspect.wants.clone()).collect();
                findings = Findings::default();
                lookup::look_up(&self.client, &wants, &mut findings).await;
                let confirmed = {
                    let snapshot = snapshots.borrow();
                    let evidence = view::evidence(&snapshot, scope, findings.clone());
                    confirmed(&evidence, &suspects, |workload| of(workload, &snapshot), over)
                };
                match confirmed.into_iter().next() {
                    Some(first) if !over => return Ended::Broken(first.into_failure(&*self.redact)),
                    Some(first) => return Ended::TimedOut(Some(first)),
                    None if over => return Ended::TimedOut(None),
                    None => suspects.iter().for_each(|suspect| judge.refute(suspect, Instant::now())),
                }
                continue;
            }
            if over {
                return Ended::TimedOut(None);
            }
            let next = round.next.into_iter().chain(deadline).chain(steady).min();
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() {
                    // The feed ends only with the watch itself.
                    return Ended::TimedOut(None);
                },
                () = until(next) => {}
            }
        }
    }

    /// `Some` once every expected workload is rolled out, or when one is gone; with how long that has to last.
    fn settled(
        &self,
        expected: &[Expected],
        scope: &Scope,
        snapshot: &Snapshot,
    ) -> Option<(Result<Settled, Failure>, Duration)> {
        let workloads = view::workloads(snapshot, scope);
        let mut settled = Settled { workloads: BTreeMap::new() };
        let mut remaining = Duration::ZERO;
        for one in expected {
            let Some(workload) = workloads.iter().find(|workload| workload.identity == one.identity) else {
                if finishes(&one.identity) {
                    // Finished, and removed by its time to live or its hook's policy.
                    continue;
                }
                let failure = Failure::step(format!(
                    "{} of namespace {} is gone while it was being rolled out",
                    one.identity, one.identity.namespace
                ))
                .because("somebody or something deleted it")
                .help("run the same command again; it makes it anew");
                return Some((Err(failure), Duration::ZERO));
            };
            if !workload.rollout.is_complete() || view::generation(&one.identity, snapshot) < one.generation {
                return None;
            }
            let kept = |pod: &Arc<k8s_openapi::api::core::v1::Pod>| {
                pod.metadata.uid.as_ref().is_some_and(|uid| self.pods_before.contains(uid))
            };
            let state = State {
                ready: workload.rollout.ready,
                desired: workload.rollout.desired,
                unchanged: self.before.contains_key(&workload.uid) && workload.pods.iter().all(kept),
            };
            remaining = remaining.max(steady::remaining(workload, jiff::Timestamp::now()));
            settled.workloads.insert(one.identity.clone(), state);
        }
        Some((Ok(settled), remaining))
    }

    fn timed_out(&self, expected: &[Expected], scope: &Scope, found: Option<Diagnosis>) -> Failure {
        let snapshots = self.feed.snapshots();
        let snapshot = snapshots.borrow();
        let workloads = view::workloads(&snapshot, scope);
        let behind = |workload: &&Workload| {
            let one = expected.iter().find(|one| one.identity == workload.identity);
            one.is_some_and(|one| {
                !workload.rollout.is_complete() || view::generation(&one.identity, &snapshot) < one.generation
            })
        };
        let waiting: Vec<String> = workloads
            .iter()
            .filter(behind)
            .map(|workload| {
                let why = workload.rollout.waiting.as_deref().unwrap_or("the change has not arrived yet");
                format!("{}: {why}", workload.identity)
            })
            .collect();
        let mut failure = match found {
            Some(diagnosis) => diagnosis.into_failure(&*self.redact),
            None => Failure::step("the rollout is not complete, and nothing says why")
                .help("kubectl describe pods shows what the cluster waits for; a longer timeout may be all it needs"),
        };
        failure.causes.push(format!("the time for the rollout is over: {}", waiting.join(", ")));
        for (kind, trouble) in &snapshot.troubles {
            failure.causes.push(format!("the watch of the {kind} is interrupted: {trouble}"));
        }
        failure
    }
}

/// Those of `suspects` that still hold with what was looked up, the best first.
fn confirmed(
    evidence: &Evidence,
    suspects: &[Diagnosis],
    of: impl Fn(&Workload) -> bool,
    over: bool,
) -> Vec<Diagnosis> {
    let suspected = |found: &Diagnosis| {
        suspects.iter().any(|suspect| suspect.class == found.class && suspect.workload == found.workload)
    };
    let mut confirmed: Vec<Diagnosis> = diagnose(evidence, of)
        .into_iter()
        .filter(|found| suspected(found) && (over || found.patience != Patience::UntilDeadline))
        .collect();
    // What will not heal explains more than what might.
    confirmed.sort_by_key(|diagnosis| diagnosis.patience);
    confirmed
}

/// Whether a workload is done at some time, and may be removed then by its time to live or its hook's policy.
fn finishes(identity: &Identity) -> bool {
    matches!(identity.kind, Kind::Job | Kind::Pod)
}

/// How a wait ended.
enum Ended<T> {
    Done(T),
    Broken(Failure),
    TimedOut(Option<Diagnosis>),
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
