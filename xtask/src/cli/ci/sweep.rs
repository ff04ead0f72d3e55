//! What runs that were killed have left: found in the cluster and in this checkout, and removed.
//!
//! A run is over when nobody on its machine holds its name. Of runs on other machines nothing is known, so theirs count
//! as over only after a day; so do those from before this machine was started.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::failure::Failure;
use engine::lock::{Held, Locks};
use engine::step::{Kind, StepId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::run_name::RunName;
use crate::cli::Global;
use crate::cli::problem::Problem;
use crate::cli::session::{Project, Record, Session};
use crate::cli::teardown::{self, Cleared};
use crate::report::Reporter;
use crate::steps::Scope;
use crate::workspace::Workspace;
use crate::world::World;
use crate::world::kube::namespaces::{self, Made};

/// When a run on another machine is certainly over.
pub const STRANGERS_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Everything that an isolated deployment may have.
pub const ALL: Scope = Scope { data: true, cluster: false };

/// The runs that are over and have left something, their names held so that nobody else removes it at the same time.
/// Where no cluster answers, only this checkout is asked.
///
/// # Errors
/// When names cannot be claimed.
pub async fn leftovers(project: &Project, locks: &Locks) -> Result<BTreeMap<RunName, Held>, Failure> {
    let workspace = Workspace::at(project.file.root.clone());
    let now = jiff::Timestamp::now().as_millisecond();
    let mut names = BTreeSet::new();
    for (name, at_ms) in in_checkout(&workspace).into_iter().chain(in_cluster(project).await.unwrap_or_default()) {
        if name.is_under(locks)? || is_old(at_ms, now) {
            names.insert(name);
        }
    }
    let mut over = BTreeMap::new();
    for name in names {
        // A run that asks holds its own name, so it is none of them.
        if let Some(held) = name.claim(locks)? {
            over.insert(name, held);
        }
    }
    Ok(over)
}

/// Runs that have left something here, and when they were here last. A checkout may be shared by machines, too.
fn in_checkout(workspace: &Workspace) -> Vec<(RunName, i64)> {
    let known = workspace.isolations();
    let last = |name: &str| {
        let changed = workspace.isolation_changed(name);
        changed.and_then(|time| jiff::Timestamp::try_from(time).ok()).map_or(0, |time| time.as_millisecond())
    };
    known.iter().filter_map(|name| Some((RunName::parse(name)?, last(name)))).collect()
}

/// Runs that have left namespaces in the cluster, and when those were made.
async fn in_cluster(project: &Project) -> Result<Vec<(RunName, i64)>, Failure> {
    let Some(cluster) = &project.file.cluster else { return Ok(Vec::new()) };
    let client = World::of_context(cluster.kube_context()).kube().await?;
    let made = namespaces::made(&client).await?;
    Ok(made.iter().filter_map(|made| Some((run_of(made, &project.file.project)?, made.at_ms))).collect())
}

fn run_of(made: &Made, project: &str) -> Option<RunName> {
    RunName::parse(made.project.strip_prefix(project)?.strip_prefix('-')?)
}

fn is_old(at_ms: i64, now_ms: i64) -> bool {
    u128::try_from(now_ms.saturating_sub(at_ms)).is_ok_and(|age| age > STRANGERS_AGE.as_millis())
}

/// Removes all that the run `name` has left, telling `listeners` too. `cancel` ends it as a signal does: what is not
/// removed by then is left to the next.
///
/// # Errors
/// When the graph file has mistakes by now, or something could not be removed.
pub async fn remove(
    global: &Global,
    name: &RunName,
    listeners: Vec<Box<dyn Reporter>>,
    cancel: &CancellationToken,
) -> Result<Vec<Failure>, Problem> {
    let name = name.to_string();
    let session = Session::begin_as(global, "teardown", Record::Run, Some(&name), listeners)?;
    let _told = cancelled_with(cancel, &session.cx.cancel);
    let mut failures = Vec::new();
    let mut tally = engine::event::Tally::default();
    match clear(&session).await {
        Ok(cleared) => {
            tally = cleared.tally;
            failures = cleared.failures;
        }
        Err(failure) => failures.push(failure),
    }
    // To be stopped is no failure of a teardown, but something is left.
    if failures.is_empty() && session.cx.cancel.is_cancelled() {
        failures.push(Failure::interrupted());
    }
    if failures.is_empty() {
        session.cx.workspace.forget_isolation(&name)?;
    }
    session.finish(tally, Some(format!("removed the deployment {name}"))).await;
    Ok(failures)
}

/// Has `inner` cancelled when `outer` is, for as long as the handle lives.
fn cancelled_with(outer: &CancellationToken, inner: &CancellationToken) -> AbortOnDropHandle<()> {
    let (outer, inner) = (outer.clone(), inner.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        outer.cancelled().await;
        inner.cancel();
    }))
}

/// Removes what is in the cluster, then the namespaces with whatever is left in them, then images: a container that still
/// runs, of a release that helm has forgotten, say, would keep its image.
async fn clear(session: &Session) -> Result<Cleared, Failure> {
    session.recognise().await?;
    let (images, others): (Vec<StepId>, Vec<StepId>) =
        teardown::order(session).into_iter().partition(|step| step.kind == Kind::Image);
    let mut cleared = teardown::clear(session, &others, ALL, false, |_| {}).await?;
    if !cleared.failures.is_empty() || session.cx.cancel.is_cancelled() {
        return Ok(cleared);
    }
    if session.project.file.cluster.is_some() {
        // Nobody else has anything in there; what steps have made that the graph file has lost since is there, too.
        let client = session.cx.world.kube().await?;
        for made in namespaces::made(&client).await? {
            if made.project == session.cx.project {
                namespaces::remove(&client, &made.namespace, &made.project).await?;
            }
        }
    }
    let rest = teardown::clear(session, &images, ALL, false, |_| {}).await?;
    cleared.tally.ran += rest.tally.ran;
    cleared.tally.failed += rest.tally.failed;
    cleared.tally.cancelled += rest.tally.cancelled;
    cleared.failures.extend(rest.failures);
    Ok(cleared)
}

#[cfg(test)]
mod tests {
    use super::{Made, RunName, STRANGERS_AGE, is_old, run_of};

    #[test]
    fn only_namespaces_of_this_projects_runs_are_ours_to_remove() {
        let check = |made_for: &str, expected: Option<&str>| {
            let made = Made { namespace: "any".to_owned(), project: made_for.to_owned(), at_ms: 0 };
            assert_eq!(run_of(&made, "shop"), expected.and_then(RunName::parse), "{made_for}");
        };
        check("shop-ci-4b1c22-9c1a77", Some("ci-4b1c22-9c1a77"));
        for other in ["shop", "shop-dev", "shop-ci-1", "other-ci-4b1c22-9c1a77", "shop2-ci-4b1c22-9c1a77"] {
            check(other, None);
        }
    }

    #[test]
    fn strangers_are_left_alone_for_a_day() {
        let day = i64::try_from(STRANGERS_AGE.as_millis()).unwrap();
        assert!(!is_old(1_000, 0), "a clock that is behind");
        assert!(!is_old(1_000, 1_000 + day));
        assert!(is_old(1_000, 1_001 + day));
    }
}
