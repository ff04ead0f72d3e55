//! A local port that leads to a Service for as long as it is kept.

use std::net::SocketAddr;

use engine::failure::Failure;
use kube::Client;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{At, connect, resolve};

/// A local port that could not be bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotBound {
    /// What went wrong, and what to do.
    pub failure: Failure,
    /// The address, if it is that somebody else has it.
    pub taken: Option<SocketAddr>,
}

impl From<Failure> for NotBound {
    fn from(failure: Failure) -> Self {
        Self { failure, taken: None }
    }
}

/// A bound local port.
pub struct Forward {
    client: Client,
    at: At,
    listener: TcpListener,
    local: SocketAddr,
}

impl Forward {
    /// Binds a port of 127.0.0.1: `local`, or one near the Service's own when `None`.
    ///
    /// # Errors
    /// When there is no such Service or port, or the local port cannot be bound.
    pub async fn bind(client: Client, at: At, local: Option<u16>) -> Result<Self, NotBound> {
        let port = match local {
            Some(port) => port,
            None => unprivileged(resolve::number(&client, &at).await?),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = TcpListener::bind(address).await.map_err(|error| not_bound(&at, address, &error))?;
        let local = listener.local_addr().map_err(|error| not_bound(&at, address, &error))?;
        Ok(Self { client, at, listener, local })
    }

    /// The local address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The Service.
    pub fn at(&self) -> &At {
        &self.at
    }

    /// Serves connections until dropped. Each goes to a pod that is ready then; `tell` hears of those that found
    /// none or were dropped.
    pub async fn serve(self, tell: impl Fn(Failure)) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let (client, at) = (self.client.clone(), self.at.clone());
                        connections.spawn(async move { carry(&client, &at, stream).await });
                    }
                    Err(error) => {
                        tell(Failure::environment(format!("could not accept a connection on {}", self.local)).because_of(&error));
                        // Out of file descriptors, most likely: others have to end first.
                        let _ = connections.join_next().await;
                    }
                },
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Ok(Err(failure)) = ended {
                        tell(failure);
                    }
                }
            }
        }
    }
}

async fn carry(client: &Client, at: &At, mut local: TcpStream) -> Result<(), Failure> {
    let mut connection = match connect(client, at).await {
        Ok(connection) => connection,
        Err(trouble) => {
            // Closing says so at once; the browser need not wait for its own timeout.
            let _ = local.shutdown().await;
            return Err(trouble.into_failure());
        }
    };
    tokio::select! {
        // Either side may go away in the middle of anything; that is how connections end.
        _ = copy_bidirectional(&mut local, &mut connection.stream) => Ok(()),
        Some(said) = async { (&mut connection.trouble).await } => {
            Err(Failure::step(format!("{at}: pod {} dropped a connection", connection.pod)).because(said.trim().to_owned()))
        }
    }
}

/// Ports below 1024 are not everybody's: 80 becomes 8080, 443 becomes 8443.
fn unprivileged(port: u16) -> u16 {
    if port < 1024 { port + 8000 } else { port }
}

fn not_bound(at: &At, address: SocketAddr, error: &std::io::Error) -> NotBound {
    let taken = (error.kind() == std::io::ErrorKind::AddrInUse).then_some(address);
    let failure = Failure::environment(format!("could not forward {at} to {address}")).because_of(error).help(format!(
        "choose another local port: cargo xtask forward {}={}",
        spelled(at),
        address.port().saturating_add(1)
    ));
    NotBound { failure, taken }
}

fn spelled(at: &At) -> String {
    at.to_string().trim_start_matches("service ").to_owned()
}
