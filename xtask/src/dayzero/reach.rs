//! Which hosts are reached from here: asked once in a run, all at once, and never for longer than seconds.
//!
//! By curl, which minds the proxies and trusted roots that everything else on this machine minds, too.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::OnceLock;
use std::time::Duration;

use engine::failure::Failure;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::world::process::{self, Command, Exit, Stream};

/// How long a connection may take to come about, in seconds.
const CONNECT: &str = "3";

/// How long an answer may take, in seconds.
const ANSWER: &str = "6";

/// Whether all of `addresses` answer: `registry.k8s.io/v2/`, without the scheme.
///
/// # Errors
/// When the run is cancelled.
pub(super) async fn reaches(addresses: &[&str], cancel: &CancellationToken) -> Result<bool, Failure> {
    static KNOWN: OnceLock<Mutex<BTreeMap<String, bool>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().await;
    let new = addresses.iter().filter(|address| !known.contains_key(**address));
    let answers = futures_util::future::try_join_all(
        new.map(|address| async move { Ok::<_, Failure>(((*address).to_owned(), answers(address, cancel).await?)) }),
    );
    known.extend(answers.await?);
    Ok(addresses.iter().all(|address| known.get(*address) == Some(&true)))
}

async fn answers(address: &str, cancel: &CancellationToken) -> Result<bool, Failure> {
    if process::resolve(OsStr::new("curl"), None).is_none() {
        return Ok(connects(address).await);
    }
    let command = Command::new("curl")
        .args(["--silent", "--head", "--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(["--connect-timeout", CONNECT, "--max-time", ANSWER])
        .arg(format!("https://{address}"));
    let finished = command.run(cancel, |_, _| {}).await?;
    Ok(finished.exit == Exit::Code(0) && is_answer(finished.text(Stream::Out).trim()))
}

/// A registry asks for a login before anything else. Whatever else is refused comes from a wall in between.
fn is_answer(status: &str) -> bool {
    status == "401" || status.parse::<u16>().is_ok_and(|status| (200..400).contains(&status))
}

async fn connects(address: &str) -> bool {
    let host = address.split('/').next().unwrap_or_default();
    let patience = Duration::from_secs(CONNECT.parse().unwrap_or(3));
    matches!(tokio::time::timeout(patience, TcpStream::connect((host, 443))).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::{is_answer, reaches};

    #[test]
    fn a_wall_in_between_is_no_answer() {
        for (status, expected) in
            [("200", true), ("307", true), ("401", true), ("403", false), ("502", false), ("000", false)]
        {
            assert_eq!(is_answer(status), expected, "{status}");
        }
    }

    #[tokio::test]
    async fn a_host_that_is_not_there_is_not_reached() {
        // A name that can never be given to anybody.
        assert_eq!(reaches(&["registry.invalid/v2/"], &CancellationToken::new()).await, Ok(false));
    }
}
