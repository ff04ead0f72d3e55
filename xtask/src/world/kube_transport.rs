//! How requests get to an API server: all of them through one HTTP/2 connection.
//!
//! A connection costs both sides a handshake with signatures, which takes longer than most requests do. Port-forwards
//! turn their connection into another protocol, which only HTTP/1.1 can; each gets one of its own.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::UPGRADE;
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use tokio::sync::Mutex;
use tower::retry::RetryLayer;
use tower::{BoxError, Service, ServiceBuilder};

/// How long a connection may be silent before the server is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(20);

/// How long it may take to answer that.
const PATIENCE: Duration = Duration::from_secs(10);

type Connections = legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// A client for the server that `config` names.
///
/// # Errors
/// When its certificates cannot be used.
pub fn client(config: Config) -> kube::Result<Client> {
    let behind_something = config.proxy_url.is_some() || config.tls_server_name.is_some();
    if config.cluster_url.scheme_str() != Some("https") || behind_something {
        return Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(config.connect_timeout);
    tcp.set_nodelay(true);
    // Port-forwards may be idle for hours, and have to notice that a laptop has slept.
    tcp.set_keepalive(Some(SILENCE));
    tcp.set_keepalive_interval(Some(PATIENCE / 3));
    tcp.set_keepalive_retries(Some(3));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(SILENCE + PATIENCE));
    let tls = || Ok::<_, kube::Error>(HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?));
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
    builder.http2_keep_alive_interval(SILENCE).http2_keep_alive_timeout(PATIENCE);
    let transport = Transport {
        shared: builder.build(tls()?.https_only().enable_all_versions().wrap_connector(tcp.clone())),
        own: builder.build(tls()?.https_only().enable_http1().wrap_connector(tcp)),
        connected: Arc::default(),
    };
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(transport);
    Ok(Client::new(service, config.default_namespace))
}

#[derive(Clone)]
struct Transport {
    shared: Connections,
    own: Connections,
    /// Whether a request has been answered. Those that come before wait for the first, or each would connect.
    connected: Arc<Mutex<bool>>,
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.headers().contains_key(UPGRADE) {
            return Box::pin(self.own.request(request));
        }
        let (shared, connected) = (self.shared.clone(), Arc::clone(&self.connected));
        Box::pin(async move {
            let mut connected = connected.lock().await;
            if *connected {
                drop(connected);
                return shared.request(request).await;
            }
            let answer = shared.request(request).await;
            *connected = answer.is_ok();
            answer
        })
    }
}
