//! `status`: what is deployed, and what a deploy would do.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::isolate::Isolate;
use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global, forecast};
use crate::report::style::{BAD, DOING, FAINT, GOOD, paint, verb};
use crate::report::words;
use crate::run::{self, Forecast, Outlook};

/// Of which deployment.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// Which deployment
    #[command(flatten)]
    pub isolate: Isolate,
}

/// Shows every step: whether it is fresh, what it made and when.
///
/// # Errors
/// When the graph file has mistakes.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let session = Session::begin_as(global, "status", Record::Nothing, request.isolate.name(), Vec::new())?;
    let plan = session.plan(&[], false);
    let forecasts = run::forecast(&session.cx, &session.steps, &plan, &session.locks).await;
    match global.format {
        Format::Json => forecast::print(global, &forecasts),
        Format::Human => {
            let mut stdout = anstream::stdout();
            for forecast in &forecasts {
                // A closed pipe ends the listing.
                if writeln!(stdout, "{}", line(forecast)).is_err() {
                    break;
                }
            }
        }
    }
    Ok(ExitCode::from(forecast::exit_code(&forecasts)))
}

/// What of a step's output came from no registry.
fn assembled(forecast: &Forecast) -> String {
    let output = forecast.receipt.as_ref().and_then(|receipt| receipt.output.as_ref());
    let list = output.and_then(|output| output.facts.get("assembled")?.as_array().cloned()).unwrap_or_default();
    list.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(", ")
}

fn line(forecast: &Forecast) -> String {
    let (verb, text) = match &forecast.outlook {
        Outlook::Fresh => (verb(GOOD, "Fresh"), String::new()),
        Outlook::Stale(reasons) => {
            let first = reasons.first().map(ToString::to_string).unwrap_or_default();
            (verb(DOING, "Stale"), first)
        }
        Outlook::Behind(steps) => {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            (verb(DOING, "Waiting"), format!("for {}", steps.join(", ")))
        }
        Outlook::Unknown(failure) => (verb(BAD, "Unknown"), failure.to_string()),
        Outlook::Broken(failure) => (verb(BAD, "Broken"), failure.to_string()),
    };
    let made = forecast.receipt.as_ref().filter(|receipt| receipt.output.is_some()).map(|receipt| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ago = words::ago(now.saturating_sub(Duration::from_millis(receipt.finished_ms)));
        paint(FAINT, &format!("last run {ago}, took {}", words::duration(receipt.took)))
    });
    let parts = [text, made.unwrap_or_default(), assembled(forecast)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>();
    format!("{verb}{:<18} {}", forecast.step, parts.join("  ")).trim_end().to_owned()
}
