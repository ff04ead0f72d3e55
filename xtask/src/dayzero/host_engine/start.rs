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

/// Where dockerd writes its process's number.
const PID_FILE: &str = "/var/run/docker.pid";

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
    if has_systemd() {
        let command = Command::new("systemctl").args(["enable", "--now", "docker"]);
        let finished = command.run(&cx.cancel, |_, line| cx.progress(step, line)).await?;
        finished.success(Class::Environment).map_err(|failure| failure.help("`journalctl -u docker` shows why"))?;
        cx.note(step, Level::Info, "enabled and started the service docker");
    } else {
        former_is_gone(cx, step).await?;
        detach()?;
        cx.note(step, Level::Info, format!("started dockerd, which writes to {LOG}"));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match host.api_version().await {
            Ok(_) => return Ok(()),
            Err(failure) if Instant::now() > deadline => return Err(with_log(failure)),
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

/// What the file with the daemon's number says.
#[derive(Debug, PartialEq, Eq)]
enum Former {
    /// There is none.
    Gone,
    /// It ends, or hangs.
    Runs,
    /// The number is another process's by now: a daemon would refuse to start because of it.
    Another,
}

fn former(pid: Option<&str>, command: impl Fn(&str) -> Option<String>) -> Former {
    match pid.map(str::trim).filter(|pid| !pid.is_empty()).and_then(command) {
        None => Former::Gone,
        Some(command) if command.trim() == "dockerd" => Former::Runs,
        Some(_) => Former::Another,
    }
}

/// A daemon that is ending still holds its file, and one started meanwhile would give up over it.
async fn former_is_gone(cx: &Context, step: &StepId) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let pid = fs::read_to_string(PID_FILE).ok();
        match former(pid.as_deref(), |pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok()) {
            Former::Gone => return Ok(()),
            Former::Another => {
                let path = Path::new(PID_FILE);
                fs::remove_file(path).map_err(|error| Failure::io("remove the outdated", path, &error))?;
                cx.note(step, Level::Info, format!("removed {PID_FILE}, which a daemon that was killed had left"));
                return Ok(());
            }
            Former::Runs if Instant::now() > deadline => {
                let pid = pid.unwrap_or_default();
                return Err(with_log(
                    Failure::environment(format!("dockerd runs as process {} and does not answer", pid.trim()))
                        .help(format!("end it, then run the same command again: `sudo kill {}`", pid.trim())),
                ));
            }
            Former::Runs => wait(cx).await?,
        }
    }
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

fn with_log(failure: Failure) -> Failure {
    let text = fs::read_to_string(LOG).unwrap_or_default();
    let lines: Vec<String> = text.lines().rev().take(SHOWN).map(str::to_owned).collect();
    if lines.is_empty() || has_systemd() {
        return failure.help("`journalctl -u docker` shows what it says");
    }
    failure.excerpt(LOG, lines.into_iter().rev().collect())
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
            (Some(""), Former::Gone),
            (Some("7"), Former::Runs),
            (Some("8\n"), Former::Another),
            (Some("9"), Former::Gone),
        ];
        for (pid, expected) in rows {
            assert_eq!(former(pid, command), expected, "{pid:?}");
        }
    }
}
