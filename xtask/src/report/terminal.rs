//! A run for people: one line per thing that happened, nothing for what did not.
//!
//! On a terminal, steps that run show a live line each; elsewhere there are only the lasting lines.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use engine::event::{Event, Level};
use engine::failure::Failure;
use engine::step::StepId;
use engine::verdict::Reason;
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::plain::plain;
use super::style::{BAD, DOING, FAINT, GOOD, WARNING, paint, verb};
use super::{Reporter, live_lines, words};

/// A live line. What may be long is last: nothing has to be moved for it to be cut off.
const LINE: &str = "{spinner:>12.cyan} {prefix:<18} {took:>6.dim} {wide_msg}";

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Failures and the last line.
    Quiet,
    /// What happened.
    #[default]
    Normal,
    /// All reasons, fresh steps and all output, too.
    Verbose,
}

/// Writes a run to standard error, as cargo and its kin do: standard output is for facts.
pub struct Terminal {
    lines: Lines,
    live: Option<Live>,
}

impl Terminal {
    /// Live lines are shown when standard error is a terminal, and anything is told.
    pub fn new(verbosity: Verbosity) -> Self {
        match live_lines::are_possible() && verbosity > Verbosity::Quiet {
            true => Self::above(live_lines::none_yet(), verbosity),
            false => Self { lines: Lines::new(verbosity), live: None },
        }
    }

    /// Live lines above others that `bars` shows.
    pub fn above(bars: MultiProgress, verbosity: Verbosity) -> Self {
        Self { lines: Lines::new(verbosity), live: Some(Live { bars, running: BTreeMap::new() }) }
    }

    fn print(&self, line: &str) {
        let mut stderr = anstream::stderr();
        // Standard error may be closed: the run goes on.
        let write = || {
            let _ = writeln!(stderr, "{line}");
        };
        match &self.live {
            Some(live) => live.bars.suspend(write),
            None => {
                let mut write = write;
                write();
            }
        }
    }
}

impl Reporter for Terminal {
    fn event(&mut self, event: &Event) {
        if let Some(live) = &mut self.live {
            live.event(event);
        }
        for line in self.lines.of(event) {
            self.print(&line);
        }
    }
}

/// Which lasting lines an event gives.
struct Lines {
    verbosity: Verbosity,
    reasons: BTreeMap<StepId, Vec<Reason>>,
    command: String,
}

impl Lines {
    fn new(verbosity: Verbosity) -> Self {
        Self { verbosity, reasons: BTreeMap::new(), command: String::new() }
    }

    fn of(&mut self, event: &Event) -> Vec<String> {
        let (verbose, quiet) = (self.verbosity == Verbosity::Verbose, self.verbosity == Verbosity::Quiet);
        match event {
            Event::RunStarted { command, .. } => {
                self.command.clone_from(command);
                Vec::new()
            }
            Event::Stale { step, reasons } => {
                self.reasons.insert(step.clone(), reasons.clone());
                Vec::new()
            }
            Event::Started { step } if !quiet => {
                let reasons = self.reasons.get(step).map_or(&[][..], Vec::as_slice);
                let told = if verbose { reasons.len() } else { reasons.len().min(1) };
                let mut lines: Vec<String> = reasons[..told]
                    .iter()
                    .enumerate()
                    .map(|(number, reason)| match number {
                        0 => step_line(verb(DOING, words::doing(step.kind)), step, &reason.to_string()),
                        _ => step_line(" ".repeat(13), step, &reason.to_string()),
                    })
                    .collect();
                let more = reasons.len() - told;
                if more > 0
                    && let Some(line) = lines.last_mut()
                {
                    line.push_str(&paint(FAINT, &format!(" (+{})", words::count(more, "more reason"))));
                }
                lines
            }
            Event::Waiting { step, holder } if !quiet => {
                vec![step_line(verb(WARNING, "Waiting"), step, &format!("for {holder}"))]
            }
            Event::Output { step, line } if verbose => {
                vec![format!("{} {}", paint(FAINT, &format!("{step:>12}")), plain(line))]
            }
            Event::Note { step, level, text } if !quiet || *level == Level::Warning => {
                let verb = match level {
                    Level::Info => verb(FAINT, "Note"),
                    Level::Warning => verb(WARNING, "Warning"),
                };
                match step {
                    Some(step) => vec![step_line(verb, step, text)],
                    None => vec![format!("{verb}{text}")],
                }
            }
            Event::Fresh { step } if verbose => vec![step_line(verb(GOOD, "Fresh"), step, "")],
            Event::Done { step, took, .. } if !quiet && self.command == "teardown" => {
                vec![step_line(verb(GOOD, "Removed"), step, &format!("in {}", words::duration(*took)))]
            }
            Event::Done { step, summary, took } if !quiet => {
                let text = format!("{summary}, in {}", words::duration(*took));
                vec![step_line(verb(GOOD, words::done(step.kind)), step, text.trim_start_matches(", "))]
            }
            Event::Failed { step, failure } => vec![step_line(verb(BAD, "Failed"), step, &failed(step, failure))],
            // The last line counts them; one line each would bury the failure.
            Event::Skipped { step, because_of } if verbose => {
                vec![step_line(verb(WARNING, "Skipped"), step, &format!("{because_of} failed"))]
            }
            Event::Cancelled { step } if verbose => vec![step_line(verb(WARNING, "Cancelled"), step, "")],
            Event::RunFinished { tally, took, headline } => {
                let took = words::duration(*took);
                let ended_well = tally.failed + tally.skipped + tally.cancelled == 0;
                match (ended_well, tally.ran, headline) {
                    (true, 0, headline) => {
                        let rest = headline.as_ref().map(|text| format!(", {text}")).unwrap_or_default();
                        let steps = words::count(tally.fresh, "step");
                        vec![format!("{}{steps}{rest}  ({took})", verb(GOOD, "Fresh"))]
                    }
                    (true, _, headline) => {
                        let text = headline.clone().unwrap_or_else(|| self.command.clone());
                        vec![format!("{}{text}  ({}, {took})", verb(GOOD, "Finished"), words::tally(tally))]
                    }
                    (false, ..) => {
                        vec![format!("{}{}  ({}, {took})", verb(BAD, "Stopped"), self.command, words::tally(tally))]
                    }
                }
            }
            _ => Vec::new(),
        }
    }
}

