//! Which hosts are reached from here: asked once in a run, all at once, and never for longer than seconds.
//!
//! By curl, which minds the proxies and trusted roots that everything else on this machine minds, too.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::OnceLock;
use std::time::Duration;

use engine::event::Level;
use engine::failure::Failure;
use engine::step::StepId;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::world::process::{self, Command, Exit, Stream};

/// How long a connection may take to come about, and an answer, in seconds: the first time, and once more. What hangs
/// on it are twenty minutes of compiling, so one lost packet does not decide.
const PATIENCE: [(&str, &str); 2] = [("3", "6"), ("5", "10")];

/// Whether all of `addresses` answer: `registry.k8s.io/v2/`, without the scheme. A host that does not is told.
///
/// # Errors
/// When the run is cancelled.
pub(super) async fn reaches(cx: &Context, addresses: &[&str]) -> Result<bool, Failure> {
    static KNOWN: OnceLock<Mutex<BTreeMap<String, bool>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().await;
    let new = addresses.iter().filter(|address| !known.contains_key(**address));
    let answers = futures_util::future::try_join_all(new.map(|address| async move {
        let answers = answers(&format!("https://{address}"), &cx.cancel).await?;
        Ok::<_, Failure>(((*address).to_owned(), answers))
    }));
    let answers = answers.await?;
    for (address, _) in answers.iter().filter(|(_, answers)| !answers) {
        cx.note(&StepId::cluster(), Level::Info, format!("{} does not answer", host(address)));
    }
    known.extend(answers);
    Ok(addresses.iter().all(|address| known.get(*address) == Some(&true)))
}

/// The host of an address without a scheme.
pub(super) fn host(address: &str) -> &str {
    address.split('/').next().unwrap_or_default()
}

/// What came of asking once.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    /// It, or a wall in between, has refused.
    No,
    /// Nothing came, or what somebody says who has too much to do.
    Silence,
}

/// `url` answers, if not the first time, then the second.
async fn answers(url: &str, cancel: &CancellationToken) -> Result<bool, Failure> {
    for (connect, answer) in PATIENCE {
        match ask(url, connect, answer, cancel).await? {
            Answer::Yes => return Ok(true),
            Answer::No => return Ok(false),
            Answer::Silence => {}
        }
    }
    Ok(false)
}

async fn ask(url: &str, connect: &str, answer: &str, cancel: &CancellationToken) -> Result<Answer, Failure> {
    if process::resolve(OsStr::new("curl"), None).is_none() {
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

async fn connects(url: &str, patience: Duration) -> bool {
    let host = host(url.trim_start_matches("https://"));
    matches!(tokio::time::timeout(patience, TcpStream::connect((host, 443))).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use tokio_util::sync::CancellationToken;

    use super::{Answer, answers, judge};

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

    #[tokio::test]
    async fn a_host_that_is_not_there_is_not_reached() {
        // A name that can never be given to anybody.
        assert_eq!(answers("https://registry.invalid/v2/", &CancellationToken::new()).await, Ok(false));
    }

    #[tokio::test]
    async fn one_answer_that_is_lost_does_not_decide_and_a_refusal_does() {
        let rows = [
            (&["", "200 OK"][..], true, 2),
            (&["503 Busy", "200 OK"], true, 2),
            (&["", ""], false, 2),
            (&["403 Forbidden", "200 OK"], false, 1),
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
            assert_eq!(answers(&url, &CancellationToken::new()).await, Ok(expected), "{said:?}");
            server.join().unwrap();
        }
    }
}
