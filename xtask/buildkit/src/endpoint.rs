//! Where a docker daemon listens, and how to connect to it.
//!
//! Whose daemon that is and where its address was found is the caller's business.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty};
use hyper::StatusCode;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::build::daemon_message;
use crate::error::Error;

/// A docker daemon's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// A socket on this machine.
    Unix(PathBuf),
    /// Plain TCP: whoever reaches the port owns the daemon's machine, so only ever what the user wrote themselves.
    Tcp {
        /// Name or address.
        host: String,
        /// Port, by custom 2375.
        port: u16,
    },
    /// TCP with TLS in which both sides prove who they are.
    Tls {
        /// Name or address; the daemon's certificate has to cover it.
        host: String,
        /// Port, by custom 2376.
        port: u16,
        /// PEM file of the CA that signed the daemon's certificate.
        ca: PathBuf,
        /// PEM file of our certificate.
        cert: PathBuf,
        /// PEM file of our certificate's key.
        key: PathBuf,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } | Self::Tls { host, port, .. } if host.contains(':') => {
                write!(f, "tcp://[{host}]:{port}")
            }
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// A connected stream of bytes to the daemon.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Endpoint {
    /// Opens a connection.
    ///
    /// # Errors
    /// [`Error::Connect`] when nobody accepts it, [`Error::Tls`] when the certificates do not fit.
    pub async fn connect(&self) -> Result<Box<dyn Connection>, Error> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(|e| self.unreachable(e))?)),
            Self::Tcp { host, port } => Ok(Box::new(self.tcp(host, *port).await?)),
            Self::Tls { host, port, ca, cert, key } => {
                let config = tls_config(ca, cert, key)?;
                let name = ServerName::try_from(host.clone()).map_err(|e| self.distrusted(&e))?;
                let stream = self.tcp(host, *port).await?;
                let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
                Ok(Box::new(stream.map_err(|e| self.distrusted(&e))?))
            }
        }
    }

    /// Gets `path`, such as `/images/json`, without an API version in front: the daemon answers as its newest does,
    /// and says in the header `api-version` which that is. One round trip on a connection of its own.
    ///
    /// # Errors
    /// As [`Self::connect`], and [`Error::Refused`] for an answer other than 200.
    pub async fn get(&self, path: &str) -> Result<hyper::Response<Bytes>, Error> {
        const DOING: &str = "while asking it something";
        let broken = |e: &dyn fmt::Display| Error::Broken { doing: DOING, message: e.to_string() };
        let request = hyper::Request::get(path).header("host", "docker").body(Empty::new()).map_err(|e| broken(&e))?;
        let mut tasks = JoinSet::new();
        let response = self.send(request, DOING, &mut tasks).await?;
        if response.status() != StatusCode::OK {
            return Err(Error::Refused { status: response.status().as_u16(), message: daemon_message(response).await });
        }
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| broken(&e))?;
        Ok(hyper::Response::from_parts(head, body.to_bytes()))
    }

    /// Sends one request without a body on a connection of its own, which `tasks` drives: when they are aborted, the
    /// connection closes.
    pub(crate) async fn send(
        &self,
        request: hyper::Request<Empty<Bytes>>,
        doing: &'static str,
        tasks: &mut JoinSet<()>,
    ) -> Result<hyper::Response<Incoming>, Error> {
        let broken = |e: hyper::Error| Error::Broken { doing, message: e.to_string() };
        let io = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(io).await.map_err(broken)?;
        // How the connection ends is seen by whoever reads the answer.
        tasks.spawn(async move { drop(connection.with_upgrades().await) });
        sender.send_request(request).await.map_err(broken)
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        let stream = TcpStream::connect((host, port)).await.map_err(|e| self.unreachable(e))?;
        // Requests for files are small and many: waiting to fill packets would cost a round trip's delay on each.
        stream.set_nodelay(true).map_err(|e| self.unreachable(e))?;
        Ok(stream)
    }

    fn unreachable(&self, source: io::Error) -> Error {
        Error::Connect { endpoint: self.to_string(), source }
    }

    fn distrusted(&self, error: &dyn std::error::Error) -> Error {
        Error::Tls { subject: self.to_string(), message: error.to_string() }
    }
}

fn tls_config(ca: &Path, cert: &Path, key: &Path) -> Result<ClientConfig, Error> {
    let unfit =
        |path: &Path, e: &dyn fmt::Display| Error::Tls { subject: path.display().to_string(), message: e.to_string() };
    let certificates = |path: &Path| {
        CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| unfit(path, &e))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|e| unfit(ca, &e))?;
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unfit(key, &e))?;
    ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| unfit(ca, &e))?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(cert)?, key)
        .map_err(|e| unfit(cert, &e))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::Endpoint;

    #[test]
    fn endpoints_read_as_people_write_them() {
        let tcp = |host: &str| Endpoint::Tcp { host: host.to_owned(), port: 2375 };
        assert_eq!(Endpoint::Unix(PathBuf::from("/run/docker.sock")).to_string(), "unix:///run/docker.sock");
        assert_eq!(tcp("10.0.0.1").to_string(), "tcp://10.0.0.1:2375");
        assert_eq!(tcp("::1").to_string(), "tcp://[::1]:2375");
    }
}
