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

/// What was done with the releases.
pub enum Restored {
    /// Nothing: they run built images, or are not there.
    Nothing,
    /// They run built images again.
    All,
    /// This release has no revision that `dev` did not make.
    NoneBuilt(String),
}

/// Puts all releases back.
///
/// # Errors
/// When the cluster does not answer, an image is gone, or pods do not become ready.
pub async fn restore(global: &Global, isolation: Option<&str>, screen: &Screen) -> Result<Restored, Problem> {
    let session = Session::for_dev(global, isolation, Mode::Deploy, screen.reporter())?;
    let cluster = session.plan(&[StepId::cluster()], false);
    let summary = run::execute(&session.cx, &session.steps, cluster, &session.locks).await;
    let ended = match summary.failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => releases(&session).await,
    };
    let tally = match &ended {
        Ok(_) => Tally::default(),
        Err(_) => Tally { failed: 1, ..Tally::default() },
    };
    session.finish(tally, None).await;
    Ok(ended?)
}

async fn releases(session: &Session) -> Result<Restored, Failure> {
    let (cx, file) = (&session.cx, &session.project.file);
    let mut restored = Restored::Nothing;
    for (name, definition) in &file.releases {
        if !definition.images.values().any(|used| file.dev.contains_key(&used.image)) {
            continue;
        }
        let id = StepId::new(Kind::Release, name.as_str());
        let step = ReleaseStep::new(name, definition.clone(), rollback::origins(file));
        let history = step.history(cx).await?;
        let mut newest = true;
        let mut built = None;
        for head in history.iter().rev() {
            if !step.runs_dev(cx, head).await? {
                built = Some(head);
                break;
            }
            newest = false;
        }
        match built {
            None if history.is_empty() => {}
            None => return Ok(Restored::NoneBuilt(definition.name.clone())),
            Some(_) if newest => {}
            Some(head) => {
                let begun = Instant::now();
                rollback::require_images(cx, file, &step, head).await?;
                cx.tell(Event::Started { step: id.clone() });
                cx.progress(&id, format!("back to revision {}", head.revision));
                let summary = step.roll_back(cx, head).await?;
                restored = Restored::All;
                cx.tell(Event::Done { step: id, summary, took: begun.elapsed() });
            }
        }
    }
    Ok(restored)
}
