//! Puts pods back on built images when the loop ends: each release goes back to its last revision that `dev` did not
//! make, and one that has none is deployed with images that are built for it.

use std::time::Instant;

use engine::config::Release;
use engine::event::{Event, Level, Tally};
use engine::failure::Failure;
use engine::run::State;
use engine::step::{Kind, StepId};

use super::deploying::Leave;
use super::patched::{Former, Place};
use super::screen::Screen;
use crate::cli::problem::Problem;
use crate::cli::rollback::{self, Passed};
use crate::cli::session::{Project, Session};
use crate::dayzero::tools;
use crate::run;
use crate::steps::Mode;
use crate::steps::cluster::{ClusterStep, Definition, Presence};
use crate::steps::release::ReleaseStep;
use crate::world::helm::record::{Head, Status};

/// What was done with the releases. Those that ran built images already, or are not there, are in neither list.
#[derive(Debug, Default)]
pub struct Restored {
    /// They run built images again.
    pub back: Vec<String>,
    /// Their pods stay as they are.
    pub left: Vec<String>,
    /// What came in the way of them.
    pub failures: Vec<Failure>,
}

impl Restored {
    /// What was done besides.
    pub fn extend(&mut self, other: Self) {
        self.back.extend(other.back);
        self.left.extend(other.left);
        self.failures.extend(other.failures);
    }
}

/// Puts all releases of `project` back, each whatever becomes of the others. Nobody is asked anything any more: what would
/// need leave that `leave` does not give beforehand is left undone. `had_cluster` says whether a run of this loop has got
/// past the cluster: where none has, no cluster is made or started only to find nothing in it.
///
/// # Errors
/// When nothing could be begun: the state folder cannot be written.
pub async fn restore(
    project: Project,
    isolation: Option<&str>,
    leave: &Leave,
    had_cluster: bool,
    screen: &Screen,
) -> Result<Restored, Problem> {
    let mut session = Session::for_dev(project, isolation, Mode::Deploy, screen.reporter())?;
    leave.grant(&mut session);
    if !may_run_dev(&session, had_cluster).await? {
        return Ok(Restored::default());
    }
    know_cluster(&session)?;
    Ok(in_cluster(session, |_| true).await)
}

/// Puts the release at `place` back, which an earlier graph file has had synced.
///
/// # Errors
/// As [`restore`].
pub async fn restore_former(
    place: &Place,
    former: Former,
    isolation: Option<&str>,
    leave: &Leave,
    screen: &Screen,
) -> Result<Restored, Problem> {
    let mut session = Session::for_former(former.project, isolation, screen.reporter())?;
    leave.grant(&mut session);
    let receipts = session.cx.workspace.receipts();
    // Nobody has to say again that this cluster is meant; and a receipt of yet another one says nothing of it.
    let _ = std::fs::remove_dir_all(receipts.folder());
    if let Some(receipt) = &former.cluster {
        receipts.store(receipt)?;
    }
    let restored = match may_run_dev(&session, true).await? {
        true => {
            in_cluster(session, |release| release.namespace == place.namespace && release.name == place.release).await
        }
        false => Restored::default(),
    };
    // The next one may be about another cluster.
    let _ = std::fs::remove_dir_all(receipts.folder());
    Ok(restored)
}

async fn in_cluster(session: Session, wanted: impl Fn(&Release) -> bool) -> Restored {
    let cluster = session.plan(&[StepId::cluster()], false);
    let summary = run::execute(&session.cx, &session.steps, cluster, &session.locks).await;
    let mut restored = Restored { failures: summary.failures, ..Restored::default() };
    if restored.failures.is_empty() {
        releases(&session, wanted, &mut restored).await;
    }
    session.finish(Tally { failed: restored.failures.len(), ..Tally::default() }, None).await;
    restored
}

