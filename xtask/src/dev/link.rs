//! The stream to one pod's agent: it keeps the pod's synced folders as they are wanted, for as long as the pod lives.
//!
//! One commit is under way at a time; what is wanted meanwhile goes into the next one. Whatever breaks the connection,
//! the agent is asked again what is there, so nothing depends on what was sent before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::failure::Failure;
use globset::GlobSet;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};

use super::message::{Order, Told, push};
use super::overlay::PORT;
use super::wanted::{Folder, Unread, Wanted};
use crate::world::backoff::Backoff;
use crate::world::pause;

/// What a pod's synced folders should hold, and since which look at the files.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// Counts the looks: what is told of a commit names it.
    pub look: u64,
    /// The contents.
    pub wanted: Arc<Wanted>,
    /// Counts the restarts that a person has asked for.
    pub restarts: u64,
}

/// What links need to know of the image.
#[derive(Debug, Clone)]
pub struct Source {
    /// The image's step name.
    pub image: String,
    /// Its context, absolute.
    pub context: PathBuf,
    /// The folders of it that are synced, in the order of their indices.
    pub folders: Vec<Folder>,
    /// Changes of these files restart the application.
    pub restart_on: GlobSet,
}

/// What a link tells.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// The image's step name.
    pub image: String,
    /// The pod.
    pub pod: String,
    /// What happened to it.
    pub what: What,
}

/// What happened to a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A commit is visible in the container.
    Applied {
        /// The look that it belongs to.
        look: u64,
        /// `2 files, 1 file removed`.
        change: String,
        /// The application is started anew.
        restart: bool,
    },
    /// The application takes connections again.
    Answering {
        /// The look whose files it was started with.
        look: u64,
    },
    /// The application has ended by itself.
    Exited {
        /// Its exit code, or the signal.
        code: String,
    },
    /// The agent could not do what it was told.
    Refused(String),
    /// The connection is gone; another one is made.
    Lost(String),
    /// It is about to go, or has gone.
    Gone,
}

/// Between attempts to reach an agent; doubled up to [`SELDOM`].
const SOON: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(2);

/// Keeps `pod` as `desired` says until dropped.
pub async fn keep(
    client: Client,
    namespace: String,
    pod: String,
    source: Arc<Source>,
    mut desired: watch::Receiver<Desired>,
    news: mpsc::UnboundedSender<News>,
) {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let tell = |what: What| {
        // Nobody listening means that the loop is ending.
        let _ = news.send(News { image: source.image.clone(), pod: pod.clone(), what });
    };
    let mut backoff = Backoff::between(SOON, SELDOM);
    loop {
        let mut reached = false;
        let lost = match pods.portforward(&pod, &[PORT]).await {
            Ok(mut forward) => match forward.take_stream(PORT) {
                Some(stream) => serve(stream, &source, &mut desired, &tell, &mut reached).await,
                None => "the API server opened no stream".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        if reached {
            // An agent that has not been reached yet is starting; one that was is worth a word.
            tell(What::Lost(lost));
            backoff.reset();
        }
        backoff.pause().await;
    }
}

/// How long the agent may take to make a commit visible before the connection is thought to lead nowhere: it may have
/// slept, or the network may have changed under it.
const ANSWER: Duration = Duration::from_secs(15);

/// A commit that the agent has not answered yet.
struct UnderWay {
    sent: Instant,
    look: u64,
    listing: BTreeMap<String, String>,
    change: String,
    restart: bool,
}

/// Serves one connection until it ends; says why it did.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    source: &Source,
    desired: &mut watch::Receiver<Desired>,
    tell: &impl Fn(What),
    reached: &mut bool,
) -> String {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).lines();
    let mut hello = Vec::new();
    push(&mut hello, &Order::Hello, b"");
    if let Err(error) = send(&mut write, &hello).await {
        return error;
    }
    let (mut there, mut running) = match next(&mut lines).await {
        Ok(Told::Here { files, running }) => (files, running),
        Ok(other) => return format!("the agent began with {other:?}"),
        Err(error) => return error,
    };
    *reached = true;
    let mut under_way: Option<UnderWay> = None;
    // The look that each start belongs to: an application may answer after the next one was asked for.
    let mut starts: BTreeMap<u64, u64> = BTreeMap::new();
    let mut restarts = desired.borrow().restarts;
    desired.mark_changed();
    loop {
        tokio::select! {
            changed = desired.changed(), if under_way.is_none() => {
                if changed.is_err() {
                    return "the loop has ended".to_owned();
                }
                let now = desired.borrow_and_update().clone();
                if now.wanted.is_empty() {
                    continue;
                }
                let asked = now.restarts > restarts;
                restarts = now.restarts;
                match commit(&now, &there, running && !asked, source) {
                    Ok(None) => {}
                    Ok(Some((bytes, commit))) => {
                        if let Err(error) = send(&mut write, &bytes).await {
                            return error;
                        }
                        under_way = Some(commit);
                    }
                    // Another look is about to say how the file is now.
                    Err(Unread::Moved(_)) => {}
                    Err(Unread::Failed(failure)) => tell(What::Refused(failure.to_string())),
                }
            }
            () = overdue(under_way.as_ref()) => return format!("the agent has not answered for {}s", ANSWER.as_secs()),
            told = next(&mut lines) => match told {
                Ok(Told::Applied { .. }) => {
                    if let Some(commit) = under_way.take() {
                        there = commit.listing;
                        running |= commit.restart;
                        tell(What::Applied { look: commit.look, change: commit.change, restart: commit.restart });
                        // What was wanted meanwhile.
                        desired.mark_changed();
                    }
                }
                Ok(Told::Started { id, run }) => {
                    running = true;
                    starts.insert(run, id);
                }
                Ok(Told::Answering { run }) => {
                    if let Some(look) = starts.get(&run) {
                        tell(What::Answering { look: *look });
                    }
                    starts = starts.split_off(&run);
                }
                Ok(Told::Exited { code, .. }) => {
                    running = false;
                    tell(What::Exited { code: code.as_str().map_or_else(|| code.to_string(), str::to_owned) });
                }
                Ok(Told::Refused { why }) => {
                    tell(What::Refused(why));
                    return "the agent refused an order".to_owned();
                }
                Ok(Told::Here { .. }) => {}
                Err(error) => return error,
            },
        }
    }
}

