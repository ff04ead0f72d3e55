//! `status`: what is deployed, and what a deploy would do.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use engine::failure::{Class, Failure};
use engine::step::{Kind, StepId};
use serde_json::json;

use super::isolate::Isolate;
use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global, forecast};
use crate::report::style::{BAD, DOING, FAINT, GOOD, WARNING, paint, verb};
use crate::report::words;
use crate::run::{self, Forecast, Outlook};
use crate::steps::cluster::{ClusterStep, Definition};
use crate::steps::release::observed;

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
    // What cannot be found out is said of the release's step already.
    let synced = session.unless_interrupted(synced(&session, &forecasts)).await.unwrap_or_default();
    let of = |forecast: &Forecast| synced.get(&forecast.step).map_or(&[][..], Vec::as_slice);
    match global.format {
        Format::Json => {
            let mut stdout = anstream::stdout();
            for forecast in &forecasts {
                let mut object = forecast::json(forecast);
                if forecast.step.kind == Kind::Release {
                    object["synced"] = json!(of(forecast));
                }
                if writeln!(stdout, "{object}").is_err() {
                    break;
                }
            }
        }
        Format::Human => {
            let mut stdout = anstream::stdout();
            let workload =
                |forecast: &Forecast, text: &String| format!("{}{:<18} {text}", verb(WARNING, "Synced"), forecast.step);
            let lines = forecasts.iter().flat_map(|forecast| {
                let workloads = of(forecast).iter().map(move |text| workload(forecast, text));
                std::iter::once(line(forecast)).chain(workloads)
            });
            for line in lines {
                // A closed pipe ends the listing.
                if writeln!(stdout, "{line}").is_err() {
                    break;
                }
            }
        }
    }
    let interrupted = session.cx.cancel.is_cancelled();
    Ok(ExitCode::from(if interrupted { Class::Interrupted.exit_code() } else { forecast::exit_code(&forecasts) }))
}

/// What a dev loop has made different in the workloads of releases, by the release's step: the loop of anybody, and also
/// where nothing was ever deployed from here. Nothing is asked about fresh releases, which run built images.
async fn synced(session: &Session, forecasts: &[Forecast]) -> Result<BTreeMap<StepId, Vec<String>>, Failure> {
    let mut found = BTreeMap::new();
    let Some(cluster) = &session.project.file.cluster else { return Ok(found) };
    let workspace = &session.cx.workspace;
    let stored = workspace.receipts().load(&StepId::cluster());
    // The only one that knows the cluster may be the loop of this checkout.
    let of_loop = workspace.clone().for_dev().receipts().load(&StepId::cluster());
    let known = stored.receipt().or(of_loop.receipt());
    if !ClusterStep::new(Definition::from(cluster)).expect(&session.cx, known).await? {
        return Ok(found);
    }
    for (name, release) in &session.project.file.releases {
        let id = StepId::new(Kind::Release, name.as_str());
        let is_fresh = |forecast: &Forecast| forecast.step == id && forecast.outlook == Outlook::Fresh;
        if !forecasts.iter().any(is_fresh) {
            let client = session.cx.world.kube().await?;
            found.insert(id, observed::synced(&client, &release.namespace, &release.name).await?);
        }
    }
    Ok(found)
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
