//! Runs a child process: streams its lines, keeps the last of them, and ends it with all it started.
//!
//! The command is a list of arguments, never a shell's text. What must not be seen goes in by stdin, which no
//! message shows; neither does one show the environment. This module knows nothing of docker, helm or steps.
//!
//! Built on duct, which may be waited on from one thread while it is signalled from another, with three things
//! of our own around it:
//!
//! - Each child leads its own process group and signals go to the group: duct's own kill, and tokio's
//!   `kill_on_drop`, reach the child but not what the child has started.
//! - The pipes are ours and are read by the runtime. Once the child has exited, what it wrote is in the pipe, and
//!   is read without waiting: a grandchild that keeps the pipe open keeps nobody waiting.
//! - On Linux `setpriv --pdeathsig` (util-linux) stands in front of the command where there is one, so that a child
//!   is told to end when this process is killed outright. The signal is sent when the *thread* that spawned the
//!   child ends, hence the thread per child, which lives as long as the child does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use engine::failure::{Class, Failure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::world::lines::Lines;
use crate::world::tool_folder;

/// Takes what must not be seen out of a line.
pub type Redact = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// How long a child that was asked to end may take before its group is killed: less than a run waits for its steps.
const GRACE: Duration = Duration::from_secs(8);

/// How much of the output is kept unless [`Command::keep`] says otherwise, in bytes.
const KEPT: usize = 1 << 20;

/// How many of the last lines an error shows.
const SHOWN: usize = 20;

/// Which of the two pipes a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A process to run.
#[derive(Clone)]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    cwd: Option<PathBuf>,
    env: BTreeMap<OsString, Option<OsString>>,
    stdin: Vec<u8>,
    redact: Option<Redact>,
    keep: usize,
    grace: Duration,
}

