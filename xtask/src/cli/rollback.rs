//! `rollback`: a release goes back to the last revision that passed its checks.
//!
//! Which ones have is remembered in `.xtask/passed`, by helm's record and not by the number alone. Nothing is changed
//! before it is certain that the images of that revision are still there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use engine::config::{Daemon, GraphFile, Release};
use engine::event::{Event, Level, Tally};
use engine::failure::{Class, Failure};
use engine::receipt::write_atomically;
use engine::run::State;
use engine::step::{Kind, StepId};

use super::Global;
use super::problem::Problem;
use super::session::{Record, Session};
use crate::context::Context;
use crate::run::{self, Summary};
use crate::steps::release::{Facts, ReleaseStep};
use crate::steps::secrets::Origin;
use crate::workspace::Workspace;
use crate::world::helm::record::Head;

/// How many revisions are remembered for each release: helm keeps no more.
const REMEMBERED: usize = 10;

/// When a revision last passed its checks, in seconds since 1970, by the uid of helm's record of it.
pub type Passed = BTreeMap<String, u64>;

/// What is to go back.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// The release, where there are several
    #[arg(value_name = "RELEASE")]
    pub release: Option<String>,
    /// To this revision, whether it passed its checks or not
    #[arg(long, value_name = "REVISION")]
    pub to: Option<u32>,
}

/// Rolls back.
///
/// # Errors
/// When there is no such revision, an image of it is gone, or its pods do not become ready.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let session = Session::begin(global, "rollback", Record::Run)?;
    let (name, definition) = chosen(&session.project.file, request.release.as_deref())?;
    let id = StepId::new(Kind::Release, name);
    let begun = Instant::now();
    // The cluster is looked at, and started when it has to be, as for a deploy.
    let summary =
        run::execute(&session.cx, &session.steps, session.plan(&[StepId::cluster()], false), &session.locks).await;
    if let Some(failure) = summary.failures.into_iter().next() {
        session.finish(Tally { failed: 1, ..Tally::default() }, None).await;
        return Err(failure.into());
    }
    if session.cx.cancel.is_cancelled() {
        session.finish(Tally { cancelled: 1, ..Tally::default() }, None).await;
        return Err(Failure::interrupted().into());
    }
    let step = ReleaseStep::new(name, definition.clone(), origins(&session.project.file));
    let ended = roll_back(&session, &id, &step, request.to).await;
    let tally = match &ended {
        Ok(summary) => {
            session.cx.tell(Event::Done { step: id, summary: summary.clone(), took: begun.elapsed() });
            Tally { ran: 1, ..Tally::default() }
        }
        Err(_) => Tally { failed: 1, ..Tally::default() },
    };
    session.finish(tally, Some("the next deploy goes forward again, to what the working tree says".to_owned())).await;
    ended?;
    Ok(ExitCode::SUCCESS)
}

async fn roll_back(session: &Session, id: &StepId, step: &ReleaseStep, to: Option<u32>) -> Result<String, Failure> {
    let cx = &session.cx;
    let locks = session.locks.named(&crate::steps::Step::lock_name(step, cx)?);
    let Some(_held) = locks.try_acquire("a rollback")? else {
        let holder = locks.holder().unwrap_or_else(|| "another run".to_owned());
        return Err(Failure::step(format!("{id} is being deployed by {holder}")).help("wait for it, then try again"));
    };
    let history = session.unless_interrupted(step.history(cx)).await?;
    let head = target(&history, &passed(&cx.workspace, id), to)
        .map_err(|failure| failure.because(format!("{id} was not changed")))?;
    session.unless_interrupted(require_images(cx, &session.project.file, step, head)).await?;
    cx.tell(Event::Started { step: id.clone() });
    cx.progress(id, format!("back to revision {}", head.revision));
    step.roll_back(cx, head).await
}

