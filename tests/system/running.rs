//! A run of the program that a test watches, and stops or kills while it goes on.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::project::Project;
use crate::ran::Ran;

/// By this variable a run's children are known, and theirs, whoever adopts them.
const MARK: &str = "XTASK_TEST_RUN";

/// Longer than anything takes that a test waits for.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// A run under way, with JSON events.
pub struct Running {
    command: String,
    mark: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    errors: Option<JoinHandle<String>>,
}

impl Running {
    /// Begins a run in the checkout of `project`.
    pub fn start(project: &Project, arguments: &[&str]) -> Self {
        Self::start_with(project, arguments, &[])
    }

    /// Begins a run with some variables of the environment set to other values.
    pub fn start_with(project: &Project, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = project.command(arguments);
        command.envs(environment.iter().copied());
        Self::of(command)
    }

    /// Begins what `command` runs: this program, or another build of it.
    pub fn of(mut command: Command) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        command.args(["--format", "json"]).env(MARK, &mark);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary can be run");
        let (stdout, mut stderr) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test may have seen enough of them.
                let _ = sender.send(line);
            }
        });
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { command: name.join(" "), mark, child, lines, seen: Vec::new(), errors: Some(errors) }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first event that `is_it`.
    #[track_caller]
    pub fn until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        let end = loop {
            let line = match self.lines.recv_timeout(LONGEST.saturating_sub(begun.elapsed())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => break "has gone on for long",
                Err(RecvTimeoutError::Disconnected) => break "ended",
            };
            let found = serde_json::from_str(&line).is_ok_and(|event| is_it(&event));
            self.seen.push(line);
            if found {
                return;
            }
        };
        panic!("`{}` {end} and it never came that {what}:\n{}", self.command, self.seen.join("\n"));
    }

    /// Lets it go on until `moment`, or to its end if that comes first.
    pub fn until_moment(&mut self, moment: Instant) {
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Lets it go on until it has told `count` events, or to its end if that comes first.
    pub fn until_told(&mut self, count: usize) {
        let missing = count.saturating_sub(self.seen.len());
        let told: Vec<String> = self.lines.iter().take(missing).collect();
        self.seen.extend(told);
    }

    /// The events that were seen of it.
    pub fn events(&self) -> impl Iterator<Item = Value> + '_ {
        self.seen.iter().filter_map(|line| serde_json::from_str(line).ok())
    }

    /// The last that was seen of it.
    pub fn last(&self) -> &str {
        self.seen.last().map_or("nothing", String::as_str)
    }

    /// Sends a signal to the program itself and to none of its children.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("the run is there");
    }

    /// Kills it outright.
    pub fn killed(mut self) -> Ran {
        self.child.kill().expect("a child can be killed");
        self.ended()
    }

    /// Waits for its end, and calls `meanwhile` with 1, 2 and so on, `pace` apart.
    pub fn ended_while(mut self, pace: Duration, mut meanwhile: impl FnMut(u32)) -> Ran {
        let mut count = 0;
        while matches!(self.child.try_wait(), Ok(None)) {
            count += 1;
            meanwhile(count);
            self.until_moment(Instant::now() + pace);
        }
        self.ended()
    }

    /// Waits for its end. What it left running is not waited for.
    pub fn ended(mut self) -> Ran {
        let status = self.child.wait().expect("a child can be waited for");
        // It wrote to the pipe itself and the pipe is its own, so this ends with it.
        self.seen.extend(self.lines.iter());
        let errors = self.errors.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let output = Output { status, stdout: self.seen.join("\n").into_bytes(), stderr: errors.into_bytes() };
        Ran::new(&[&self.command], output)
    }

    /// How to look later for what it may leave behind.
    pub fn traces(&self) -> Traces {
        Traces(format!("{MARK}={}", self.mark))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that has failed leaves no run behind; one that has ended is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run and its children have in common.
pub struct Traces(String);

impl Traces {
    /// The command lines of what still runs.
    pub fn left(&self) -> Vec<String> {
        let processes = std::fs::read_dir("/proc").expect("there is a /proc").flatten();
        let marked = processes.filter(|process| {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == self.0.as_bytes())
        });
        let line = |path: std::path::PathBuf| {
            let words = std::fs::read(path.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).replace('\0', " ")
        };
        marked.map(|process| line(process.path())).collect()
    }
}

/// Numbers that look random, and are the same again for the same seed.
pub struct Random(u64);

impl Random {
    /// Seeded by XTASK_TEST_SEED, or else by the clock; prints the seed, which goes into the report of a failed test.
    pub fn seeded() -> Self {
        let given = std::env::var("XTASK_TEST_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
        let clock = || std::time::UNIX_EPOCH.elapsed().expect("the clock is right").subsec_nanos();
        let seed = given.unwrap_or_else(|| u64::from(clock()));
        println!("XTASK_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // SplitMix64: each state gives a number that says nothing about the next.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        mixed % end.max(1)
    }
}
