//! Which hosts are reached from here: asked once in a run, all at once, and never for longer than seconds.
//!
//! By curl, which minds the proxies and trusted roots that everything else on this machine minds, too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use engine::event::Level;
use engine::failure::Failure;
use engine::step::StepId;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::packages;
use crate::context::Context;
use crate::world::process::{self, Command, Exit, Stream};

/// How long a connection may take to come about, and an answer, in seconds: the first time, and once more. What hangs
/// on it are twenty minutes of compiling, so one lost packet does not decide.
const PATIENCE: [(&str, &str); 2] = [("3", "6"), ("5", "10")];

/// What the run knows that is under way in this process.
static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();

/// What is known of hosts, for as long as a run lasts: a loop has many of them, and goes on for hours.
#[derive(Debug, Default)]
struct Known {
    /// The run's folder.
    run: PathBuf,
    /// Whether hosts were asked by curl; nothing before the first was.
    by_curl: Option<bool>,
    /// By address: `registry.k8s.io/v2/`.
    answers: BTreeMap<String, Answer>,
}

impl Known {
    /// Forgets what another run knew than the one with that folder.
    fn begin(&mut self, run: PathBuf) {
        if self.run != run {
            *self = Self { run, ..Self::default() };
        }
    }

    /// Forgets what was heard without curl, or with one that has gone.
    fn ask_by(&mut self, curl: bool) {
        if self.by_curl != Some(curl) {
            self.by_curl = Some(curl);
            self.answers.clear();
        }
    }
}

/// Whether all of `addresses` answer: `registry.k8s.io/v2/`, without the scheme. A host that does not is told.
///
/// # Errors
/// When the run is cancelled.
pub(super) async fn reaches(cx: &Context, addresses: &[&str]) -> Result<bool, Failure> {
    let mut known = KNOWN.get_or_init(Mutex::default).lock().await;
    known.begin(cx.workspace.run_folder(cx.run));
    if known.by_curl.is_none() {
        get_curl(cx).await?;
    }
    known.ask_by(has_curl());
    let new = addresses.iter().filter(|address| !known.answers.contains_key(**address));
    let answers = futures_util::future::try_join_all(new.map(|address| async move {
        Ok::<_, Failure>(((*address).to_owned(), answer(&format!("https://{address}"), &cx.cancel).await?))
    }));
    let answers = answers.await?;
    for (address, _) in answers.iter().filter(|(_, answer)| *answer != Answer::Yes) {
        cx.note(&StepId::cluster(), Level::Info, format!("{} does not answer", host(address)));
    }
    known.answers.extend(answers);
    Ok(addresses.iter().all(|address| known.answers.get(*address) == Some(&Answer::Yes)))
}

/// Has curl installed where it is missing and that is done from here: what is asked otherwise is only whether somebody
/// takes a connection, which walls do, too, and which nobody does behind a proxy.
async fn get_curl(cx: &Context) -> Result<(), Failure> {
    if has_curl() || !packages::may_install()? {
        return Ok(());
    }
    match packages::ensure(cx, &StepId::cluster(), &[packages::CURL]).await {
        Err(failure) if !cx.cancel.is_cancelled() => {
            let text = format!("hosts are asked without curl, whose word would count for more: {failure}");
            cx.note(&StepId::cluster(), Level::Info, text);
            Ok(())
        }
        got => got,
    }
}

fn has_curl() -> bool {
    process::resolve(OsStr::new("curl"), None).is_some()
}

/// Has the recipes of the folder `root` know what this run knows of hosts, so that nobody waits for the same silence
/// again.
///
/// # Errors
/// When it cannot be written there.
pub(super) async fn tell_recipes(root: &Path) -> Result<(), Failure> {
    note_for_recipes(&root.join("run/asked"), &KNOWN.get_or_init(Mutex::default).lock().await.answers)
}

/// Notes as `dayzero/tools/sources` reads and writes them: a file by the name of the host in one of two folders.
fn note_for_recipes(asked: &Path, known: &BTreeMap<String, Answer>) -> Result<(), Failure> {
    // One that refuses is there, and may give something else.
    let heard = known.iter().filter(|(_, answer)| **answer != Answer::Silence).map(|(address, _)| host(address));
    let heard: BTreeSet<&str> = heard.collect();
    for host in known.keys().map(|address| host(address)) {
        let folder = asked.join(if heard.contains(host) { "heard" } else { "silent" });
        let path = folder.join(host);
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, ""));
        written.map_err(|error| Failure::io("note what is reached in", &path, &error))?;
    }
    Ok(())
}

/// The host of an address without a scheme.
pub(super) fn host(address: &str) -> &str {
    address.split('/').next().unwrap_or_default()
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    /// It, or a wall in between, has refused.
    No,
    /// Nothing came, or what somebody says who has too much to do.
    Silence,
}