/// Whether pods may run what a loop has synced.
async fn may_run_dev(session: &Session, had_cluster: bool) -> Result<bool, Failure> {
    let Some(cluster) = &session.project.file.cluster else { return Ok(false) };
    let known = session.cx.workspace.clone().for_dev().receipts().load(&StepId::cluster()).receipt().is_some();
    if !had_cluster && !known {
        return Ok(false);
    }
    let presence = ClusterStep::new(Definition::from(cluster)).presence(&session.cx).await?;
    Ok(may_hold_dev(&presence, had_cluster))
}

/// The same of a cluster that some loop has deployed to. One that does not answer is brought back by the loop that has had
/// it; to any other it may be one that is only half made.
fn may_hold_dev(presence: &Presence, had_cluster: bool) -> bool {
    match presence {
        Presence::Absent => false,
        Presence::Answers => true,
        Presence::Silent(_) => had_cluster,
    }
}

/// It is the cluster that the loop has deployed to, and nobody has to say so again.
fn know_cluster(session: &Session) -> Result<(), Failure> {
    let ours = session.cx.workspace.receipts();
    let loops = session.cx.workspace.clone().for_dev().receipts();
    match (ours.load(&StepId::cluster()).receipt(), loops.load(&StepId::cluster()).receipt()) {
        (None, Some(receipt)) => ours.store(receipt),
        _ => Ok(()),
    }
}

async fn releases(session: &Session, wanted: impl Fn(&Release) -> bool, restored: &mut Restored) {
    let file = &session.project.file;
    let mut none_built = Vec::new();
    for (name, definition) in file.releases.iter().filter(|(_, definition)| wanted(definition)) {
        if !definition.images.values().any(|used| file.dev.contains_key(&used.image)) {
            continue;
        }
        let id = StepId::new(Kind::Release, name.as_str());
        let step = ReleaseStep::new(name, definition.clone(), rollback::origins(file));
        match release(session, &id, &step).await {
            Ok(Way::Nothing) => {}
            Ok(Way::Back) => restored.back.push(definition.name.clone()),
            Ok(Way::NoneBuilt) => none_built.push((id, definition.name.clone())),
            Err(failure) => {
                restored.left.push(definition.name.clone());
                restored.failures.push(failure);
            }
        }
    }
    if !none_built.is_empty() {
        deploy(session, none_built, restored).await;
    }
}

/// Deploys releases that only the loop has deployed, as they would be deployed without it.
async fn deploy(session: &Session, releases: Vec<(StepId, String)>, restored: &mut Restored) {
    let ids: Vec<StepId> = releases.iter().map(|(id, _)| id.clone()).collect();
    let plan = session.plan(&ids, false);
    if let Err(failure) = tools::prepare(&session.cx, &session.project.file, &plan).await {
        restored.left.extend(releases.into_iter().map(|(_, name)| name));
        restored.failures.push(failure);
        return;
    }
    let summary = run::execute(&session.cx, &session.steps, plan, &session.locks).await;
    restored.failures.extend(summary.failures);
    for (id, name) in releases {
        let runs = summary.states.contains(&(id.clone(), State::Done)) || summary.states.contains(&(id, State::Fresh));
        if runs { restored.back.push(name) } else { restored.left.push(name) }
    }
}

/// What was done with one.
enum Way {
    Nothing,
    Back,
    NoneBuilt,
}

async fn release(session: &Session, id: &StepId, step: &ReleaseStep) -> Result<Way, Failure> {
    let cx = &session.cx;
    // Another run that deploys it is waited for, and may have put its pods on built images then.
    let _held = run::hold(cx, &session.locks, step).await?;
    let history = step.history(cx).await?;
    let Some(newest) = history.last() else { return Ok(Way::Nothing) };
    if !step.runs_dev(cx, newest).await? {
        return Ok(Way::Nothing);
    }
    let passed = rollback::passed(&cx.workspace, id);
    let mut built = Vec::new();
    for head in history.iter().rev().skip(1) {
        if !step.runs_dev(cx, head).await? {
            built.push(head);
            // Nothing that is older would be gone back to.
            if passed.contains_key(&head.uid) {
                break;
            }
        }
    }
    let mut heads = in_order(&built, &passed).into_iter().peekable();
    while let Some(head) = heads.next() {
        let Err(failure) = go_back(session, id, step, head).await else { return Ok(Way::Back) };
        let Some(next) = heads.peek() else { return Err(failure) };
        let text = format!("{failure}; going back to revision {}, which has passed its checks", next.revision);
        cx.note(id, Level::Warning, text);
    }
    Ok(Way::NoneBuilt)
}