/// The revision to go back to.
fn target<'a>(history: &'a [Head], passed: &Passed, to: Option<u32>) -> Result<&'a Head, Failure> {
    let Some((newest, older)) = history.split_last() else {
        return Err(Failure::step("there is no revision to go back to").help("deploy first: cargo xtask deploy"));
    };
    let kept = || history.iter().map(|head| head.revision.to_string()).collect::<Vec<_>>().join(", ");
    match to {
        Some(revision) if revision == newest.revision => {
            Err(Failure::usage(format!("revision {revision} is the newest one already"))
                .because(format!("kept are {}", kept())))
        }
        Some(revision) => older.iter().find(|head| head.revision == revision).ok_or_else(|| {
            Failure::usage(format!("there is no revision {revision}")).because(format!("kept are {}", kept()))
        }),
        None => older.iter().rev().find(|head| passed.contains_key(&head.uid)).ok_or_else(|| {
            Failure::step("no earlier revision is known to have passed its checks")
                .because(format!("kept are {}", kept()))
                .help(format!("name one: cargo xtask rollback --to {}", older.last().map_or(1, |head| head.revision)))
        }),
    }
}

/// Refuses a revision whose images are gone: its pods would never start.
///
/// # Errors
/// When one is gone, or that cannot be found out.
pub async fn require_images(cx: &Context, file: &GraphFile, step: &ReleaseStep, head: &Head) -> Result<(), Failure> {
    let ours: Vec<&str> = file
        .images
        .values()
        .filter(|image| image.daemon == Daemon::Cluster)
        .map(|image| image.repository.as_str())
        .collect();
    let images = step.images(cx, head).await?;
    let mut needed =
        images.iter().filter(|image| image.rsplit_once(':').is_some_and(|(repository, _)| ours.contains(&repository)));
    let Some(first) = needed.next() else { return Ok(()) };
    let inventory = cx.world.inventory(&cx.world.node_daemon().await?).await?;
    let gone: Vec<&str> = std::iter::once(first)
        .chain(needed)
        .filter(|image| inventory.by_name(image).is_none())
        .map(String::as_str)
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    Err(Failure::step(format!("revision {} cannot run any more", head.revision))
        .because(format!("gone from the node's daemon: {}", gone.join(", ")))
        .help("check out the commit that it was made from, and deploy that"))
}

fn chosen<'a>(file: &'a GraphFile, name: Option<&str>) -> Result<(&'a str, &'a Release), Failure> {
    let names = || file.releases.keys().cloned().collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => {
            let name = name.strip_prefix("release:").unwrap_or(name);
            let found = file.releases.get_key_value(name).map(|(name, release)| (name.as_str(), release));
            found.ok_or_else(|| {
                Failure::usage(format!("there is no release {name}")).because(format!("there are {}", names()))
            })
        }
        None => {
            let mut releases = file.releases.iter();
            match (releases.next(), releases.next()) {
                (Some((name, release)), None) => Ok((name, release)),
                (None, _) => Err(Failure::usage("the graph file has no release")),
                (Some(_), Some(_)) => {
                    Err(Failure::usage("there are several releases").help(format!("name one of {}", names())))
                }
            }
        }
    }
}

/// The secrets steps of a graph file, as releases need to know them.
pub fn origins(file: &GraphFile) -> BTreeMap<String, Origin> {
    file.secrets.iter().map(|(name, secrets)| (name.clone(), Origin::of(secrets))).collect()
}

fn path(workspace: &Workspace, release: &StepId) -> PathBuf {
    workspace.state().join("passed").join(release.file_stem())
}

