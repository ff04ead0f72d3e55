//! `check`: asks now, however fresh the last answers are.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use engine::failure::Failure;
use engine::step::{Kind, StepId};
use futures_util::future::join_all;
use serde_json::json;

use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global};
use crate::report::failure;
use crate::report::style::{BAD, GOOD, verb};
use crate::steps::check::CheckStep;
use crate::steps::local_secrets::LocalSecrets;
use crate::world::forward::http::Answer;

/// What is to be asked.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// Only these checks: `backend` or `check:backend`
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Asks all at once, shows every answer, and then what was wrong.
///
/// # Errors
/// When the graph file has mistakes, or has no such check.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let session = Session::begin(global, "check", Record::Nothing)?;
    session.recognise().await?;
    let file = &session.project.file;
    for name in &request.names {
        let known = file.checks.contains_key(name.strip_prefix("check:").unwrap_or(name));
        if !known {
            let names = file.checks.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("there is no check `{name}`"))
                .help(if names.is_empty() {
                    "the graph file declares none".to_owned()
                } else {
                    format!("there are: {names}")
                })
                .into());
        }
    }
    let wanted = |name: &str| {
        let named = |word: &String| word.strip_prefix("check:").unwrap_or(word) == name;
        request.names.is_empty() || request.names.iter().any(named)
    };
    // Variables in headers may name what other steps have made.
    let receipts = session.cx.workspace.receipts();
    for step in session.project.graph.order() {
        if let Some(output) = receipts.load(step).receipt().and_then(|receipt| receipt.output.clone()) {
            session.cx.set_output(step, output);
        }
    }
    let secrets = std::sync::Arc::new(LocalSecrets::of(file));
    let asked = file.checks.iter().filter(|(name, _)| wanted(name)).map(|(name, check)| {
        let step = CheckStep::new(name, check.clone(), Vec::new(), secrets.clone());
        let (cx, path) = (session.cx.clone(), check.get.clone());
        async move { (StepId::new(Kind::Check, name.as_str()), path, step.ask(&cx).await) }
    });
    let answers = session.unless_interrupted(async { Ok::<_, Problem>(join_all(asked).await) }).await?;
    for (step, path, answer) in &answers {
        // A closed pipe is the reader's choice; the exit code still tells.
        let _ = writeln!(anstream::stdout(), "{}", line(global.format, step, path, answer));
    }
    let failures: Vec<&Failure> = answers.iter().filter_map(|(_, _, answer)| answer.as_ref().err()).collect();
    if global.format == Format::Human {
        for failed in &failures {
            let _ = write!(anstream::stderr(), "\n{}", failure::render(failed));
        }
    }
    Ok(ExitCode::from(match failures.first() {
        Some(first) => first.class.exit_code(),
        None => 0,
    }))
}

fn line(format: Format, step: &StepId, path: &str, answer: &Result<Answer, Failure>) -> String {
    match (format, answer) {
        (Format::Human, Ok(answer)) => {
            format!("{}{step:<18} GET {path} {} in {}ms", verb(GOOD, "Checked"), answer.status, answer.took.as_millis())
        }
        (Format::Human, Err(failure)) => format!("{}{step:<18} {}", verb(BAD, "Failed"), failure.message),
        (Format::Json, Ok(answer)) => {
            json!({"step": step, "passed": true, "status": answer.status, "ms": answer.took.as_millis() as u64, "pod": answer.pod})
                .to_string()
        }
        (Format::Json, Err(failure)) => json!({"step": step, "passed": false, "failure": failure}).to_string(),
    }
}
