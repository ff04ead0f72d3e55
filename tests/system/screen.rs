//! The program at a terminal of its own: what is on its screen, and keys for it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::project::Project;

/// Longer than anything takes that a test waits for here.
const PATIENCE: Duration = Duration::from_secs(240);

/// Rows and columns, where a test asks for no others.
const SIZE: (u16, u16) = (40, 160);

/// How many lines the loop keeps at the bottom.
const BOTTOM: usize = 5;

/// See the module.
pub struct Screen {
    child: Child,
    keys: ChildStdin,
    written: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    size: (u16, u16),
    /// All that was ever written.
    pub everything: String,
}

impl Screen {
    /// Begins the program with `arguments`. How its terminal is set is written before and after it.
    pub fn begin(project: &Project, arguments: &str) -> Self {
        Self::with(project, arguments, &[])
    }

    /// The same with variables of the environment.
    pub fn with(project: &Project, arguments: &str, environment: &[(&str, &str)]) -> Self {
        Self::of_size(SIZE, project, arguments, environment)
    }

    /// The same on a terminal of so many rows and columns.
    pub fn of_size(size: (u16, u16), project: &Project, arguments: &str, environment: &[(&str, &str)]) -> Self {
        let program = env!("CARGO_BIN_EXE_xtask");
        let (rows, columns) = size;
        // Some shells would end by an interrupt that is meant for the program.
        let command = format!(
            "trap : INT; stty columns {columns} rows {rows}; tty; stty -a; {program} {arguments}; code=$?; stty -a; exit $code"
        );
        let mut child = Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
            .current_dir(project.folder())
            .env_remove("CI")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script is there");
        let keys = child.stdin.take().expect("a pipe");
        let mut output = child.stdout.take().expect("a pipe");
        let (sender, written) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                // The test may have seen enough.
                let _ = sender.send(bytes[..read].to_vec());
            }
        });
        let parser = vt100::Parser::new(rows, columns, 0);
        Self { child, keys, written, parser, size, everything: String::new() }
    }

    /// Presses a key.
    #[track_caller]
    pub fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).expect("it is heard");
    }

    /// Waits until the screen is as `is` says.
    #[track_caller]
    pub fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is(self) {
            // Applications write all the time, so each wait is for what is left of it.
            match self.written.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(bytes) => self.take(&bytes),
                Err(error) => panic!("{what}: {error}; the screen shows\n{}", self.shown()),
            }
        }
    }

    /// Lets it go on until `moment`, or to its end if that comes first.
    pub fn until_moment(&mut self, moment: Instant) {
        while let Ok(bytes) = self.written.recv_timeout(moment.saturating_duration_since(Instant::now())) {
            self.take(&bytes);
        }
    }

    /// Waits until the screen shows `text`.
    #[track_caller]
    pub fn until_shown(&mut self, text: &str) {
        self.until(text, |screen| screen.shown().contains(text));
    }

    /// Waits until the loop says at the bottom what it does now.
    #[track_caller]
    pub fn until_now(&mut self, text: &str) {
        self.until(text, |screen| screen.at_bottom("Now").contains(text));
    }

    fn take(&mut self, bytes: &[u8]) {
        self.everything.push_str(&String::from_utf8_lossy(bytes));
        self.parser.process(bytes);
    }

    /// The terminal's device.
    fn device(&self) -> &str {
        self.everything.split_whitespace().find(|word| word.starts_with("/dev/")).expect("tty has said it")
    }

    /// Sends a signal to the program itself: not to the terminal's shell, nor to what the program runs.
    pub fn signal(&self, signal: Signal) {
        let program = Path::new(env!("CARGO_BIN_EXE_xtask")).canonicalize().expect("it is there");
        let leads = |link: PathBuf, to: &Path| fs::read_link(link).is_ok_and(|target| target == to);
        let is_it = |process: &PathBuf| {
            leads(process.join("exe"), &program) && leads(process.join("fd/0"), Path::new(self.device()))
        };
        let processes = fs::read_dir("/proc").expect("there is a /proc").flatten().map(|entry| entry.path());
        let found: Vec<PathBuf> = processes.filter(is_it).collect();
        let [process] = &found[..] else { panic!("one program has the terminal: {found:?}") };
        let pid = process.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), signal).expect("the program is there");
    }

    /// Makes the terminal so large.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let device = self.device();
        let (rows_word, columns_word) = (rows.to_string(), columns.to_string());
        let stty = ["-F", device, "rows", &rows_word, "columns", &columns_word];
        assert!(Command::new("stty").args(stty).status().expect("it is there").success());
        self.size = (rows, columns);
        self.parser.screen_mut().set_size(rows, columns);
    }

    /// How many characters there is room for in a row.
    pub fn columns(&self) -> u16 {
        self.size.1
    }

    /// Whether it is seen where the next character goes.
    pub fn shows_cursor(&self) -> bool {
        !self.parser.screen().hide_cursor()
    }

    /// What is on the screen.
    pub fn shown(&self) -> String {
        // Row by row: a row that is written to its end counts as one with the next.
        self.parser.screen().rows(0, self.size.1).collect::<Vec<_>>().join("\n")
    }

    /// The line at the bottom that begins with `word`; empty where there is none.
    pub fn at_bottom(&self, word: &str) -> String {
        let shown = self.shown();
        let lines: Vec<&str> = shown.trim_end().lines().collect();
        let bottom = lines.len().saturating_sub(BOTTOM);
        let found = lines[bottom..].iter().find_map(|line| line.trim_start().strip_prefix(word)?.strip_prefix(' '));
        found.unwrap_or_default().trim().to_owned()
    }

    /// Waits for the end; what is on the screen then can still be read.
    pub fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        while let Ok(bytes) = self.written.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            self.take(&bytes);
        }
        self.child.wait().expect("it ends")
    }

    /// Waits for the end, and returns all that was ever written.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.end();
        (status, std::mem::take(&mut self.everything))
    }

    /// How the terminal was set before the program and after it.
    pub fn settings(&self) -> Vec<&str> {
        self.everything.lines().filter(|line| line.contains("icanon")).collect()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A loop that a failed test leaves would tread on the next test's. Two words end it at once, and with its
        // terminal goes one that does not hear them; one that has ended is no error.
        let _ = self.keys.write_all(b"\x03\x03");
        let begun = Instant::now();
        while self.written.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
