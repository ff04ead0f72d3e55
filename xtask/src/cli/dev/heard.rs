//! What the loop makes of what it hears from containers that follow their sources.

use std::time::Instant;

use serde_json::json;

use super::images::Again;
use super::looks::Look;
use super::trouble::Part;
use super::{Development, Place};
use crate::dev::link::{News, What};
use crate::report::words;

/// What was sent when no file differed.
const NOTHING: &str = "0 files";

impl Development {
    /// Something happened to a pod.
    pub(super) async fn heard(&mut self, News { image, pod, what }: News) {
        self.screen.fact(&fact(&image, &pod, &what));
        let step = format!("image:{image}");
        match what {
            What::Applied { look, change, restart } => {
                self.trouble.mended(&Part::Pod(pod.clone()));
                match self.looks.get(look).cloned() {
                    Some(seen) if !restart => self.is_live("Synced", &step, &seen),
                    Some(_) => {}
                    None if restart && change == NOTHING => {
                        self.screen.doing("Restarting", &format!("{step:<18} {pod}"));
                    }
                    None if restart => self.screen.doing("Starting", &format!("{step:<18} {pod}, {change}")),
                    None => self.screen.good("Synced", &format!("{step:<18} {pod}, {change}")),
                }
                match restart {
                    true => self.looks.starting(look, &image),
                    false => self.looks.synced(look, &image),
                }
            }
            What::Answering { look } => {
                match self.looks.started(look, &image) {
                    Some(seen) => self.is_live("Restarted", &step, &seen),
                    None => self.screen.good("Started", &format!("{step:<18} {pod} answers")),
                }
                self.trouble.mended(&Part::Application { image, pod });
            }
            What::Exited { code } => {
                let text = format!("{step:<18} the application ended with {code}; it is started with the next change");
                self.screen.bad("Ended", &text);
                self.trouble.add(Part::Application { image, pod }, format!("{step} ended with {code}"));
            }
            What::Moved => self.look_at(Instant::now(), Again::Send, |sources| sources.source().image == image).await,
            What::Refused(why) => {
                self.screen.bad("Refused", &format!("{step:<18} {pod}: {why}"));
                self.trouble.add(Part::Pod(pod), format!("{step} is not as the files are: {why}"));
            }
            What::AsWanted => self.trouble.mended(&Part::Pod(pod)),
            What::Lost(why) => {
                self.screen.warning("Lost", &format!("{step:<18} {pod}: {why}"));
                self.retry.when_settled();
            }
            What::Gone => {
                // What a run replaces is told by the run.
                if self.deploying.is_none() {
                    self.screen.warning("Gone", &format!("{step:<18} {pod}; the files go to the next one"));
                }
                self.trouble.mended(&Part::Pod(pod.clone()));
                self.trouble.mended(&Part::Application { image, pod });
                self.retry.when_settled();
            }
        }
    }

    /// A change is live.
    fn is_live(&mut self, word: &str, step: &str, look: &Look) {
        let took = words::duration(look.since.elapsed());
        let text = format!("{step:<18} {}, live in {took}", look.change);
        self.screen.good(word, &text);
        self.screen.set(Place::Change, &text);
        let how = if word == "Synced" { "it is synced" } else { "it is synced, and the application starts with it" };
        self.why = vec![format!("{step:<18} {} changed: {how}", look.change)];
    }
}

fn fact(image: &str, pod: &str, what: &What) -> serde_json::Value {
    match what {
        What::Applied { look, change, restart } => {
            json!({"event": "applied", "image": image, "pod": pod, "look": look, "change": change, "restart": restart})
        }
        What::Answering { look } => json!({"event": "answering", "image": image, "pod": pod, "look": look}),
        What::Exited { code } => json!({"event": "exited", "image": image, "pod": pod, "code": code}),
        What::Refused(why) => json!({"event": "refused", "image": image, "pod": pod, "why": why}),
        What::AsWanted => json!({"event": "as-wanted", "image": image, "pod": pod}),
        What::Moved => json!({"event": "moved", "image": image, "pod": pod}),
        What::Gone => json!({"event": "gone", "image": image, "pod": pod}),
        What::Lost(why) => json!({"event": "lost", "image": image, "pod": pod, "why": why}),
    }
}