/// What comes of asking `url`, if nothing the first time, then the second.
async fn answer(url: &str, cancel: &CancellationToken) -> Result<Answer, Failure> {
    for (connect, answer) in PATIENCE {
        let answer = ask(url, connect, answer, cancel).await?;
        if answer != Answer::Silence {
            return Ok(answer);
        }
    }
    Ok(Answer::Silence)
}

async fn ask(url: &str, connect: &str, answer: &str, cancel: &CancellationToken) -> Result<Answer, Failure> {
    if !has_curl() {
        let connects = connects(url, Duration::from_secs(connect.parse().unwrap_or(3))).await;
        return Ok(if connects { Answer::Yes } else { Answer::Silence });
    }
    let command = Command::new("curl")
        .args(["--silent", "--head", "--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(["--connect-timeout", connect, "--max-time", answer])
        .arg(url);
    let finished = command.run(cancel, |_, _| {}).await?;
    let status = finished.text(Stream::Out).trim().parse().unwrap_or(0);
    Ok(if finished.exit == Exit::Code(0) { judge(status) } else { Answer::Silence })
}

/// A registry asks for a login before anything else. Whatever else is refused comes from a wall in between.
fn judge(status: u16) -> Answer {
    match status {
        200..=399 | 401 => Answer::Yes,
        0 | 408 | 429 | 500.. => Answer::Silence,
        _ => Answer::No,
    }
}

/// Whether somebody takes a connection at the host of `url`: all that is to be found out without curl.
pub async fn connects(url: &str, patience: Duration) -> bool {
    let host = host(url.trim_start_matches("https://"));
    matches!(tokio::time::timeout(patience, TcpStream::connect((host, 443))).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::path::Path;
    use std::process::Command;

    use tokio_util::sync::CancellationToken;

    use super::{Answer, Known, answer, judge, note_for_recipes};

    #[test]
    fn a_wall_in_between_is_no_answer() {
        let rows = [
            (200, Answer::Yes),
            (307, Answer::Yes),
            (401, Answer::Yes),
            (403, Answer::No),
            (404, Answer::No),
            (429, Answer::Silence),
            (502, Answer::Silence),
            (0, Answer::Silence),
        ];
        for (status, expected) in rows {
            assert_eq!(judge(status), expected, "{status}");
        }
    }

    #[test]
    fn a_run_knows_what_it_has_heard_itself_and_nothing_of_the_run_before_it() {
        let mut known = Known::default();
        let rows =
            [("runs/1", false, 0), ("runs/1", false, 1), ("runs/1", true, 0), ("runs/1", true, 1), ("runs/2", true, 0)];
        for (run, curl, answers) in rows {
            known.begin(run.into());
            known.ask_by(curl);
            assert_eq!(known.answers.len(), answers, "{run} {curl}");
            known.answers.insert("registry.k8s.io/v2/".to_owned(), Answer::Silence);
        }
    }

    #[tokio::test]
    async fn a_host_that_is_not_there_is_not_reached() {
        // A name that can never be given to anybody.
        assert_eq!(answer("https://registry.invalid/v2/", &CancellationToken::new()).await, Ok(Answer::Silence));
    }

    #[tokio::test]
    async fn one_answer_that_is_lost_does_not_decide_and_a_refusal_does() {
        let rows = [
            (&["", "200 OK"][..], Answer::Yes, 2),
            (&["503 Busy", "200 OK"], Answer::Yes, 2),
            (&["", ""], Answer::Silence, 2),
            (&["403 Forbidden", "200 OK"], Answer::No, 1),
        ];
        for (said, expected, asked) in rows {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/v2/", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                for status in said.iter().take(asked) {
                    let (mut stream, _) = listener.accept().unwrap();
                    let _ = stream.read(&mut [0; 4096]).unwrap();
                    // Where nothing is to be said, the connection ends without an answer.
                    if !status.is_empty() {
                        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
                    }
                }
            });
            assert_eq!(answer(&url, &CancellationToken::new()).await, Ok(expected), "{said:?}");
            server.join().unwrap();
        }
    }

    #[test]
    fn recipes_are_told_by_the_marks_that_they_know() {
        let folder = tempfile::tempdir().unwrap();
        let known = [
            ("get.helm.sh/helm.tar.gz", Answer::Silence),
            ("go.dev/dl/", Answer::Yes),
            ("go.dev/slow", Answer::Silence),
            ("storage.googleapis.com/minikube/", Answer::No),
        ];
        let asked = folder.path().join("run/asked");
        note_for_recipes(&asked, &known.map(|(address, answer)| (address.to_owned(), answer)).into()).unwrap();
        // Nothing is asked of anybody that is known.
        let shell = "curl() { exit 9; }; asked=$1; . \"$2\"; is_given_up get.helm.sh && ! answers https://get.helm.sh/ \
            && ! is_given_up go.dev && answers https://go.dev/ && ! is_given_up storage.googleapis.com";
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("dayzero").join("tools/sources");
        let status = Command::new("bash").args(["-c", shell, "bash"]).arg(asked).arg(sources).status().unwrap();
        assert!(status.success(), "{status}");
    }
}
