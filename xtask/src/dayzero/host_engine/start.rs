//! Starts docker: by systemd where that runs, else by ourselves, as a daemon that outlives this run.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use engine::event::Level;
use engine::failure::{Class, Failure};
use engine::step::StepId;

use crate::context::Context;
use crate::dayzero::packages;
use crate::world::daemon::Daemon;
use crate::world::pause;
use crate::world::process::Command;

/// Where a daemon that was not started by systemd writes.
pub(super) const LOG: &str = "/var/log/dockerd.log";

/// Where daemons write the numbers of their processes.
const PID_FILES: [(&str, &str); 2] =
    [("dockerd", "/var/run/docker.pid"), ("containerd", "/var/run/docker/containerd/containerd.pid")];

/// What dockerd writes before it gives up.
const GIVEN_UP: &str = "failed to start daemon";

/// How long docker may take to answer, and a former one to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks: docker tells nobody but systemd when it is ready.
const LOOK: Duration = Duration::from_millis(200);

/// How much of its log an error shows.
const SHOWN: usize = 15;

pub(super) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Starts docker and waits until it answers.
pub(super) async fn start(cx: &Context, step: &StepId, host: &Daemon) -> Result<(), Failure> {
    // Installing it may have started it.
    if host.api_version().await.is_ok() {
        return Ok(());
    }
    cx.progress(step, "starting docker");
    // Where in its log this attempt begins.
    let mut begun = 0;
    if has_systemd() {
        let command = Command::new("systemctl").args(["enable", "--now", "docker"]);
        let finished = command.run(&cx.cancel, |_, line| cx.progress(step, line)).await?;
        finished.success(Class::Environment).map_err(|failure| failure.help("`journalctl -u docker` shows why"))?;
        cx.note(step, Level::Info, "enabled and started the service docker");
    } else {
        former_is_gone(cx, step).await?;
        begun = fs::metadata(LOG).map(|log| log.len()).unwrap_or(0);
        detach()?;
        cx.note(step, Level::Info, format!("started dockerd, which writes to {LOG}"));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match host.api_version().await {
            Ok(_) => return Ok(()),
            Err(failure) if Instant::now() > deadline || said(begun).contains(GIVEN_UP) => {
                return Err(with_log(failure, &said(begun)));
            }
            Err(_) => wait(cx).await?,
        }
    }
}

async fn wait(cx: &Context) -> Result<(), Failure> {
    tokio::select! {
        () = pause(LOOK) => Ok(()),
        () = cx.cancel.cancelled() => Err(Failure::interrupted()),
    }
}

/// What a file with a daemon's number says.
#[derive(Debug, PartialEq, Eq)]
enum Former {
    /// There is no file.
    Gone,
    /// The daemon ends, or hangs.
    Runs,
    /// Nobody has the number, or another process: a new daemon that happens to get it would take itself for the
    /// former one, and one that finds anybody there refuses to start.
    Outdated,
}

fn former(program: &str, pid: Option<&str>, command: impl Fn(&str) -> Option<String>) -> Former {
    match pid.map(|pid| command(pid.trim())) {
        None => Former::Gone,
        Some(Some(command)) if command.trim() == program => Former::Runs,
        Some(_) => Former::Outdated,
    }
}

/// The name of a process. One that has ended and that nobody has asked about has no command line any more.
fn name_of(pid: &str) -> Option<String> {
    let folder = Path::new("/proc").join(pid);
    let lives = fs::read(folder.join("cmdline")).is_ok_and(|line| !line.is_empty());
    if lives { fs::read_to_string(folder.join("comm")).ok() } else { None }
}

/// A daemon that is ending still holds its file, and one started meanwhile would give up over it.
async fn former_is_gone(cx: &Context, step: &StepId) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    for (program, file) in PID_FILES {
        let path = Path::new(file);
        loop {
            let pid = fs::read_to_string(path).ok();
            match former(program, pid.as_deref(), name_of) {
                Former::Gone => break,
                Former::Outdated => {
                    fs::remove_file(path).map_err(|error| Failure::io("remove the outdated", path, &error))?;
                    cx.note(step, Level::Info, format!("removed {file}, which a {program} that was killed had left"));
                    break;
                }
                Former::Runs if Instant::now() > deadline => {
                    let pid = pid.unwrap_or_default();
                    return Err(Failure::environment(format!(
                        "{program} runs as process {} without docker answering",
                        pid.trim()
                    ))
                    .help(format!("end it, then run the same command again: `sudo kill {}`", pid.trim())));
                }
                Former::Runs => wait(cx).await?,
            }
        }
    }
    Ok(())
}

/// Starts dockerd in a session of its own. Not by `process::Command`, whose children end with this run.
fn detach() -> Result<(), Failure> {
    let path = Path::new(LOG);
    let open = || {
        let log = File::options().create(true).append(true).open(path)?;
        Ok((log.try_clone()?, log))
    };
    let (out, err) = open().map_err(|error: std::io::Error| Failure::io("write", path, &error))?;
    let dockerd =
        packages::find("dockerd").ok_or_else(|| Failure::environment("docker is installed without dockerd"))?;
    let failed = |cause: String| Failure::environment(format!("could not start {}", dockerd.display())).because(cause);
    let status = std::process::Command::new("setsid")
        .arg("--fork")
        .arg(&dockerd)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()
        .map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(format!("setsid: {status}"))) }
}

/// What a daemon of our own has written since its log had `begun` bytes.
fn said(begun: u64) -> String {
    let bytes = if has_systemd() { Vec::new() } else { fs::read(LOG).unwrap_or_default() };
    let new = usize::try_from(begun).ok().and_then(|begun| bytes.get(begun..));
    String::from_utf8_lossy(new.unwrap_or_default()).into_owned()
}

fn with_log(failure: Failure, said: &str) -> Failure {
    let lines: Vec<&str> = said.lines().collect();
    if lines.is_empty() {
        return failure.help("`journalctl -u docker` shows what it says");
    }
    let last = lines[lines.len().saturating_sub(SHOWN)..].iter().map(|line| (*line).to_owned());
    failure.excerpt(LOG, last.collect())
}

#[cfg(test)]
mod tests {
    use super::{Former, former};

    #[test]
    fn a_number_that_was_left_behind_is_told_from_a_daemon_that_ends() {
        let command = |pid: &str| match pid {
            "7" => Some("dockerd\n".to_owned()),
            "8" => Some("bash\n".to_owned()),
            _ => None,
        };
        let rows = [
            (None, Former::Gone),
            (Some(""), Former::Outdated),
            (Some("7"), Former::Runs),
            (Some("8\n"), Former::Outdated),
            // Nobody has it now, but the daemon that is about to start may get it.
            (Some("9"), Former::Outdated),
        ];
        for (pid, expected) in rows {
            assert_eq!(former("dockerd", pid, command), expected, "{pid:?}");
        }
    }
}
