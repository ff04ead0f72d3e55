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

use super::{At, Trouble, connect};

/// How much of a body is read: a check needs the beginning, not a download.
const MOST: usize = 1 << 20;

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
    let connection = connect(client, at).await?;
    let pod = connection.pod;
    let (mut sender, driver) = http1::handshake(TokioIo::new(connection.stream))
        .await
        .map_err(|error| Trouble::NotYet(failed(&pod).because_of(&error)))?;
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
    // The connection is driven beside the request and ends with it; a body is read before its end is reported.
    let driven = async {
        let ended = driver.await;
        match ended {
            Ok(()) => std::future::pending().await,
            Err(error) => failed(&pod).because_of(&error),
        }
    };
    // Told apart from an answer that says no: nothing listens on the port at all.
    let refused = async {
        match connection.trouble.await {
            Some(said) => failed(&pod).because(said.trim().to_owned()),
            None => std::future::pending().await,
        }
    };
    tokio::pin!(answer, driven, refused);
    let mut first = None;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return match (answer, first) {
                // The kubelet's word is more exact than "connection closed".
                (Err(_), Some(known)) => Err(Trouble::NotYet(known)),
                (answer, _) => answer,
            },
            failure = &mut refused, if first.is_none() => first = Some(failure),
            failure = &mut driven, if first.is_none() => first = Some(failure),
        }
    }
}
