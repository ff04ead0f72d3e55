//! What the loop and the person at its keys say to each other.

use std::time::Instant;

use engine::failure::Class;
use tokio_util::sync::CancellationToken;

use super::deploying::{Deploying, Orders};
use super::keys::Key;
use super::{Development, Place, Waiting};
use crate::ask::Question;
use crate::report::words;
use crate::world::process::Command;

impl Development {
    /// Does what a key asks for.
    pub(super) async fn pressed(&mut self, key: Key) {
        match key {
            Key::Rebuild => self.deploy(Orders { rebuild: true, since: Some(Instant::now()) }),
            Key::Restart => {
                for image in self.images.values() {
                    image.desired.send_modify(|desired| desired.restarts += 1);
                }
            }
            Key::Pause => match self.paused.take() {
                None => {
                    self.paused = Some(Waiting::default());
                    self.show_state();
                }
                Some(waiting) => self.go_on(waiting).await,
            },
            Key::Why if self.why.is_empty() => self.screen.good("Why", "nothing had to be done yet"),
            Key::Why => self.why.iter().for_each(|reason| self.screen.doing("Why", reason)),
            Key::Open => self.open(),
            Key::Logs => {
                let which = self.logs.choose_next();
                self.screen.good("Logs", &which);
            }
            Key::Yes | Key::No => {
                if let Some(question) = self.question.take() {
                    question.answer(key == Key::Yes);
                    self.show_state();
                }
            }
            Key::Quit => {}
        }
    }

    /// A run asks something. It goes on with the answer, and everything else goes on meanwhile.
    pub(super) fn asked(&mut self, question: Question) {
        self.screen.line(question.text().trim_end());
        self.question = Some(question);
        self.show_state();
    }

    /// A run has ended: what it was for may be live, and why it did anything may be asked for. A run that finds all as it
    /// should be, as after each rollout, says nothing about the one before it.
    pub(super) fn learn_from(&mut self, run: &Deploying) {
        // Nobody waits for the answer any more.
        self.question = None;
        self.note_patched(run);
        let reasons = run.reasons();
        if let (Some(took), Some(first)) = (run.took(), reasons.first()) {
            let text = format!("{first}, live in {}", words::duration(took));
            self.screen.good("Live", &text);
            self.screen.set(Place::Change, &text);
        }
        if !reasons.is_empty() {
            self.why = reasons;
        }
    }

    /// Opens the application in a browser, as the desktop does it.
    fn open(&mut self) {
        let Some(url) = self.url.clone().or_else(|| self.ports.first()) else { return };
        let screen = self.screen.clone();
        screen.doing("Opening", &url);
        // Where the desktop has no daemon for it, it takes as long as the browser is open.
        self.opened.spawn(async move {
            let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
            let opened = Command::new(opener).arg(&url).run(&CancellationToken::new(), |_, _| {}).await;
            if opened.and_then(|finished| finished.success(Class::Environment)).is_err() {
                screen.warning("Open", &format!("{url} yourself: this machine has no {opener} that does"));
            }
        });
    }
}
