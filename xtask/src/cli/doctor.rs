//! `doctor`: what a deploy needs of this machine, whether it is there, and what mends it. Changes nothing.

use std::io::Write as _;
use std::process::ExitCode;

use engine::failure::Class;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::session::{Project, listen};
use super::{Format, Global};
use crate::doctor::{self, Finding, Standing};
use crate::report::style::{BAD, FAINT, GOOD, HELP, WARNING, paint, verb};

/// Looks at everything and shows it. Without a graph file, what only that could say is left out.
///
/// # Errors
/// When the graph file has mistakes.
pub async fn run(global: &Global) -> Result<ExitCode, Problem> {
    let project = match Project::load(global) {
        Ok(project) => Some(project),
        Err(Problem::Failure(_)) if global.graph_file.is_none() => None,
        Err(problem) => return Err(problem),
    };
    let cancel = CancellationToken::new();
    listen(cancel.clone())?;
    let findings = doctor::examine(project.as_ref().map(|project| &project.file), &cancel).await?;
    let mut stdout = anstream::stdout();
    for finding in findings.iter().filter(|finding| !global.quiet || finding.standing == Standing::Short) {
        // A closed pipe ends the listing; the exit code still tells.
        let _ = match global.format {
            Format::Human => writeln!(stdout, "{}", human(finding, global.verbose)),
            Format::Json => writeln!(stdout, "{}", serde_json::json!(finding)),
        };
    }
    let short = findings.iter().any(|finding| finding.standing == Standing::Short);
    Ok(ExitCode::from(if short { Class::Environment.exit_code() } else { 0 }))
}

fn human(finding: &Finding, verbose: bool) -> String {
    let standing = match finding.standing {
        Standing::Good => verb(GOOD, "Good"),
        Standing::Note => verb(WARNING, "Note"),
        Standing::Short => verb(BAD, "Short"),
    };
    let mut text = format!("{standing}{:<27} {}", finding.need, finding.found);
    if verbose || finding.standing != Standing::Good {
        text.push_str(&paint(FAINT, &format!("  ({})", finding.source)));
    }
    if let Some(mend) = &finding.mend {
        text.push_str(&format!("\n{:>13}{} {mend}", "", paint(HELP, "help:")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::human;
    use crate::doctor::{Finding, Standing};

    #[test]
    fn what_falls_short_is_shown_with_where_it_was_read_and_what_mends_it() {
        let finding = |standing, mend: Option<&str>| Finding {
            need: "inotify".to_owned(),
            standing,
            found: "64 instances".to_owned(),
            source: "/proc/sys/fs/inotify".to_owned(),
            mend: mend.map(str::to_owned),
        };
        let shown = |finding: &Finding, verbose| anstream::adapter::strip_str(&human(finding, verbose)).to_string();
        let good = finding(Standing::Good, None);
        assert_eq!(shown(&good, false), "        Good inotify                     64 instances");
        assert!(shown(&good, true).ends_with("64 instances  (/proc/sys/fs/inotify)"));
        let short = shown(&finding(Standing::Short, Some("sudo sysctl x=1")), false);
        let expected = "       Short inotify                     64 instances  (/proc/sys/fs/inotify)\n             \
                        help: sudo sysctl x=1";
        assert_eq!(short, expected);
    }
}