impl Command {
    /// Runs `program`: a path, or a name that is looked up on `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            cwd: None,
            env: BTreeMap::new(),
            stdin: Vec::new(),
            redact: None,
            keep: KEPT,
            grace: GRACE,
        }
    }

    /// Adds an argument. Arguments are visible to every user of the machine: no secrets.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it in `directory` instead of the current one.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cwd = Some(directory.into());
        self
    }

    /// Sets a variable, beside those that this process has.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Takes a variable away.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), None);
        self
    }

    /// What it reads on stdin; nothing unless set. Never shown.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Applied to every line, and to the command line in errors, before anybody sees it.
    pub fn redact(mut self, redact: Redact) -> Self {
        self.redact = Some(redact);
        self
    }

    /// How many bytes of the output are kept; the oldest lines go first.
    pub fn keep(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// How long it may take to end after SIGTERM before its group gets SIGKILL.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Runs it to its end, calling `on_line` with each line as it comes.
    ///
    /// A child that ran and failed is no error here: see [`Finished::success`]. Errors: the program is not there or
    /// cannot be started (`Class::Environment`), or the run was cancelled (`Class::Interrupted`); by then the group
    /// has ended. Dropping the future kills the group.
    pub async fn run(
        self,
        cancel: &CancellationToken,
        mut on_line: impl FnMut(Stream, &str) + Send,
    ) -> Result<Finished, Failure> {
        let mut finished = Finished { line: self.line(), exit: Exit::Code(0), kept: VecDeque::new(), bytes: 0 };
        let redact = self.redact.clone();
        let keep = self.keep;
        let grace = self.grace;
        let mut running = self.start().await?;
        let mut taken = |stream, text: &str| {
            let text = redact.as_ref().map_or_else(|| text.to_owned(), |redact| redact(text));
            on_line(stream, &text);
            finished.push(stream, text, keep);
        };
        let exit = tokio::select! {
            exit = running.finish(&mut taken) => Some(exit),
            () = cancel.cancelled() => None,
        };
        match exit {
            Some(exit) => {
                running.group.let_go();
                finished.exit = exit.map_err(|error| could_not(&finished.line, &error))?;
                Ok(finished)
            }
            None => {
                running.end(grace, &mut taken).await;
                Err(Failure::interrupted().because(format!("`{}` was ended", finished.line)))
            }
        }
    }

    /// The command line as it is shown: the arguments, quoted where a shell would want it.
    pub fn line(&self) -> String {
        let line =
            std::iter::once(&self.program).chain(&self.args).map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        self.redact.as_ref().map_or_else(|| line.clone(), |redact| redact(&line))
    }

    async fn start(self) -> Result<Running, Failure> {
        let line = self.line();
        let program = resolve(&self.program, self.cwd.as_deref())
            .ok_or_else(|| Failure::environment(format!("no `{}` found on PATH", self.program.to_string_lossy())))?;
        self.spawn(&program).await.map_err(|error| could_not(&line, &error))
    }

    async fn spawn(self, program: &Path) -> io::Result<Running> {
        let (stdin, feed) = io::pipe()?;
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        let mut words = guard();
        words.push(program.into());
        words.extend(self.args);
        let mut expression = duct::cmd(words.remove(0), words)
            .stdin_file(stdin)
            .stdout_file(stdout_end)
            .stderr_file(stderr_end)
            .unchecked()
            .before_spawn(|command| {
                std::os::unix::process::CommandExt::process_group(command, 0);
                Ok(())
            });
        if let Some(directory) = self.cwd {
            expression = expression.dir(directory);
        }
        // Of two values that an expression is given the first counts.
        if !self.env.contains_key(OsStr::new("PATH"))
            && let Some(path) = tool_folder::behind(std::env::var_os("PATH"))
        {
            expression = expression.env("PATH", path);
        }
        for (name, value) in self.env {
            expression = match value {
                Some(value) => expression.env(name, value),
                None => expression.env_remove(name),
            };
        }
        let (started, begun) = oneshot::channel();
        let (ended, exit) = oneshot::channel();
        std::thread::Builder::new().name("child".to_owned()).spawn(move || {
            let handle = expression.start();
            // The expression holds our copies of the child's ends of the pipes.
            drop(expression);
            match handle {
                Ok(handle) => {
                    // Nobody listens any more when the run was dropped: then the group is, too, and the child is reaped
                    // all the same.
                    let _ = started.send(Ok(Group::of(&handle.pids())));
                    let _ = ended.send(handle.wait().map(|output| output.status));
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        })?;
        let group = begun.await.map_err(io::Error::other)??;
        Ok(Running {
            group,
            exit,
            feed: Some((pipe::Sender::from_owned_fd(OwnedFd::from(feed))?, self.stdin)),
            stdout: Lines::new(pipe::Receiver::from_owned_fd(OwnedFd::from(stdout))?),
            stderr: Lines::new(pipe::Receiver::from_owned_fd(OwnedFd::from(stderr))?),
        })
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    fn of(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        status.code().map_or_else(|| Self::Signal(status.signal().unwrap_or_default()), Self::Code)
    }
}

/// A child that has ended, and what it said.
#[derive(Debug)]
pub struct Finished {
    line: String,
    /// How it ended.
    pub exit: Exit,
    kept: VecDeque<(Stream, String)>,
    bytes: usize,
}

impl Finished {
    /// The kept part of one stream, each line with its newline.
    pub fn text(&self, stream: Stream) -> String {
        let lines = self.kept.iter().filter(|(from, _)| *from == stream);
        lines.flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
    }

    /// Itself if the exit code is 0; otherwise [`Finished::failure`].
    pub fn success(self, class: Class) -> Result<Self, Failure> {
        if self.exit == Exit::Code(0) { Ok(self) } else { Err(self.failure(class)) }
    }

    /// The error that names the command line and the exit, and shows the last lines.
    pub fn failure(&self, class: Class) -> Failure {
        let how = match self.exit {
            Exit::Code(code) => format!("exited with {code}"),
            Exit::Signal(signal) => format!("was ended by signal {signal}"),
        };
        let failure = Failure::new(class, format!("`{}` {how}", self.line));
        let last = self.kept.len().saturating_sub(SHOWN);
        let lines: Vec<_> = self.kept.iter().skip(last).map(|(_, line)| line.clone()).collect();
        if lines.is_empty() { failure } else { failure.excerpt(self.program(), lines) }
    }

    fn program(&self) -> &str {
        let word = self.line.split(' ').next().unwrap_or_default();
        word.rsplit('/').next().unwrap_or(word)
    }

    fn push(&mut self, stream: Stream, line: String, keep: usize) {
        self.bytes += line.len() + 1;
        self.kept.push_back((stream, line));
        while self.bytes > keep {
            let Some((_, oldest)) = self.kept.pop_front() else { break };
            self.bytes -= oldest.len() + 1;
        }
    }
}

/// A child that runs.
struct Running {
    group: Group,
    exit: oneshot::Receiver<io::Result<ExitStatus>>,
    feed: Option<(pipe::Sender, Vec<u8>)>,
    stdout: Lines,
    stderr: Lines,
}

impl Running {
    /// Feeds it and reads it until it has exited; then takes what is still in the pipes, without waiting for more.
    async fn finish(&mut self, taken: &mut (impl FnMut(Stream, &str) + Send)) -> io::Result<Exit> {
        let mut feed = self.feed.take();
        let feeding = async {
            if let Some((sender, bytes)) = &mut feed {
                // A child that does not read all of it says so by its exit, if it minds.
                let _ = sender.write_all(bytes).await;
            }
            feed = None;
        };
        tokio::pin!(feeding);
        let mut fed = false;
        let status = loop {
            tokio::select! {
                line = self.stdout.next(), if !self.stdout.ended() => taken_line(taken, Stream::Out, line),
                line = self.stderr.next(), if !self.stderr.ended() => taken_line(taken, Stream::Err, line),
                () = &mut feeding, if !fed => fed = true,
                status = &mut self.exit => break status.map_err(io::Error::other)??,
            }
        };
        self.stdout.rest(|line| taken(Stream::Out, line));
        self.stderr.rest(|line| taken(Stream::Err, line));
        Ok(Exit::of(status))
    }

    /// Asks the group to end, and kills what is left of it after `grace`.
    async fn end(&mut self, grace: Duration, taken: &mut (impl FnMut(Stream, &str) + Send)) {
        self.feed = None;
        self.group.signal(Signal::TERM);
        // The pipes' end tells that the grandchildren have gone too: all but those that closed their output.
        let gone = async {
            let _ = self.finish(taken).await;
            while !self.stdout.ended() || !self.stderr.ended() {
                tokio::select! {
                    line = self.stdout.next(), if !self.stdout.ended() => taken_line(taken, Stream::Out, line),
                    line = self.stderr.next(), if !self.stderr.ended() => taken_line(taken, Stream::Err, line),
                }
            }
        };
        let _ = tokio::time::timeout(grace, gone).await;
        self.group.signal(Signal::KILL);
        // Already received when the child went by itself: then there is nothing more to wait for.
        if !self.exit.is_terminated() {
            let _ = (&mut self.exit).await;
        }
        self.group.let_go();
    }
}

fn taken_line(taken: &mut (impl FnMut(Stream, &str) + Send), stream: Stream, line: Option<String>) {
    if let Some(line) = line {
        taken(stream, &line);
    }
}

/// The leaders of all groups that have not been let go.
static ALIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills every process group that was started here, for a process that is about to end without waiting: futures that
/// the runtime has not come to drop would leave theirs running.
pub fn kill_all() {
    for leader in alive().iter().filter_map(|leader| Pid::from_raw(*leader)) {
        // It fails when no member is left, which is what was wanted.
        let _ = kill_process_group(leader, Signal::KILL);
    }
}

fn alive() -> MutexGuard<'static, BTreeSet<i32>> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process group, killed when dropped.
struct Group(Option<Pid>);

impl Group {
    /// The group of a child that was just started: its first process leads it.
    fn of(pids: &[u32]) -> Self {
        let leader = pids.first().and_then(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
        if let Some(leader) = leader {
            alive().insert(leader.as_raw_pid());
        }
        Self(leader)
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            // It fails when no member is left, which is what was wanted.
            let _ = kill_process_group(leader, signal);
        }
    }

    /// What is left of it has been left running on purpose, by a child that ended well.
    fn let_go(&mut self) {
        if let Some(leader) = self.0.take() {
            alive().remove(&leader.as_raw_pid());
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.let_go();
    }
}

/// The words in front of a command that make it end with us; none where the system has no such tool.
fn guard() -> Vec<OsString> {
    static SETPRIV: OnceLock<Option<PathBuf>> = OnceLock::new();
    let setpriv = SETPRIV.get_or_init(|| {
        let found = resolve(OsStr::new("setpriv"), None).filter(|_| cfg!(target_os = "linux"))?;
        // The one of busybox knows no --pdeathsig.
        let real = std::fs::canonicalize(&found).ok()?;
        (real.file_name() == Some(OsStr::new("setpriv"))).then_some(found)
    });
    // SIGTERM rather than SIGKILL: helm, told to end, marks its release failed instead of leaving it pending.
    setpriv
        .iter()
        .flat_map(|setpriv| [setpriv.as_os_str(), OsStr::new("--pdeathsig"), OsStr::new("TERM"), OsStr::new("--")])
        .map(Into::into)
        .collect()
}

/// The executable file that `program` means: on `PATH` if it is a bare name, below `cwd` if it is a relative path.
pub fn resolve(program: &OsStr, cwd: Option<&Path>) -> Option<PathBuf> {
    let path = Path::new(program);
    if path.components().count() > 1 || path.is_absolute() {
        let path = cwd.map_or_else(|| path.to_owned(), |cwd| cwd.join(path));
        return is_executable(&path).then_some(path);
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&directories).map(|directory| directory.join(path)).find(|path| is_executable(path));
    found.or_else(|| tool_folder::places(path).find(|path| is_executable(path)))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn could_not(line: &str, error: &io::Error) -> Failure {
    Failure::environment(format!("could not run `{line}`")).because(error.to_string())
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+{}[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests;
