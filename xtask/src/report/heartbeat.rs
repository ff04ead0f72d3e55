//! A sign of life for logs that nobody can ask: when nothing has been told for a while, what runs and how long it has.
//!
//! CI services end jobs that are silent for long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::event::{Event, Level};

use super::terminal::Verbosity;
use super::{Reporter, words};
use crate::world::pause;

/// How long it may be silent unless something else is said; a line comes at most this late.
pub const SILENCE: Duration = Duration::from_secs(20);

struct State {
    silence: Duration,
    verbosity: Verbosity,
    told: Instant,
    running: BTreeMap<String, (Instant, String)>,
}

impl State {
    /// The sign that is due at `now`, or how long to wait until there could be one.
    fn due(&mut self, now: Instant) -> Result<String, Duration> {
        let silent = now.saturating_duration_since(self.told);
        if let Some(rest) = self.silence.checked_sub(silent).filter(|rest| !rest.is_zero()) {
            return Err(rest);
        }
        self.told = now;
        let running = self.running.iter().map(|(name, (since, doing))| {
            let doing = if doing.is_empty() { String::new() } else { format!(": {doing}") };
            format!("{name} for {}{doing}", words::duration(now.saturating_duration_since(*since)))
        });
        let running = running.collect::<Vec<_>>().join("; ");
        Ok(if running.is_empty() { "still at it".to_owned() } else { running })
    }
}

/// See the module. Clones are one and the same.
#[derive(Clone)]
pub struct Pulse(Arc<Mutex<State>>);

impl Pulse {
    /// A pulse that bears `silence`, beside a log that tells as much as `verbosity` says.
    pub fn new(silence: Duration, verbosity: Verbosity) -> Self {
        Self(Arc::new(Mutex::new(State { silence, verbosity, told: Instant::now(), running: BTreeMap::new() })))
    }

    /// Something was told: whoever reads the log has seen a line.
    pub fn told(&self) {
        self.state().told = Instant::now();
    }

    /// `name` runs from now on.
    pub fn begin(&self, name: &str) {
        self.state().running.insert(name.to_owned(), (Instant::now(), String::new()));
    }

    /// `name` does not run any more.
    pub fn end(&self, name: &str) {
        self.state().running.remove(name);
    }

    /// Has `tell` called with a sign of life whenever it was silent for too long. Never ends: drop it.
    pub async fn beat(self, tell: impl Fn(String)) {
        loop {
            let due = self.state().due(Instant::now());
            match due {
                Ok(sign) => tell(sign),
                Err(rest) => pause(rest).await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one call: whoever panicked with it in hand has left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Pulse {
    fn event(&mut self, event: &Event) {
        let mut state = self.state();
        match event {
            Event::Progress { step, text } => {
                if let Some((_, doing)) = state.running.get_mut(&step.to_string()) {
                    doing.clone_from(text);
                }
            }
            Event::Started { step } => {
                state.running.insert(step.to_string(), (Instant::now(), String::new()));
            }
            Event::Done { step, .. } | Event::Failed { step, .. } | Event::Cancelled { step } => {
                state.running.remove(&step.to_string());
            }
            _ => {}
        }
        if is_line(event, state.verbosity) {
            state.told = Instant::now();
        }
    }
}

/// Whether every log of that verbosity has a line for `event`. What is doubtful counts as silence: a sign too many
/// harms nobody.
fn is_line(event: &Event, verbosity: Verbosity) -> bool {
    match event {
        Event::Failed { .. } | Event::Note { level: Level::Warning, .. } => true,
        Event::Done { .. } | Event::Waiting { .. } | Event::Note { .. } => verbosity > Verbosity::Quiet,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use engine::event::{Event, Level};
    use engine::step::StepId;

    use super::{SILENCE, State, is_line};
    use crate::report::terminal::Verbosity;

    #[test]
    fn silence_is_broken_in_time_and_not_before() {
        let begun = Instant::now();
        let running = BTreeMap::from([("image:app".to_owned(), (begun, "RUN make".to_owned()))]);
        let mut state = State { silence: SILENCE, verbosity: Verbosity::Normal, told: begun, running };
        assert_eq!(state.due(begun), Err(SILENCE));
        assert_eq!(state.due(begun + Duration::from_secs(19)), Err(Duration::from_secs(1)));
        assert_eq!(state.due(begun + SILENCE), Ok("image:app for 20.0s: RUN make".to_owned()));
        assert_eq!(state.due(begun + SILENCE), Err(SILENCE), "and then it is quiet again");
        assert!(SILENCE < Duration::from_secs(30), "the longest that some services bear");
    }

    #[test]
    fn only_what_is_shown_breaks_the_silence() {
        let step = StepId::cluster;
        let note = |level| Event::Note { step: None, level, text: "a word".to_owned() };
        let rows = [
            (Event::Waiting { step: step(), holder: "another".to_owned() }, true, false),
            (note(Level::Info), true, false),
            (note(Level::Warning), true, true),
            // Its line is that of its reason, and there may be none.
            (Event::Started { step: step() }, false, false),
            (Event::Progress { step: step(), text: "RUN make".to_owned() }, false, false),
            (Event::Fresh { step: step() }, false, false),
        ];
        for (event, normal, quiet) in rows {
            assert_eq!(is_line(&event, Verbosity::Normal), normal, "{event:?}");
            assert_eq!(is_line(&event, Verbosity::Quiet), quiet, "{event:?}");
        }
    }
}
