//! Shows what a run would do, for the commands that only look.

use std::io::Write as _;

use serde_json::json;

use super::{Format, Global};
use crate::report::style::{BAD, DOING, GOOD, verb};
use crate::run::{Forecast, Outlook};

/// One line per step on standard output; with JSON one object per line.
pub fn print(global: &Global, forecasts: &[Forecast]) {
    let mut stdout = anstream::stdout();
    for forecast in forecasts {
        let line = match global.format {
            Format::Human => line(forecast),
            Format::Json => json(forecast).to_string(),
        };
        // A closed pipe ends the listing.
        if writeln!(stdout, "{line}").is_err() {
            return;
        }
    }
}

/// The exit code of a command that only looks: what cannot be judged, or would fail, decides it.
pub fn exit_code(forecasts: &[Forecast]) -> u8 {
    let unknown = forecasts.iter().filter_map(|forecast| match &forecast.outlook {
        Outlook::Unknown(failure) | Outlook::Broken(failure) => Some(failure.class.exit_code()),
        _ => None,
    });
    unknown.max().unwrap_or(0)
}

fn line(forecast: &Forecast) -> String {
    let step = &forecast.step;
    match &forecast.outlook {
        Outlook::Fresh => format!("{}{step}", verb(GOOD, "Fresh")),
        Outlook::Stale(reasons) => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            format!("{}{step:<18} {}", verb(DOING, "Stale"), reasons.join("; "))
        }
        Outlook::Behind(steps) => {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            format!("{}{step:<18} runs if {} makes something else", verb(DOING, "Waiting"), steps.join(" or "))
        }
        Outlook::Unknown(failure) => format!("{}{step:<18} {failure}", verb(BAD, "Unknown")),
        Outlook::Broken(failure) => format!("{}{step:<18} {failure}", verb(BAD, "Broken")),
    }
}

/// A step and what would become of it, for programs.
pub fn json(forecast: &Forecast) -> serde_json::Value {
    let receipt = forecast.receipt.as_ref().filter(|receipt| receipt.output.is_some());
    let mut object = json!({
        "step": forecast.step,
        "finished_ms": receipt.map(|receipt| receipt.finished_ms),
        "took_ms": receipt.map(|receipt| receipt.took.as_millis() as u64),
        "output": receipt.and_then(|receipt| receipt.output.as_ref()).map(|output| &output.facts),
    });
    let (outlook, key, detail) = match &forecast.outlook {
        Outlook::Fresh => ("fresh", None, json!(null)),
        Outlook::Stale(reasons) => {
            let texts: Vec<_> =
                reasons.iter().map(|reason| json!({"text": reason.to_string(), "detail": reason})).collect();
            ("stale", Some("reasons"), json!(texts))
        }
        Outlook::Behind(steps) => ("behind", Some("behind"), json!(steps)),
        Outlook::Unknown(failure) => ("unknown", Some("failure"), json!(failure)),
        Outlook::Broken(failure) => ("broken", Some("failure"), json!(failure)),
    };
    object["outlook"] = json!(outlook);
    if let Some(key) = key {
        object[key] = detail;
    }
    object
}
