//! `logs`: what the workloads write, each in its colour.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use engine::config::GraphFile;
use engine::failure::Class;
use jiff::Timestamp;
use serde_json::json;

use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global};
use crate::report::style::paint;
use crate::steps::secrets::Origin;
use crate::world::pods::log::{Line, Part, read};
use crate::world::pods::{Selection, follow};

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
    /// Of the containers that ran before the present ones: why they ended
    #[arg(short, long)]
    pub previous: bool,
}

fn while_ago(text: &str) -> Result<Duration, String> {
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
    let session = Session::begin(global, "logs", Record::Nothing)?;
    session.recognise().await?;
    let file = &session.project.file;
    for secrets in file.secrets.values() {
        // The redactor learns them by the way. A file that cannot be read has nothing that could be masked.
        let _ = Origin::of(secrets).values(&session.cx);
    }
    let selection = selection(file, &request.workloads);
    let since = request.since.and_then(|since| Timestamp::now().checked_sub(since).ok());
    let part = Part { since, previous: request.previous };
    let client = session.cx.world.kube().await?;
    let redactor = session.cx.redactor.clone();
    let mut open = true;
    let mut show = |line: Line| {
        let text = redactor.redact(&line.text);
        if open && request.grep.as_ref().is_none_or(|wanted| text.contains(wanted.as_str())) {
            // Whoever has seen enough closes the pipe.
            open = writeln!(anstream::stdout(), "{}", shown(global.format, &line, &text)).is_ok();
        }
    };
    if !request.follow {
        read(&client, &selection, &part, show).await?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::select! {
        ended = follow::follow(&client, &selection, &part, &mut show) => ended?,
        () = session.cx.cancel.cancelled() => return Ok(ExitCode::from(Class::Interrupted.exit_code())),
    }
    Ok(ExitCode::SUCCESS)
}

/// All that the graph file deploys, or the named part of it.
fn selection(file: &GraphFile, workloads: &[String]) -> Selection {
    let releases = file.releases.values();
    let namespaces = releases.clone().map(|release| release.namespace.clone());
    let manifests = file.manifests.values().map(|manifests| manifests.namespace.clone());
    Selection {
        namespaces: namespaces.chain(manifests).collect(),
        releases: releases.map(|release| release.name.clone()).collect::<BTreeSet<_>>(),
        workloads: workloads.iter().cloned().collect(),
    }
}

fn shown(format: Format, line: &Line, text: &str) -> String {
    if format == Format::Json {
        return json!({
            "workload": line.label, "namespace": line.of.namespace, "pod": line.of.pod,
            "container": line.of.container, "time": line.at.to_string(), "text": text,
        })
        .to_string();
    }
    // The pods of a workload differ in their last part only.
    let pod = line.of.pod.rsplit('-').next().unwrap_or_default();
    let name = format!("{} {pod}", line.label);
    format!("{} {text}", paint(color(&line.label), &format!("{name:<18}")))
}

/// The same workload has the same colour, today and tomorrow.
fn color(label: &str) -> Style {
    const COLORS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Green,
        AnsiColor::Magenta,
        AnsiColor::Yellow,
        AnsiColor::Blue,
        AnsiColor::BrightRed,
    ];
    let sum: usize = label.bytes().map(usize::from).sum();
    COLORS.get(sum % COLORS.len()).map_or_else(Style::new, |color| color.on_default())
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
