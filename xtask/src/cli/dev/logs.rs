//! What the workloads write while the loop runs, between the loop's own lines.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use engine::config::GraphFile;
use jiff::Timestamp;
use serde_json::json;

use super::screen::Screen;
use crate::cli::logs::{as_json, selection};
use crate::redact;
use crate::report::log_line;
use crate::world::World;
use crate::world::contact::Contact;
use crate::world::pods::Selection;
use crate::world::pods::follow::{Logs, News};
use crate::world::pods::log::{Line, Part};
use crate::world::pods::record::Level;

/// Which lines.
#[derive(Debug, Clone, Args)]
pub struct Wanted {
    /// Only log lines that contain this text
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// Only log lines of this level and graver ones: trace, debug, info, warn, error
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<Level>,
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
}

impl Followed {
    /// Nothing yet. `redactor` masks what nobody is to read.
    pub fn new(wanted: Wanted, redactor: Arc<redact::Redactor>) -> Self {
        Self { wanted, logs: None, of: None, redactor, workloads: BTreeSet::new(), only: None }
    }

    /// Follows what `file` deploys, from now on. What is followed already is read on: nothing of it is lost.
    pub fn follow(&mut self, file: &GraphFile, world: &Arc<World>) {
        let context = file.cluster.as_ref().map_or("", |cluster| cluster.kube_context()).to_owned();
        let of = (context, selection(file, &[]));
        if self.wanted.no_logs || self.of.as_ref() == Some(&of) {
            return;
        }
        let masked = Arc::clone(&self.redactor);
        let part = Part { since: Some(Timestamp::now()), ..Part::default() };
        let redactor: Arc<dyn Fn(&str) -> String + Send + Sync> = Arc::new(move |text: &str| masked.redact(text));
        self.logs = Some(Logs::follow(Arc::clone(world), of.1.clone(), part, redactor));
        self.of = Some(of);
    }

    /// What is told next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> News {
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
