//! A sign of life for logs that nobody can ask: when nothing has been told for a while, what runs and how long it has.
//!
//! CI services end jobs that are silent for long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::event::Event;

use super::{Reporter, words};
use crate::world::pause;

/// How long it may be silent; a line comes at most this late.
pub const SILENCE: Duration = Duration::from_secs(20);

struct State {
    told: Instant,
    running: BTreeMap<String, (Instant, String)>,
}

impl State {
    /// The sign that is due at `now`, or how long to wait until there could be one.
    fn due(&mut self, now: Instant) -> Result<String, Duration> {
        let silent = now.saturating_duration_since(self.told);
        if let Some(rest) = SILENCE.checked_sub(silent).filter(|rest| !rest.is_zero()) {
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

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { told: Instant::now(), running: BTreeMap::new() })))
    }
}

impl Pulse {
    /// Something was told.
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
                return;
            }
            // They are shown only to those who ask for everything.
            Event::Output { .. } | Event::Stale { .. } | Event::Fresh { .. } => return,
            Event::Started { step } => {
                state.running.insert(step.to_string(), (Instant::now(), String::new()));
            }
            Event::Done { step, .. } | Event::Failed { step, .. } | Event::Cancelled { step } => {
                state.running.remove(&step.to_string());
            }
            _ => {}
        }
        state.told = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use super::{SILENCE, State};

    #[test]
    fn silence_is_broken_in_time_and_not_before() {
        let begun = Instant::now();
        let running = BTreeMap::from([("image:app".to_owned(), (begun, "RUN make".to_owned()))]);
        let mut state = State { told: begun, running };
        assert_eq!(state.due(begun), Err(SILENCE));
        assert_eq!(state.due(begun + Duration::from_secs(19)), Err(Duration::from_secs(1)));
        assert_eq!(state.due(begun + SILENCE), Ok("image:app for 20.0s: RUN make".to_owned()));
        assert_eq!(state.due(begun + SILENCE), Err(SILENCE), "and then it is quiet again");
        assert!(SILENCE < Duration::from_secs(30), "the longest that some services bear");
    }
}
