//! The session: one connection, turned around so that the daemon asks and we answer.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioExecutor;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::build::daemon_message;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::file_sync::{DIFF_COPY, FileSync};
use crate::grpc::{Answer, Status, unary};
use crate::health;
use crate::secrets::{self, Secrets};

/// Enough for the paths of a Dockerfile with thousands of `COPY` sources, which come as headers.
const LONGEST_HEADERS: u32 = 4 << 20;

/// What the daemon may ask for.
pub(crate) struct Services {
    pub(crate) files: Arc<FileSync>,
    pub(crate) secrets: Secrets,
}

impl Services {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        match request.uri().path() {
            DIFF_COPY => self.files.diff_copy(request),
            secrets::GET_SECRET => secrets::get_secret(&self.secrets, request).await,
            health::CHECK => health::check(),
            other => unary::<()>(Err(Status::unimplemented(other))),
        }
    }
}

/// A key as a header's value, which holds neither line ends nor letters beyond ASCII, as paths do.
fn header_safe(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Opens the session `id`, which lives until `tasks` ends.
pub(crate) async fn open(
    endpoint: &Endpoint,
    id: &str,
    services: Arc<Services>,
    tasks: &mut JoinSet<()>,
) -> Result<(), Error> {
    const DOING: &str = "while opening a build session";
    let broken = |message: String| Error::Broken { doing: DOING, message };
    let mut request = Request::post("/session")
        .header("host", "docker")
        .header("connection", "Upgrade")
        .header("upgrade", "h2c")
        .header("x-docker-expose-session-uuid", id)
        .header("x-docker-expose-session-name", "xtask")
        .header("x-docker-expose-session-sharedkey", header_safe(services.files.context_key()));
    for method in [DIFF_COPY, secrets::GET_SECRET, health::CHECK] {
        request = request.header("x-docker-expose-session-grpc-method", method);
    }
    let request = request.body(Empty::new()).map_err(|e| broken(e.to_string()))?;
    let response = endpoint.send(request, DOING, tasks).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status().as_u16();
        let message = daemon_message(response).await;
        return Err(match status {
            404 | 405 | 501 => Error::NoBuildKit { message },
            _ => Error::Refused { status, message },
        });
    }
    let stream = hyper::upgrade::on(response).await.map_err(|e| broken(e.to_string()))?;
    let service = service_fn(move |request| {
        let services = Arc::clone(&services);
        async move { Ok::<_, Infallible>(services.answer(request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(LONGEST_HEADERS)
        .serve_connection(stream, service);
    // How it ends matters to nobody: the daemon closes it after the build, and a build without its session fails.
    tasks.spawn(async move { drop(connection.await) });
    Ok(())
}
