//! What the workloads write while the loop runs, between the loop's own lines.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::config::GraphFile;
use engine::receipt::write_atomically;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::screen::Screen;
use crate::cli::logs::{as_json, selection, while_ago};
use crate::redact;
use crate::report::log_line;
use crate::world::World;
use crate::world::contact::Contact;
use crate::world::pods::Selection;
use crate::world::pods::follow::{Logs, Mark, News};
use crate::world::pods::log::{Line, Part};
use crate::world::pods::record::Level;
use crate::world::process::Redact;

/// Which lines.
#[derive(Debug, Clone, Args)]
pub struct Wanted {
    /// Only log lines that contain this text
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// Only log lines of this level and graver ones: trace, debug, info, warn, error
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<Level>,
    /// Also log lines of the last while before: 90s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = while_ago)]
    pub since: Option<Duration>,
    /// No log lines; `cargo xtask logs --follow` shows them elsewhere
    #[arg(long)]
    pub no_logs: bool,
}

/// The logs of everything that the graph file deploys.
pub struct Followed {
    wanted: Wanted,
    logs: Option<Logs>,
    /// Whose they are: of which cluster, and of which pods.
    of: Option<(String, Selection)>,
    redactor: Arc<redact::Redactor>,
    /// The workloads that have written anything.
    workloads: BTreeSet<String>,
    /// The only one that is shown, if a person has chosen one.
    only: Option<String>,
    /// What was read before others were followed, and is to be told first.
    untold: VecDeque<News>,
    /// Where those that are followed next are read on.
    left: Left,
}

/// Where reading has stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Left {
    /// The cluster.
    context: String,
    /// When; what has no mark is read from then on.
    at: Option<Timestamp>,
    marks: Vec<Mark>,
    /// The only workload that is shown, if a person has chosen one.
    #[serde(default)]
    only: Option<String>,
}

impl Left {
    /// Where a program has stopped that was this process.
    fn file(state: &Path) -> PathBuf {
        state.join(format!("dev-logs-{}.json", std::process::id()))
    }

    fn take(state: &Path) -> Option<Self> {
        let file = Self::file(state);
        let text = std::fs::read(&file).ok()?;
        // One that was left is for once.
        std::fs::remove_file(&file).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

impl Followed {
    /// Nothing yet. `redactor` masks what nobody is to read; `state` is the folder in which a program that this process
    /// was before has left where it has stopped.
    pub fn new(wanted: Wanted, redactor: Arc<redact::Redactor>, state: &Path) -> Self {
        let (workloads, untold) = (BTreeSet::new(), VecDeque::new());
        let mut left = Left::take(state).unwrap_or_else(|| Left {
            at: wanted.since.and_then(|since| Timestamp::now().checked_sub(since).ok()),
            ..Left::default()
        });
        let only = left.only.take();
        Self { wanted, logs: None, of: None, redactor, workloads, only, untold, left }
    }

    /// Follows what `file` deploys, from now on. What is followed already is read on: nothing of it is lost.
    pub async fn follow(&mut self, file: &GraphFile, world: &Arc<World>) {
        let context = file.cluster.as_ref().map_or("", |cluster| cluster.kube_context()).to_owned();
        let of = (context, selection(file, &[]));
        if self.wanted.no_logs || self.of.as_ref() == Some(&of) {
            return;
        }
        self.stop().await;
        let Left { context, at, marks, .. } = std::mem::take(&mut self.left);
        let marks = if context == of.0 { marks } else { Vec::new() };
        let masked = Arc::clone(&self.redactor);
        let part = Part { since: at.or_else(|| Some(Timestamp::now())), ..Part::default() };
        let redactor: Redact = Arc::new(move |text| masked.redact(text));
        self.logs = Some(Logs::go_on(Arc::clone(world), of.1.clone(), part, marks, redactor));
        self.of = Some(of);
    }

    /// Stops reading, and keeps what was read and where.
    async fn stop(&mut self) {
        let (Some(logs), Some((context, _))) = (self.logs.take(), self.of.take()) else { return };
        let at = Timestamp::now();
        let (untold, marks) = logs.leave().await;
        self.untold.extend(untold);
        self.left = Left { context, at: Some(at), marks, only: None };
    }

    /// Stops reading, shows what was read, and leaves in `state` where the program goes on that this process becomes.
    pub async fn hand_over(&mut self, state: &Path, screen: &Screen) {
        self.stop().await;
        for news in std::mem::take(&mut self.untold) {
            self.show(&news, screen);
        }
        self.left.only = self.only.take();
        // Where that cannot be written, the next one shows what is written from then on.
        if let Ok(text) = serde_json::to_vec(&self.left) {
            let _ = write_atomically(&Left::file(state), &text);
        }
    }

    /// What is told next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> News {
        if let Some(news) = self.untold.pop_front() {
            return news;
        }
        let told = match &mut self.logs {
            Some(logs) => logs.next().await,
            None => None,
        };
        match told {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// Shows what was told, if it is wanted.
    pub fn show(&mut self, news: &News, screen: &Screen) {
        match news {
            News::Line(line) => {
                self.workloads.insert(line.label.clone());
                if self.wants(line) {
                    screen.log(&log_line::render(line), &as_json(line));
                }
            }
            News::Contact(Contact::Lost(why)) => {
                screen.warning("Lost", &format!("{why}; trying again"));
                screen.fact(&json!({"event": "contact-lost", "failure": why}));
            }
            News::Contact(Contact::Back) => {
                screen.good("Back", "the API server answers again");
                screen.fact(&json!({"event": "contact-back"}));
            }
        }
    }

    /// Shows the next workload only, or all again after the last; says which.
    pub fn choose_next(&mut self) -> String {
        let after = |only: &String| self.workloads.iter().find(|label| *label > only).cloned();
        self.only = match &self.only {
            None => self.workloads.first().cloned(),
            Some(only) => after(only),
        };
        self.only.clone().map_or_else(|| "of all workloads".to_owned(), |only| format!("of {only} only"))
    }

    fn wants(&self, line: &Line) -> bool {
        self.only.as_ref().is_none_or(|only| line.label == *only)
            && self.wanted.level.is_none_or(|level| line.level >= level)
            && self.wanted.grep.as_ref().is_none_or(|wanted| line.text.contains(wanted.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Followed, Wanted};
    use crate::cli::Format;
    use crate::cli::dev::screen::Screen;
    use crate::report::terminal::Verbosity;

    #[tokio::test]
    async fn the_workload_that_a_person_has_chosen_is_the_one_that_the_next_program_shows() {
        let state = tempfile::tempdir().unwrap();
        let screen = Screen::new(Format::Json, Verbosity::Normal);
        let begin = || {
            let wanted = Wanted { grep: None, level: None, since: None, no_logs: false };
            Followed::new(wanted, std::sync::Arc::default(), state.path())
        };
        let mut followed = begin();
        assert_eq!(followed.only, None);
        followed.only = Some("web".to_owned());
        followed.hand_over(state.path(), &screen).await;
        assert_eq!(begin().only.as_deref(), Some("web"));
        assert_eq!(begin().only, None, "what was left is for once");
    }
}