/// Returns when the answer to what is under way is overdue.
async fn overdue(under_way: Option<&UnderWay>) {
    match under_way {
        Some(commit) => pause(ANSWER.saturating_sub(commit.sent.elapsed())).await,
        None => std::future::pending().await,
    }
}

/// The bytes that bring a container with `there` to `now`, or `None` when it is there and runs.
fn commit(
    now: &Desired,
    there: &BTreeMap<String, String>,
    running: bool,
    source: &Source,
) -> Result<Option<(Vec<u8>, UnderWay)>, Unread> {
    let difference = now.wanted.difference(there);
    if difference.is_empty() && running {
        return Ok(None);
    }
    // One that has ended is started with the next change, whichever it is; one that never ran, at once.
    let restart = !running || difference.paths(&source.folders).any(|path| source.restart_on.is_match(path));
    let mut bytes = now.wanted.orders(&difference, &source.context)?;
    push(&mut bytes, &Order::Commit { id: now.look, restart }, b"");
    let change = difference.to_string();
    Ok(Some((bytes, UnderWay { sent: Instant::now(), look: now.look, listing: now.wanted.listing(), change, restart })))
}

async fn send(write: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), String> {
    let sent = async {
        write.write_all(bytes).await?;
        write.flush().await
    };
    sent.await.map_err(|error| error.to_string())
}

async fn next(lines: &mut tokio::io::Lines<BufReader<impl AsyncRead + Unpin>>) -> Result<Told, String> {
    match lines.next_line().await {
        Ok(Some(line)) => serde_json::from_str(&line).map_err(|error| format!("the agent said `{line}`: {error}")),
        Ok(None) => Err("the connection was closed".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The patterns of a table as one matcher.
///
/// # Errors
/// When one is no pattern, which the graph file's reader has refused before.
pub fn globs(patterns: &[String]) -> Result<GlobSet, Failure> {
    let refused = |error: globset::Error| Failure::usage("a pattern of a [dev] table is none").because(error);
    let mut set = GlobSet::builder();
    for pattern in patterns {
        set.add(globset::GlobBuilder::new(pattern).literal_separator(true).build().map_err(refused)?);
    }
    set.build().map_err(refused)
}
