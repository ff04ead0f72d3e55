//! One connection of a client, from its beginning to its end.
//!
//! It waits while no pod is ready, goes to one that is ready and stays, and is tried again only as long as nothing of it
//! has reached a pod. After that only its own pod and its client end it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::failure::Failure;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::At;
use super::behind::Behind;
use super::listener::Event;
use super::resolve::Target;
use super::tunnel::{Ended, Tunnel};
use super::unanswered::Unanswered;
use super::warm::Warm;
use crate::world::backoff::Backoff;
use crate::world::{World, pause};

/// How long after a pod took no connection it is tried again: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));

/// How long a client whose pod has closed a connection that nobody had used may still find it open, unless the pod goes.
const UNUSED: Duration = Duration::from_secs(1);

/// How long a client may take to close its side of what has ended.
const LINGER: Duration = Duration::from_secs(2);

/// What all connections to one Service share.
pub struct Way {
    /// The cluster.
    pub world: Arc<World>,
    /// The Service.
    pub at: At,
    /// What is behind it.
    pub behind: watch::Receiver<Behind>,
    /// Open tunnels.
    pub warm: Warm,
    /// How long a connection waits for a pod.
    pub patience: Duration,
    /// Who is told of what happens.
    pub events: broadcast::Sender<Event>,
    /// What was behind it when it was told that connections wait.
    pub told_waiting: Mutex<Option<Behind>>,
}

impl Way {
    /// Tells whoever listens.
    pub fn tell(&self, event: Event) {
        // Nobody has to.
        let _ = self.events.send(event);
    }

    /// Serves the connection to its end.
    pub async fn serve(&self, mut local: TcpStream) {
        // A page is many small answers.
        let _ = local.set_nodelay(true);
        match self.carry(&mut local).await {
            Ok(()) => {
                // To close at once would reset what the client has not read yet, if it has sent anything since.
                let mut rest = [0; 4096];
                let closed = async { while matches!(local.read(&mut rest).await, Ok(1..)) {} };
                let _ = timeout(LINGER, closed).await;
            }
            Err(failure) => {
                // A reset, because an end would look as if the answer were whole.
                let _ = local.set_zero_linger();
                self.tell(Event::Dropped(failure));
            }
        }
    }

    async fn carry(&self, local: &mut TcpStream) -> Result<(), Failure> {
        let mut behind = self.behind.clone();
        let mut unanswered = Unanswered::default();
        let mut backoff = Backoff::between(PAUSES.0, PAUSES.1);
        let mut deadline = Instant::now() + self.patience;
        loop {
            let now = behind.borrow_and_update().clone();
            let why = match self.reach(&now).await {
                Ok((target, tunnel)) => {
                    let begun = Instant::now();
                    let mut at_hand = self.behind.clone();
                    let leaves = async { drop(at_hand.wait_for(|behind| !behind.targets.contains(&target)).await) };
                    let (ended, again) = tunnel.carry(target.port, local, &mut unanswered, leaves).await;
                    if let Some(tunnel) = again {
                        self.warm.give_back(target.clone(), tunnel, &self.behind.borrow().targets);
                    }
                    if begun.elapsed() > PAUSES.1 {
                        // It did live for a while: another wait begins.
                        deadline = Instant::now() + self.patience;
                        backoff.reset();
                    }
                    match ended {
                        Ended::Whole => return Ok(()),
                        Ended::Unused if is_still_wanted(local, &target, &mut behind).await => continue,
                        Ended::Unused => return Ok(()),
                        Ended::NotConnected(why) if unanswered.is_whole() => {
                            Failure::step(format!("pod {} took no connection for {}", target.pod, self.at)).because(why)
                        }
                        Ended::NotConnected(why) | Ended::Dropped(why) => {
                            let message = format!("a connection to {} was lost, in pod {}", self.at, target.pod);
                            return Err(Failure::step(message).because(why));
                        }
                    }
                }
                Err(failure) => failure,
            };
            self.tell_waiting(&now, &why);
            let again = async {
                let try_again = async {
                    if now.targets.is_empty() { std::future::pending().await } else { pause(backoff.grow()).await }
                };
                tokio::select! {
                    _ = behind.changed() => true,
                    () = try_again => true,
                    () = left(local), if unanswered.nothing_sent() => false,
                }
            };
            match timeout_at(deadline, again).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(_) => {
                    let message = format!("a connection to {} was given up after {:?}", self.at, self.patience);
                    let failure = Failure::step(message).because(why.message);
                    return Err(why.causes.into_iter().fold(failure, Failure::because));
                }
            }
        }
    }

    /// Whoever waits from now on waits for another reason, and that is told.
    pub fn forget_waiting(&self) {
        *self.told_waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn tell_waiting(&self, now: &Behind, why: &Failure) {
        let mut told = self.told_waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(now) {
            *told = Some(now.clone());
            self.tell(Event::Waiting(why.clone()));
        }
    }

    async fn reach(&self, now: &Behind) -> Result<(Target, Tunnel), Failure> {
        if let Some(open) = self.warm.take(&now.targets).await {
            return Ok(open);
        }
        let unknown = || Failure::environment(format!("it is not known yet what is behind {}", self.at));
        let mut why = now.lacking.clone().unwrap_or_else(unknown);
        for target in self.warm.in_turn(&now.targets) {
            let client = self.world.kube().await?;
            match Tunnel::open(&client, &self.at.namespace, &target.pod).await {
                Ok(tunnel) => return Ok((target.clone(), tunnel)),
                Err(failure) => why = failure,
            }
        }
        Err(why)
    }
}

/// Whether a connection that its pod has closed unused goes to a pod once more: what the client says from now on has
/// reached nobody, and a pod that dies closes its connections like one that has had enough of them.
async fn is_still_wanted(local: &TcpStream, target: &Target, behind: &mut watch::Receiver<Behind>) -> bool {
    let mut first = [0];
    tokio::select! {
        said = local.peek(&mut first) => matches!(said, Ok(1..)),
        gone = behind.wait_for(|behind| !behind.targets.contains(target)) => gone.is_ok(),
        () = pause(UNUSED) => false,
    }
}

/// Returns once a client that has sent nothing has gone.
async fn left(local: &TcpStream) {
    let mut first = [0];
    if matches!(local.peek(&mut first).await, Ok(1..)) {
        // It has something to say, and waits.
        std::future::pending::<()>().await;
    }
}
