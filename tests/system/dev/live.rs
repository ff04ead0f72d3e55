//! The small application in a loop: it answers one word.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Loop;
use crate::project::Project;

/// The namespace of what the fixture deploys.
pub const NAMESPACE: &str = "live-test";

/// Longer than a cluster takes to come to rest after whatever a test does to it.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Between two questions to an application that is about to answer otherwise.
pub const PACE: Duration = Duration::from_millis(50);

/// How long one answer may take. A connection may have to wait for a pod that comes later than that.
const ANSWER: Duration = Duration::from_secs(5);

/// The project, with nothing of it deployed from here.
pub fn project() -> Project {
    Project::live(NAMESPACE)
}

/// Has the application of `project` say another word, once that is live.
pub fn save(project: &Project, word: &str) {
    project.write("app/app/__init__.py", &format!("WORD = \"{word}\"\n"));
}

/// What the application answers through a local port, which has to be open; `None` when no answer came in time.
#[track_caller]
pub fn ask(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    stream.set_read_timeout(Some(ANSWER)).expect("a timeout can be set");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

impl Loop<'_> {
    /// Saves a word and waits until it is live.
    #[track_caller]
    pub fn edit(&mut self, word: &str) {
        save(self.project, word);
        self.until_answered("/", word);
    }

    /// Waits until `path` is answered so.
    #[track_caller]
    pub fn until_answered(&mut self, path: &str, expected: &str) {
        let begun = Instant::now();
        loop {
            let answered = ask(self.port("live"), path);
            if answered.as_deref() == Some(expected) {
                return;
            }
            let seen = self.running.last();
            assert!(begun.elapsed() < PATIENCE, "{path} is {answered:?}, not {expected:?}; the last event is {seen}");
            self.running.until_moment(Instant::now() + PACE);
        }
    }
}