/// What failed, in a line that names the step already.
fn failed(step: &StepId, failure: &Failure) -> String {
    let message = plain(&failure.message);
    match (message.strip_prefix(&format!("{step} ")), failure.causes.first().and_then(|cause| cause.lines().next())) {
        (Some(rest), Some(cause)) => format!("{rest}: {}", plain(cause)),
        (rest, _) => rest.unwrap_or(&message).to_owned(),
    }
}

/// Verb, step in its column, text.
fn step_line(verb: String, step: &StepId, text: &str) -> String {
    format!("{verb}{step:<18} {text}").trim_end().to_owned()
}

/// One moving line for each step that runs.
struct Live {
    bars: MultiProgress,
    running: BTreeMap<StepId, ProgressBar>,
}

impl Live {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { step } => {
                let bar = self.bars.insert(0, ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template(LINE) {
                    bar.set_style(style.with_key("took", took));
                }
                bar.set_prefix(step.to_string());
                bar.enable_steady_tick(Duration::from_millis(120));
                self.running.insert(step.clone(), bar);
            }
            Event::Progress { step, text } => {
                if let Some(bar) = self.running.get(step) {
                    bar.set_message(plain(text).into_owned());
                }
            }
            Event::Done { step, .. }
            | Event::Failed { step, .. }
            | Event::Fresh { step }
            | Event::Cancelled { step } => {
                if let Some(bar) = self.running.remove(step) {
                    bar.finish_and_clear();
                }
            }
            Event::RunFinished { .. } => {
                std::mem::take(&mut self.running).into_values().for_each(|bar| bar.finish_and_clear());
            }
            _ => {}
        }
    }
}

fn took(state: &ProgressState, text: &mut dyn std::fmt::Write) {
    // Nobody is told what cannot be drawn.
    let _ = text.write_str(&words::duration(state.elapsed()));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::event::{Event, Tally};
    use engine::failure::Failure;
    use engine::step::{Kind, StepId};
    use engine::verdict::{Difference, Reason};

    use super::{Lines, Verbosity};

    fn told(verbosity: Verbosity, events: &[Event]) -> Vec<String> {
        let mut lines = Lines::new(verbosity);
        let told = events.iter().flat_map(|event| lines.of(event));
        told.map(|line| anstream::adapter::strip_str(&line).to_string()).collect()
    }

    #[test]
    fn a_deploy_that_builds_reads_like_this() {
        let step = StepId::new(Kind::Image, "backend");
        let reasons = vec![Reason::NeverRun, Reason::World(Difference::Missing("gone".into()))];
        let tally = Tally { ran: 1, fresh: 3, ..Tally::default() };
        let events = [
            Event::RunStarted { run: 1, command: "deploy".into(), steps: 4 },
            Event::Stale { step: step.clone(), reasons },
            Event::Started { step: step.clone() },
            Event::Done { step, summary: "3f9c1a77b2d0, 212 MB".into(), took: Duration::from_millis(4100) },
            Event::RunFinished {
                tally,
                took: Duration::from_millis(11900),
                headline: Some("http://localhost:30080".into()),
            },
        ];
        let expected = [
            "    Building image:backend      first run (+1 more reason)",
            "       Built image:backend      3f9c1a77b2d0, 212 MB, in 4.1s",
            "    Finished http://localhost:30080  (1 ran, 3 fresh, 11.9s)",
        ];
        assert_eq!(told(Verbosity::Normal, &events), expected);
        assert_eq!(told(Verbosity::Quiet, &events), expected[2..]);
    }

    #[test]
    fn a_failure_is_told_once_in_its_line() {
        let check = |failure: Failure, expected: &str| {
            let event = Event::Failed { step: StepId::new(Kind::Image, "app"), failure };
            assert_eq!(told(Verbosity::Quiet, &[event]), [expected]);
        };
        check(
            Failure::step("image:app did not build").because("exit 7\nand more"),
            "      Failed image:app          did not build: exit 7",
        );
        check(Failure::step("image:app did not build"), "      Failed image:app          did not build");
        check(
            Failure::step("the disk is full").because("no space"),
            "      Failed image:app          the disk is full",
        );
    }

    #[test]
    fn a_run_with_nothing_to_do_is_one_line() {
        let tally = Tally { fresh: 6, ..Tally::default() };
        let fresh = StepId::new(Kind::Image, "backend");
        let finished =
            Event::RunFinished { tally, took: Duration::from_millis(40), headline: Some("todo revision 8".into()) };
        let events = [Event::Fresh { step: fresh }, finished];
        assert_eq!(told(Verbosity::Normal, &events), ["       Fresh 6 steps, todo revision 8  (0.04s)"]);
    }
}
