//! One HTTP/1.1 request through a forwarded connection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::failure::Failure;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kube::Client;
use secrecy::{ExposeSecret as _, SecretString};

use super::tunnel::Ended;
use super::unanswered::Unanswered;
use super::{At, Trouble, open};

/// How much of a body is read: a check needs the beginning, not a download.
const MOST: usize = 1 << 20;

/// How much of an answer may be on its way, in bytes.
const BUFFER: usize = 64 << 10;

/// How long an answer may still take once the kubelet has reported trouble with the connection.
const OVERTAKEN: Duration = Duration::from_secs(1);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, up to 1 MiB.
    pub body: Bytes,
    /// From the request to the end of the body; connecting left out.
    pub took: Duration,
    /// The pod that answered.
    pub pod: String,
}

/// Asks for `path` with GET. `headers` may replace `Host`, which is `localhost` otherwise.
///
/// # Errors
/// When no pod is ready, does not take the connection, or does not answer in HTTP.
pub async fn get(
    client: &Client,
    at: &At,
    path: &str,
    headers: &BTreeMap<String, SecretString>,
) -> Result<Answer, Trouble> {
    let failed = |pod: &str| Failure::step(format!("GET {path} of {at} got no answer from pod {pod}"));
    let (target, tunnel) = open(client, at).await?;
    let pod = target.pod;
    let (ours, mut theirs) = tokio::io::duplex(BUFFER);
    // It is asked at once.
    let leaves = std::future::pending();
    let carried = async move { tunnel.carry(target.port, &mut theirs, &mut Unanswered::default(), leaves).await.0 };
    let (mut sender, driver) =
        http1::handshake(TokioIo::new(ours)).await.map_err(|error| Trouble::NotYet(failed(&pod).because_of(&error)))?;
    let mut request = Request::get(path).header("user-agent", "cargo-xtask");
    if !headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", "localhost");
    }
    for (name, value) in headers {
        request = request.header(name, value.expose_secret());
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| {
        Trouble::Never(Failure::usage(format!("GET {path} of {at} is no valid request")).because_of(&error))
    })?;
    let begun = Instant::now();
    let answer = async {
        let answer =
            sender.send_request(request).await.map_err(|error| Trouble::NotYet(failed(&pod).because_of(&error)))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(|error| {
            let failure = Failure::step(format!("could not read the answer to GET {path} of {at}"));
            Trouble::NotYet(failure.because(error))
        })?;
        Ok(Answer { status, body: body.to_bytes(), took: begun.elapsed(), pod: pod.clone() })
    };
    // The connection is driven beside the request; what goes wrong with it, the request says.
    let driven = async {
        let _ = driver.await;
        std::future::pending::<()>().await;
    };
    tokio::pin!(answer, driven, carried);
    let ended = tokio::select! {
        biased;
        answer = &mut answer => return answer,
        ended = &mut carried => ended,
        () = &mut driven => Ended::Whole,
    };
    // All that came is in the buffer by now; whether it is a whole answer remains to be seen.
    let answer = async {
        tokio::select! {
            answer = &mut answer => Some(answer),
            () = &mut driven => None,
        }
    };
    let (Ended::NotConnected(why) | Ended::Dropped(why)) = ended else {
        return answer.await.unwrap_or_else(|| Err(Trouble::NotYet(failed(&pod))));
    };
    // The kubelet's word may come before an answer that is on its way.
    match tokio::time::timeout(OVERTAKEN, answer).await {
        Ok(Some(Ok(answer))) => Ok(answer),
        _ => Err(Trouble::NotYet(failed(&pod).because(why))),
    }
}
