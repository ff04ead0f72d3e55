//! What the loop shows: lasting lines, and on a terminal a few lines below them that say how things are.
//!
//! The lasting lines are ordinary output, so a terminal's own scrolling and searching work on them. Without a terminal
//! there are only they.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use engine::event::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::Format;
use crate::report::style::{BAD, DOING, FAINT, GOOD, WARNING, paint, verb};
use crate::report::terminal::{Terminal, Verbosity};
use crate::report::{Reporter, live_lines};

/// See the module. Cheap to clone; all clones write to the same screen.
#[derive(Clone)]
pub struct Screen {
    format: Format,
    verbosity: Verbosity,
    bars: Option<MultiProgress>,
    lines: Arc<BTreeMap<Place, ProgressBar>>,
}

/// The lines at the bottom of a terminal, from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// What is wrong, until it is mended.
    Trouble,
    /// The last change, with its time to live.
    Change,
    /// Where the application answers.
    Ports,
    /// What the loop does now.
    State,
    /// The keys.
    Keys,
}

const PLACES: [Place; 5] = [Place::Trouble, Place::Change, Place::Ports, Place::State, Place::Keys];

impl Screen {
    /// Shows lines at the bottom where standard error is a terminal.
    pub fn new(format: Format, verbosity: Verbosity) -> Self {
        let live = live_lines::are_possible() && format == Format::Human && verbosity > Verbosity::Quiet;
        let bars = live.then(live_lines::none_yet);
        let mut lines = BTreeMap::new();
        if let Some(bars) = &bars {
            for place in PLACES {
                let bar = bars.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                    bar.set_style(style);
                }
                lines.insert(place, bar);
            }
        }
        Self { format, verbosity, bars, lines: Arc::new(lines) }
    }

    /// Whether there are lines at the bottom, and keys to press.
    pub fn is_live(&self) -> bool {
        self.bars.is_some()
    }

    /// Shows the events of a run.
    pub fn reporter(&self) -> Box<dyn Reporter> {
        match (self.format, &self.bars) {
            (Format::Json, _) => Box::new(Lines(self.clone())),
            (Format::Human, Some(bars)) => Box::new(QuietWhenFresh(Terminal::above(bars.clone(), self.verbosity))),
            (Format::Human, None) => Box::new(QuietWhenFresh(Terminal::new(self.verbosity))),
        }
    }

    /// A lasting line about something that went well.
    pub fn good(&self, word: &str, text: &str) {
        self.line(&format!("{}{text}", verb(GOOD, word)));
    }

    /// A lasting line about something that is being done.
    pub fn doing(&self, word: &str, text: &str) {
        self.line(&format!("{}{text}", verb(DOING, word)));
    }

    /// A lasting line about something to look at.
    pub fn warning(&self, word: &str, text: &str) {
        self.line(&format!("{}{text}", verb(WARNING, word)));
    }

    /// A lasting line about something that failed.
    pub fn bad(&self, word: &str, text: &str) {
        self.line(&format!("{}{text}", verb(BAD, word)));
    }

    /// Lasting text that is written already as people read it.
    pub fn line(&self, text: &str) {
        if self.format == Format::Human {
            self.write(|| {
                // Standard error may be closed: the loop goes on.
                let _ = writeln!(anstream::stderr(), "{text}");
            });
        }
    }

    /// A fact for programs.
    pub fn fact(&self, fact: &serde_json::Value) {
        if self.format == Format::Json {
            let _ = writeln!(anstream::stdout(), "{fact}");
        }
    }

    /// A line of a workload's log, on standard output: it is what the application says, not what the loop does.
    pub fn log(&self, line: &str, fact: &serde_json::Value) {
        match self.format {
            Format::Json => self.fact(&json!({"event": "log", "line": fact})),
            Format::Human => self.write(|| {
                // Whoever has seen enough closes the pipe.
                let _ = writeln!(anstream::stdout(), "{line}");
            }),
        }
    }

    /// Sets one of the lines at the bottom; an empty text removes it.
    pub fn set(&self, place: Place, text: &str) {
        if let Some(bar) = self.lines.get(&place) {
            let text = match place {
                Place::Trouble if !text.is_empty() => format!("{}{}", verb(BAD, "Broken"), text),
                Place::Change if !text.is_empty() => format!("{}{}", verb(GOOD, "Live"), text),
                Place::Ports if !text.is_empty() => format!("{}{}", verb(FAINT, "Open"), text),
                Place::State if !text.is_empty() => format!("{}{}", verb(DOING, "Now"), text),
                _ => paint(FAINT, text),
            };
            bar.set_message(text);
        }
    }

    /// Takes the lines at the bottom away.
    pub fn close(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that has gone needs no cleaning.
            let _ = bars.clear();
        }
    }

    fn write(&self, write: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// Leaves out the last line of runs that found nothing to do: most of them were begun for a file that concerns nothing.
struct QuietWhenFresh(Terminal);

impl Reporter for QuietWhenFresh {
    fn event(&mut self, event: &Event) {
        if let Event::RunFinished { tally, .. } = event
            && tally.ran + tally.failed + tally.skipped == 0
        {
            return;
        }
        self.0.event(event);
    }
}

/// Events as facts.
struct Lines(Screen);

impl Reporter for Lines {
    fn event(&mut self, event: &Event) {
        self.0.fact(&json!(event));
    }
}
