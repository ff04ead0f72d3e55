//! Puts pods back on built images when the loop ends: each release goes back to its last revision that `dev` did not
//! make.

use std::time::Instant;

use engine::event::{Event, Tally};
use engine::failure::Failure;
use engine::step::{Kind, StepId};

use super::screen::Screen;
use crate::cli::Global;
use crate::cli::problem::Problem;
use crate::cli::rollback;
use crate::cli::session::Session;
use crate::run;
use crate::steps::Mode;
use crate::steps::release::ReleaseStep;

/// What was done with the releases. Those that run built images, or are not there, are in neither list.
#[derive(Debug, Default)]
pub struct Restored {
    /// They run built images again.
    pub back: Vec<String>,
    /// They have no revision with built images, so their pods stay as they are.
    pub none_built: Vec<String>,
    /// What came in the way of the others.
    pub failures: Vec<Failure>,
}

/// Puts all releases back, each whatever becomes of the others.
///
/// # Errors
/// When nothing could be begun: the cluster does not answer.
pub async fn restore(global: &Global, isolation: Option<&str>, screen: &Screen) -> Result<Restored, Problem> {
    let session = Session::for_dev(global, isolation, Mode::Deploy, screen.reporter())?;
    let cluster = session.plan(&[StepId::cluster()], false);
    let summary = run::execute(&session.cx, &session.steps, cluster, &session.locks).await;
    let mut restored = Restored { failures: summary.failures, ..Restored::default() };
    if restored.failures.is_empty() {
        releases(&session, &mut restored).await;
    }
    session.finish(Tally { failed: restored.failures.len(), ..Tally::default() }, None).await;
    Ok(restored)
}

async fn releases(session: &Session, restored: &mut Restored) {
    let file = &session.project.file;
    for (name, definition) in &file.releases {
        if !definition.images.values().any(|used| file.dev.contains_key(&used.image)) {
            continue;
        }
        let id = StepId::new(Kind::Release, name.as_str());
        let step = ReleaseStep::new(name, definition.clone(), rollback::origins(file));
        match release(session, &id, &step).await {
            Ok(Way::Nothing) => {}
            Ok(Way::Back) => restored.back.push(definition.name.clone()),
            Ok(Way::NoneBuilt) => restored.none_built.push(definition.name.clone()),
            Err(failure) => restored.failures.push(failure),
        }
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
    let mut built = None;
    for (age, head) in history.iter().rev().enumerate() {
        if !step.runs_dev(cx, head).await? {
            built = Some((age, head));
            break;
        }
    }
    match built {
        None if history.is_empty() => Ok(Way::Nothing),
        None => Ok(Way::NoneBuilt),
        Some((0, _)) => Ok(Way::Nothing),
        Some((_, head)) => {
            let begun = Instant::now();
            rollback::require_images(cx, &session.project.file, step, head).await?;
            cx.tell(Event::Started { step: id.clone() });
            cx.progress(id, format!("back to revision {}", head.revision));
            let summary = step.roll_back(cx, head).await?;
            cx.tell(Event::Done { step: id.clone(), summary, took: begun.elapsed() });
            Ok(Way::Back)
        }
    }
}
