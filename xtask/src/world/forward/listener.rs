//! A local port that leads to a Service for as long as it is kept, whatever becomes of the pods, the Service and the API
//! server meanwhile.
//!
//! It is a proxy of bytes and knows no HTTP. So it cannot send a request again that a pod may have begun to handle; what
//! it does is to choose pods that are ready and stay, to leave connections to a pod that goes alone until they end, and
//! to try again what no pod has taken. A server that answers for some seconds after it is told to go (`preStop: sleep`)
//! can then be replaced without a failed request.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::failure::Failure;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::At;
use super::behind::{self, Behind};
use super::serve::Way;
use super::warm::Warm;
use crate::world::contact::Contact;
use crate::world::daemon::Daemon;
use crate::world::{World, pause, port_holder};

/// How long a connection waits for a pod, unless something else is said: longer than most rollouts of one pod.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How many connections are carried at once; others wait for one of them to end.
const MOST: usize = 512;

/// How many events somebody who does not listen may be behind before the oldest are forgotten.
const EVENTS: usize = 64;

/// How many ports above one that is in use are looked at for a free one.
const NEAR: u16 = 100;

/// What happens to a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// New connections go to these pods from now on; to none, and wait, if it is empty.
    Pods(Vec<String>),
    /// A connection waits, for this reason. Told once for all that wait, until what is behind the port changes, or the API
    /// server goes or comes back.
    Waiting(Failure),
    /// A connection was given up, or lost by neither its client nor its pod.
    Dropped(Failure),
    /// The API server does not answer; trying goes on. Told once.
    Lost(Failure),
    /// The API server answers again.
    Back,
}

/// A local port that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotBound {
    /// Why, with who has it, and what to do.
    pub failure: Failure,
    /// The next free one, if somebody else has it.
    pub free: Option<u16>,
}

/// A local port in use. Dropping it ends it too, without waiting for its connections to be closed.
pub struct Forward {
    local: SocketAddr,
    at: At,
    behind: watch::Receiver<Behind>,
    events: broadcast::Sender<Event>,
    /// The socket that the task listens on.
    socket: std::net::TcpListener,
    full: CancellationToken,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Forward {
    /// Listens on `port` of 127.0.0.1, or on any free one if that is 0, and leads connections to `at`. The Service need
    /// not be there yet; connections wait for up to `patience` ([`PATIENCE`]) until a pod is ready.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn open(world: Arc<World>, at: At, port: u16, patience: Duration) -> Result<Self, NotBound> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let opened = TcpListener::bind(address).await.and_then(TcpListener::into_std);
        match opened.and_then(|socket| Self::on(world, at.clone(), socket, patience)) {
            Ok(forward) => Ok(forward),
            Err(error) => Err(not_bound(&at, address, &error).await),
        }
    }

    /// As [`Self::open`], on a socket that listens already.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn on(world: Arc<World>, at: At, socket: std::net::TcpListener, patience: Duration) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let listener = TcpListener::from_std(socket.try_clone()?)?;
        let (sender, behind) = watch::channel(Behind::default());
        let (events, _) = broadcast::channel(EVENTS);
        let way = Arc::new(Way {
            world,
            at: at.clone(),
            behind: behind.clone(),
            warm: Warm::default(),
            patience,
            events: events.clone(),
            told_waiting: Mutex::default(),
        });
        let (full, stop) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(run(way, sender, listener, full.clone(), stop.clone()));
        Ok(Self { local, at, behind, events, socket, full, stop: stop.drop_guard(), task })
    }

    /// The local address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The Service.
    pub fn at(&self) -> &At {
        &self.at
    }

    /// What is behind it now.
    pub fn behind(&self) -> Behind {
        self.behind.borrow().clone()
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        Events(self.events.subscribe())
    }

    /// Gives the socket to whoever goes on with it: in its queue, new connections wait. Those that are under way have
    /// `patience` to end before they are cut.
    pub async fn hand_over(self, patience: Duration) -> std::net::TcpListener {
        self.full.cancel();
        // Pages keep connections for long; they make new ones.
        let _ = tokio::time::timeout(patience, self.task).await;
        self.socket
    }

    /// Stops listening and cuts what is still connected. Nothing of it is left afterwards.
    pub async fn close(self) {
        drop(self.stop);
        // A task that panicked is over, too.
        let _ = self.task.await;
    }
}

/// Events as they come.
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next; `None` after the end of the forward. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                // What was missed is older than what comes now, and said how it stood then.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

async fn run(
    way: Arc<Way>,
    behind: watch::Sender<Behind>,
    listener: TcpListener,
    full: CancellationToken,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let contact = |contact| {
        way.forget_waiting();
        way.tell(match contact {
            Contact::Lost(failure) => Event::Lost(failure),
            Contact::Back => Event::Back,
        });
    };
    // None of them ends by itself, but the last once it takes no more.
    tokio::select! {
        () = stop.cancelled() => {}
        () = behind::watch(&way.world, &way.at, &behind, contact) => {}
        () = way.warm.keep(&way.world, &way.at, &way.behind) => {}
        () = announce(&way) => {}
        () = accept(&way, &listener, &full, &mut connections) => {}
    }
    connections.shutdown().await;
}

/// Tells which pods are behind the port whenever others are.
async fn announce(way: &Way) {
    let mut behind = way.behind.clone();
    let mut before = None;
    while behind.changed().await.is_ok() {
        let targets = behind.borrow_and_update().targets.clone();
        way.warm.forget_all_but(&targets);
        let pods: Vec<String> = targets.into_iter().map(|target| target.pod).collect();
        if before.as_ref() != Some(&pods) {
            way.tell(Event::Pods(pods.clone()));
            before = Some(pods);
        }
    }
}

/// Takes connections until it is `full`, and returns when the last has ended.
async fn accept(way: &Arc<Way>, listener: &TcpListener, full: &CancellationToken, connections: &mut JoinSet<()>) {
    loop {
        tokio::select! {
            () = full.cancelled() => {
                while connections.join_next().await.is_some() {}
                return;
            }
            accepted = listener.accept(), if connections.len() < MOST => match accepted {
                Ok((stream, _)) => {
                    let way = Arc::clone(way);
                    connections.spawn(async move { way.serve(stream).await });
                }
                Err(error) => {
                    let failure = Failure::environment(format!("could not accept a connection to {}", way.at));
                    way.tell(Event::Dropped(failure.because_of(&error)));
                    // Out of file descriptors, most likely: others have to end first.
                    pause(Duration::from_millis(200)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn not_bound(at: &At, address: SocketAddr, error: &std::io::Error) -> NotBound {
    if error.kind() != std::io::ErrorKind::AddrInUse {
        let failure = Failure::environment(format!("could not lead {address} to {at}")).because_of(error);
        let failure = if error.kind() == std::io::ErrorKind::PermissionDenied {
            failure.help("choose a local port from 1024 on")
        } else {
            failure
        };
        return NotBound { failure, free: None };
    }
    let failure = match Daemon::of_host() {
        Ok(host) => port_holder::in_use(&host, address.ip(), address.port()).await,
        Err(_) => Failure::environment(format!("port {address} is in use")),
    };
    let mut near = address.port().saturating_add(1)..=address.port().saturating_add(NEAR);
    NotBound { failure, free: near.find(|port| port_holder::is_free(address.ip(), *port)) }
}
