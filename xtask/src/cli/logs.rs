//! `logs`: what the workloads write, each in its colour.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::config::GraphFile;
use engine::failure::{Class, Failure};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::isolate::Isolate;
use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global};
use crate::report::log_line;
use crate::report::style::{GOOD, WARNING, verb};
use crate::steps::secrets::Origin;
use crate::world::contact::Contact;
use crate::world::pods::follow::{Logs, News};
use crate::world::pods::log::{Line, Part};
use crate::world::pods::read::read;
use crate::world::pods::record::Level;
use crate::world::pods::{Selection, list};
use crate::world::process::Redact;

/// Which logs.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// Only these workloads, with or without the release's name in front, or pods
    #[arg(value_name = "WORKLOAD")]
    pub workloads: Vec<String>,
    /// Go on with what is written from now on, through restarts and rollouts
    #[arg(short, long, conflicts_with = "previous")]
    pub follow: bool,
    /// Only what was written in the last while: 90s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = while_ago)]
    pub since: Option<Duration>,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// Only lines of this level and graver ones: trace, debug, info, warn, error. A line that says none belongs to the
    /// one before it
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<Level>,
    /// The lines as they were written, with nothing in front
    #[arg(long)]
    pub raw: bool,
    /// Of the containers that ran before the present ones: why they ended
    #[arg(short, long)]
    pub previous: bool,
    /// Which deployment
    #[command(flatten)]
    pub isolate: Isolate,
}

/// A time to look back: `10m`.
pub(super) fn while_ago(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "write a number with its unit: 90s, 10m, 2h, 1d";
    let unit = text.chars().last().ok_or(WANTED)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(WANTED.to_owned()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| WANTED)?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "that is longer than anything".to_owned())
}

/// Shows the logs.
///
/// # Errors
/// When the graph file has mistakes, the cluster does not answer, or nothing is selected.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let session = Session::begin_as(global, "logs", Record::Nothing, request.isolate.name(), Vec::new())?;
    session.recognise().await?;
    let file = &session.project.file;
    for secrets in file.secrets.values() {
        // The redactor learns them by the way. A file that cannot be read has nothing that could be masked.
        let _ = Origin::of(secrets).values(&session.cx);
    }
    let selection = selection(file, &request.workloads);
    let since = request.since.and_then(|since| Timestamp::now().checked_sub(since).ok());
    let part = Part { since, previous: request.previous };
    let client = session.unless_interrupted(session.cx.world.kube()).await?;
    let masked = Arc::clone(&session.cx.redactor);
    let redactor: Redact = Arc::new(move |text| masked.redact(text));
    // Whoever has seen enough closes the pipe.
    let show =
        |line: &Line| !request.wants(line) || writeln!(anstream::stdout(), "{}", shown(global, request, line)).is_ok();
    if !request.follow {
        // What was copied is shown without waiting for anything, so it is asked here, too, whether that is still wanted.
        let cancel = &session.cx.cancel;
        let sink = |line: Line| show(&line) && !cancel.is_cancelled();
        session.unless_interrupted(read(&client, &selection, &part, &redactor, sink)).await?;
        return if cancel.is_cancelled() { Err(Failure::interrupted().into()) } else { Ok(ExitCode::SUCCESS) };
    }
    // Names that fit nothing are told before anything is waited for.
    session.unless_interrupted(list(&client, &selection)).await?;
    let mut logs = Logs::follow(Arc::clone(&session.cx.world), selection, part, redactor);
    let ended = loop {
        let news = tokio::select! {
            news = logs.next() => news,
            () = session.cx.cancel.cancelled() => break ExitCode::from(Class::Interrupted.exit_code()),
        };
        match news {
            Some(News::Line(line)) if show(&line) => {}
            Some(News::Contact(contact)) => tell(&contact),
            Some(News::Line(_)) | None => break ExitCode::SUCCESS,
        }
    };
    logs.close().await;
    Ok(ended)
}

impl Request {
    fn wants(&self, line: &Line) -> bool {
        self.level.is_none_or(|level| line.level >= level)
            && self.grep.as_ref().is_none_or(|wanted| line.text.contains(wanted.as_str()))
    }
}

fn tell(contact: &Contact) {
    let text = match contact {
        Contact::Lost(why) => format!("{}{why}; trying again", verb(WARNING, "Lost")),
        Contact::Back => format!("{}the API server answers again", verb(GOOD, "Back")),
    };
    // Beside the lines, which somebody may be collecting.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// All that the graph file deploys, or the named part of it.
pub(super) fn selection(file: &GraphFile, workloads: &[String]) -> Selection {
    let releases = file.releases.values();
    let namespaces = releases.clone().map(|release| release.namespace.clone());
    let manifests = file.manifests.values().map(|manifests| manifests.namespace.clone());
    Selection {
        namespaces: namespaces.chain(manifests).collect(),
        releases: releases.map(|release| release.name.clone()).collect::<BTreeSet<_>>(),
        workloads: workloads.iter().cloned().collect(),
    }
}

fn shown(global: &Global, request: &Request, line: &Line) -> String {
    if global.format == Format::Json {
        return as_json(line).to_string();
    }
    if request.raw { line.text.clone() } else { log_line::render(line) }
}

/// A line as a fact for programs.
pub(super) fn as_json(line: &Line) -> Value {
    json!({
        "workload": line.label, "namespace": line.of.namespace, "pod": line.of.pod, "container": line.of.container,
        "time": line.at.to_string(), "level": line.level.to_string().to_lowercase(), "text": line.text,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::while_ago;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in
            [("90s", Some(90)), ("10m", Some(600)), ("2h", Some(7200)), ("1d", Some(86_400))].into_iter().chain(
                ["", "10", "m", "1.5h", "-1s", "10ms", "99999999999999999999d", "9999999999999999999d"]
                    .map(|bad| (bad, None)),
            )
        {
            assert_eq!(while_ago(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