/// The revisions to go back to, of those with built images, the newest first: the next only where one does not work.
/// First the last that somebody deployed, from here or elsewhere, though nobody may have seen it work. Then the last that
/// has passed its checks. One that helm calls failed has never worked.
fn in_order<'a>(built: &[&'a Head], passed: &Passed) -> Vec<&'a Head> {
    let mut heads: Vec<&Head> = built.iter().copied().filter(|head| head.status != Status::Failed).take(1).collect();
    let worked = built.iter().copied().find(|head| passed.contains_key(&head.uid));
    heads.extend(worked.filter(|worked| heads.iter().all(|head| head.uid != worked.uid)));
    heads
}

async fn go_back(session: &Session, id: &StepId, step: &ReleaseStep, head: &Head) -> Result<(), Failure> {
    let (cx, begun) = (&session.cx, Instant::now());
    rollback::require_images(cx, &session.project.file, step, head).await?;
    cx.tell(Event::Started { step: id.clone() });
    cx.progress(id, format!("back to revision {}", head.revision));
    let summary = step.roll_back(cx, head).await?;
    cx.tell(Event::Done { step: id.clone(), summary, took: begun.elapsed() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use engine::failure::Failure;

    use super::{Head, Passed, Presence, Status, in_order, may_hold_dev};

    #[test]
    fn no_cluster_is_made_or_started_to_put_back_what_was_never_deployed() {
        let silent = || Presence::Silent(Failure::environment("half made"));
        for (presence, had_cluster, expected) in [
            (Presence::Absent, false, false),
            (Presence::Absent, true, false),
            (silent(), false, false),
            // It was stopped meanwhile.
            (silent(), true, true),
            // By a loop that was killed, or by the program that this one was.
            (Presence::Answers, false, true),
            (Presence::Answers, true, true),
        ] {
            assert_eq!(may_hold_dev(&presence, had_cluster), expected, "{presence:?} {had_cluster}");
        }
    }

    #[test]
    fn the_last_that_was_deployed_is_gone_back_to_and_else_the_last_that_worked() {
        use Status::{Deployed, Failed, Superseded};
        for (built, passed, expected) in [
            ([(5, Superseded), (4, Superseded)].as_slice(), [5].as_slice(), [5].as_slice()),
            // Deployed from elsewhere, or broken: it is tried.
            (&[(5, Superseded), (4, Superseded)], &[4], &[5, 4]),
            (&[(5, Deployed), (4, Failed), (3, Superseded)], &[3], &[5, 3]),
            (&[(5, Superseded), (4, Superseded)], &[], &[5]),
            (&[(5, Failed), (4, Superseded)], &[], &[4]),
            (&[(5, Failed), (4, Superseded)], &[4], &[4]),
            // There is nothing that would work: it is built.
            (&[(5, Failed)], &[], &[]),
            (&[], &[], &[]),
        ] {
            let head = |(revision, status): &(u32, Status)| Head {
                revision: *revision,
                status: *status,
                secret: String::new(),
                uid: format!("u{revision}"),
            };
            let heads: Vec<Head> = built.iter().map(head).collect();
            let passed: Passed = passed.iter().map(|revision| (format!("u{revision}"), 0)).collect();
            let found: Vec<u32> =
                in_order(&heads.iter().collect::<Vec<_>>(), &passed).iter().map(|head| head.revision).collect();
            assert_eq!(found, expected, "{built:?}");
        }
    }
}