/// The revisions of a release that have passed their checks. A file that is damaged or not there knows of none.
pub fn passed(workspace: &Workspace, release: &StepId) -> Passed {
    let bytes = fs::read(path(workspace, release)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Remembers the revisions that this run has left with all their checks passed. Where that cannot be written, a warning
/// says so: the run itself is what it is.
pub async fn remember_passed(session: &Session, summary: &Summary) {
    let ended_well = |step: &StepId| {
        summary.states.iter().any(|(other, state)| other == step && matches!(state, State::Done | State::Fresh))
    };
    for (name, definition) in &session.project.file.releases {
        let release = StepId::new(Kind::Release, name.as_str());
        let mut behind = session.project.graph.dependents(&release).filter(|step| step.kind == Kind::Check);
        if !ended_well(&release) || !behind.all(ended_well) {
            continue;
        }
        let step = ReleaseStep::new(name, definition.clone(), BTreeMap::new());
        if let Err(failure) = remember_revision(&session.cx, &release, &step).await {
            let failure = format!("a later rollback will not know that this revision passed its checks: {failure}");
            session.cx.note(&release, Level::Warning, failure);
        }
    }
}

async fn remember_revision(cx: &Context, release: &StepId, step: &ReleaseStep) -> Result<(), Failure> {
    let facts: Facts = cx.facts(release)?;
    let mut known = passed(&cx.workspace, release);
    if known.contains_key(&facts.record) {
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Where helm's records cannot be listed, the oldest give way.
    let kept = step.history(cx).await.ok();
    let kept = kept.map(|history| history.into_iter().map(|head| head.uid).collect());
    remember(&mut known, facts.record, now, kept.as_ref());
    let json = serde_json::to_vec(&known)
        .map_err(|error| Failure::new(Class::Step, "could not remember which revisions passed").because(error))?;
    write_atomically(&path(&cx.workspace, release), &json)
}

/// Adds `record`, which passed at `now`. Records that helm does not keep any more are forgotten, those of an earlier
/// installation with them; and of too many the oldest, whatever the numbers of their revisions are.
fn remember(known: &mut Passed, record: String, now: u64, kept: Option<&BTreeSet<String>>) {
    if let Some(kept) = kept {
        known.retain(|uid, _| kept.contains(uid));
    }
    while known.len() >= REMEMBERED {
        let oldest = known.iter().min_by_key(|(_, at)| **at).map(|(uid, _)| uid.clone());
        oldest.and_then(|uid| known.remove(&uid));
    }
    known.insert(record, now);
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Passed, REMEMBERED, remember, target};
    use crate::world::helm::record::{Head, Status};

    #[test]
    fn the_last_earlier_revision_that_passed_is_the_one() {
        let history: Vec<Head> = (3..=6)
            .map(|revision| Head {
                revision,
                status: Status::Superseded,
                secret: String::new(),
                uid: format!("u{revision}"),
            })
            .collect();
        let check = |passed: &[&str], to: Option<u32>, expected: Result<u32, &str>| {
            let passed: Passed = passed.iter().map(|uid| ((*uid).to_owned(), 0)).collect();
            let found = target(&history, &passed, to);
            match expected {
                Ok(revision) => assert_eq!(found.unwrap().revision, revision),
                Err(message) => assert_eq!(found.unwrap_err().message, message),
            }
        };
        check(&["u3", "u5"], None, Ok(5));
        check(&["u3", "u6"], None, Ok(3));
        check(&["u5 of another installation"], None, Err("no earlier revision is known to have passed its checks"));
        check(&[], Some(4), Ok(4));
        check(&[], Some(6), Err("revision 6 is the newest one already"));
        check(&[], Some(2), Err("there is no revision 2"));
        assert!(target(&[], &BTreeMap::new(), None).is_err());
    }

    #[test]
    fn what_passed_last_is_remembered_whatever_passed_before_it() {
        let of = |times: &[u64]| times.iter().map(|at| (format!("u{at}"), *at)).collect::<Passed>();
        let full: Vec<u64> = (11..11 + REMEMBERED as u64).collect();
        let check = |known: &[u64], kept: Option<&[u64]>, expected: &[u64]| {
            let mut known = of(known);
            let kept = kept.map(|kept| of(kept).into_keys().collect::<BTreeSet<_>>());
            remember(&mut known, "u99".to_owned(), 99, kept.as_ref());
            assert_eq!(known, of(expected), "of {kept:?}");
        };
        check(&[], Some(&[99]), &[99]);
        check(&[11, 12], Some(&[11, 12, 99]), &[11, 12, 99]);
        // Removed and installed anew: helm has none of the old records.
        check(&full, Some(&[99]), &[99]);
        check(&full, Some(&[12, 14, 99]), &[12, 14, 99]);
        // The cluster did not answer.
        check(&full, None, &[&full[1..], &[99]].concat());
    }
}
