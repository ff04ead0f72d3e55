//! `explain`: why steps would run, and what a step is made of.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use engine::manifest::{Entry, Manifest};
use serde_json::json;

use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global, forecast};
use crate::report::style::{FAINT, paint};
use crate::run;

/// What is to be explained.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// This step, with all its inputs; all steps when none is named
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
}

/// Explains.
///
/// # Errors
/// When the graph file has mistakes or names no such step.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let session = Session::begin(global, "explain", Record::Nothing)?;
    let words: Vec<String> = request.step.iter().cloned().collect();
    let selected = session.project.graph.find(&words)?;
    let plan = session.plan(&selected, false);
    let mut forecasts = run::forecast(&session.cx, &session.steps, &plan, &session.locks).await;
    if !selected.is_empty() {
        forecasts.retain(|forecast| selected.contains(&forecast.step));
    }
    match (global.format, selected.is_empty()) {
        (_, true) => forecast::print(global, &forecasts),
        (Format::Human, false) => {
            forecast::print(global, &forecasts);
            let mut stdout = anstream::stdout();
            for manifest in forecasts.iter().filter_map(|forecast| forecast.manifest.as_ref()) {
                // A closed pipe ends the listing.
                if write!(stdout, "{}", inputs(manifest)).is_err() {
                    break;
                }
            }
        }
        (Format::Json, false) => {
            for forecast in &forecasts {
                let mut object = forecast::json(forecast);
                object["inputs"] = json!(forecast.manifest.as_ref().map(Manifest::entries));
                object["key"] = json!(forecast.manifest.as_ref().map(Manifest::key));
                if writeln!(std::io::stdout(), "{object}").is_err() {
                    break;
                }
            }
        }
    }
    Ok(ExitCode::from(forecast::exit_code(&forecasts)))
}

/// Every input in reading order: what it is, its name, its value or the start of its digest.
fn inputs(manifest: &Manifest) -> String {
    let line = |entry: &Entry| {
        let value = entry.shown.clone().unwrap_or_else(|| paint(FAINT, &entry.digest.short()));
        format!("{:>12} {:<34} {}\n", entry.source.word(), entry.name, value.lines().next().unwrap_or_default())
    };
    let lines: String = manifest.entries().iter().map(line).collect();
    format!("{lines}{:>12} {}\n", "key", manifest.key().short())
}
