//! Starts docker: by systemd where that runs, else by ourselves, as a daemon that outlives this run.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
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
    [(DOCKERD, "/var/run/docker.pid"), ("containerd", "/var/run/docker/containerd/containerd.pid")];

/// The daemon's program.
pub(super) const DOCKERD: &str = "dockerd";

/// What dockerd writes before it gives up.
pub(super) const GIVEN_UP: &str = "failed to start daemon";

/// How long docker may take to answer, and a former one to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks: docker tells nobody but systemd when it is ready.
const LOOK: Duration = Duration::from_millis(200);

/// How much of its log an error shows.
const SHOWN: usize = 15;

pub(super) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// What of a machine has to do with its dockerd.
pub(super) struct Place {
    /// Whether systemd runs it.
    pub(super) systemd: bool,
    /// The program, where there is one.
    pub(super) dockerd: Option<PathBuf>,
    /// Where it looks for the programs that it calls.
    pub(super) path: OsString,
    /// Where it writes when it is started from here.
    pub(super) log: PathBuf,
    /// Programs, with the files that name their processes.
    pub(super) pid_files: Vec<(&'static str, PathBuf)>,
}

impl Place {
    /// This machine as it is now.
    pub(super) fn here() -> Self {
        Self {
            systemd: has_systemd(),
            dockerd: packages::find(DOCKERD),
            path: packages::path(),
            log: LOG.into(),
            pid_files: PID_FILES.map(|(program, file)| (program, file.into())).into(),
        }
    }

    /// Whether a dockerd lives, by the file that it keeps.
    fn has_dockerd(&self) -> bool {
        let mut files = self.pid_files.iter().filter(|(program, _)| *program == DOCKERD);
        files.any(|(program, file)| former(program, fs::read_to_string(file).ok().as_deref(), name_of) == Former::Runs)
    }

    /// What a daemon of our own has written since its log had `begun` bytes.
    fn said(&self, begun: u64) -> String {
        let bytes = if self.systemd { Vec::new() } else { fs::read(&self.log).unwrap_or_default() };
        let new = usize::try_from(begun).ok().and_then(|begun| bytes.get(begun..));
        String::from_utf8_lossy(new.unwrap_or_default()).into_owned()
    }

    /// Whether nobody is left who could come to answer. A daemon that finds another one at work gives up and says so in
    /// the same log.
    fn has_given_up(&self, begun: u64) -> bool {
        self.said(begun).contains(GIVEN_UP) && !self.has_dockerd()
    }
}

/// Starts docker and waits until it answers.
pub(super) async fn start(cx: &Context, step: &StepId, host: &Daemon, place: &Place) -> Result<(), Failure> {
    // Installing it may have started it.
    if host.api_version().await.is_ok() {
        return Ok(());
    }
    cx.progress(step, "starting docker");
    // Where in its log this attempt begins.
    let mut begun = 0;
    if place.systemd {
        let command = Command::new("systemctl").args(["enable", "--now", "docker"]);
        let finished = command.run(&cx.cancel, |_, line| cx.progress(step, line)).await?;
        finished.success(Class::Environment).map_err(|failure| failure.help("`journalctl -u docker` shows why"))?;
        cx.note(step, Level::Info, "enabled and started the service docker");
    } else {
        if former_answers(cx, step, host, place).await? {
            return Ok(());
        }
        begun = fs::metadata(&place.log).map(|log| log.len()).unwrap_or(0);
        detach(place)?;
        cx.note(step, Level::Info, format!("started dockerd, which writes to {}", place.log.display()));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match host.api_version().await {
            Ok(_) => return Ok(()),
            Err(failure) if Instant::now() > deadline || place.has_given_up(begun) => {
                return Err(with_log(failure, &place.log, &place.said(begun)));
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
    /// The daemon starts, ends, or hangs.
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
pub(super) fn name_of(pid: &str) -> Option<String> {
    let folder = Path::new("/proc").join(pid);
    let lives = fs::read(folder.join("cmdline")).is_ok_and(|line| !line.is_empty());
    if lives { fs::read_to_string(folder.join("comm")).ok() } else { None }
}

/// Waits for a daemon that is there already: until it answers, or is gone. One that is ending still holds its file, and
/// another started meanwhile would give up over it; one that was started a moment ago, by a run that was killed or by
/// somebody else, has yet to answer.
async fn former_answers(cx: &Context, step: &StepId, host: &Daemon, place: &Place) -> Result<bool, Failure> {
    let deadline = Instant::now() + PATIENCE;
    for (program, path) in &place.pid_files {
        loop {
            let pid = fs::read_to_string(path).ok();
            match former(program, pid.as_deref(), name_of) {
                Former::Gone => break,
                Former::Outdated => {
                    fs::remove_file(path).map_err(|error| Failure::io("remove the outdated", path, &error))?;
                    let left = format!("removed {}, which a {program} that was killed had left", path.display());
                    cx.note(step, Level::Info, left);
                    break;
                }
                Former::Runs if host.api_version().await.is_ok() => return Ok(true),
                Former::Runs if Instant::now() > deadline => {
                    let pid = pid.unwrap_or_default();
                    return Err(Failure::environment(format!(
                        "{program} runs as process {} without docker answering",
                        pid.trim()
                    ))
                    .because(format!("no answer within {} s", PATIENCE.as_secs()))
                    .help(format!("end it, then run the same command again: `sudo kill {}`", pid.trim())));
                }
                Former::Runs => wait(cx).await?,
            }
        }
    }
    Ok(false)
}

/// Starts dockerd in a session of its own. Not by `process::Command`, whose children end with this run.
fn detach(place: &Place) -> Result<(), Failure> {
    let path = &place.log;
    let open = || {
        let log = File::options().create(true).append(true).open(path)?;
        Ok((log.try_clone()?, log))
    };
    let (out, err) = open().map_err(|error: std::io::Error| Failure::io("write", path, &error))?;
    let dockerd = place.dockerd.as_ref().ok_or_else(|| Failure::environment("docker is installed without dockerd"))?;
    let failed = |cause: String| Failure::environment(format!("could not start {}", dockerd.display())).because(cause);
    let status = std::process::Command::new("setsid")
        .arg("--fork")
        .arg(dockerd)
        .env("PATH", &place.path)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()
        .map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(format!("setsid: {status}"))) }
}

fn with_log(failure: Failure, log: &Path, said: &str) -> Failure {
    let lines: Vec<&str> = said.lines().collect();
    if lines.is_empty() {
        return failure.help("`journalctl -u docker` shows what it says");
    }
    let last = lines[lines.len().saturating_sub(SHOWN)..].iter().map(|line| (*line).to_owned());
    failure.excerpt(log.display().to_string(), last.collect())
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
