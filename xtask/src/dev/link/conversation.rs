//! What is said over one connection to an agent, and what has to be remembered from one connection to the next.
//!
//! It knows bytes that come and go, and neither pods nor how they are reached.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Desired, Source, What};
use crate::dev::message::{Order, Told, push};
use crate::dev::wanted::Unread;
use crate::world::pause;

/// How long the agent may give no sign of life while it is waited for, before the connection is thought to lead nowhere:
/// it may have slept, or the network may have changed under it.
const ANSWER: Duration = Duration::from_secs(15);

/// How much is written at a time: each part has to be taken within [`ANSWER`].
const PART: usize = 64 << 10;

/// After a file was found to be changing, before it is looked at again.
const WRITTEN: Duration = Duration::from_millis(50);

/// Why a connection was given up.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody was there.
    Unreached,
    /// It broke; whether anything had come of it.
    Lost { why: String, fruitful: bool },
    /// The agent could not do what it was told, which has been told.
    Refused,
    /// The agent's synced folders are others than the graph file has now.
    OtherFolders,
}

/// See the module.
pub struct Conversation<'a, T> {
    source: &'a Source,
    tell: &'a T,
    /// The look of the last start that was asked for and has not answered yet.
    starting: Option<u64>,
    /// What was refused last, which need not be said again.
    refused: Option<String>,
    /// How many restarts that a person has asked for are done.
    restarts: Option<u64>,
}

/// A commit that the agent has not answered yet.
struct UnderWay {
    /// The last sign of life.
    heard: Instant,
    look: u64,
    listing: BTreeMap<String, String>,
    change: String,
    restart: bool,
}

/// What is known of the container.
struct There {
    files: BTreeMap<String, String>,
    running: bool,
    /// The look that each start belongs to: an application may answer after the next one was asked for.
    starts: BTreeMap<u64, u64>,
}

impl<'a, T: Fn(What)> Conversation<'a, T> {
    /// Nothing was said yet; news go to `tell`.
    pub fn new(source: &'a Source, tell: &'a T) -> Self {
        Self { source, tell, starting: None, refused: None, restarts: None }
    }

    /// Keeps the container behind `stream` as `desired` says until the connection ends.
    pub async fn hold(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        desired: &mut watch::Receiver<Desired>,
    ) -> End {
        let (read, mut write) = tokio::io::split(stream);
        let mut lines = BufReader::new(read).lines();
        let mut there = match self.begin(&mut lines, &mut write).await {
            Ok(there) => there,
            Err(end) => return end,
        };
        let mut fruitful = false;
        let ended = |why: String, fruitful: bool| End::Lost { why, fruitful };
        let mut under_way: Option<UnderWay> = None;
        self.restarts.get_or_insert(desired.borrow().restarts);
        desired.mark_changed();
        loop {
            tokio::select! {
                changed = desired.changed(), if under_way.is_none() => {
                    if changed.is_err() {
                        return ended("the loop has ended".to_owned(), fruitful);
                    }
                    let now = desired.borrow_and_update().clone();
                    if now.look == 0 {
                        continue;
                    }
                    match self.commit(&now, &there) {
                        Ok(None) => {
                            fruitful = true;
                            if self.refused.take().is_some() {
                                (self.tell)(What::AsWanted);
                            }
                        }
                        Ok(Some((bytes, mut commit))) => {
                            if let Err(error) = send(&mut write, &bytes).await {
                                return ended(error, fruitful);
                            }
                            commit.heard = Instant::now();
                            self.restarts = Some(now.restarts);
                            if commit.restart {
                                self.starting = Some(commit.look);
                            }
                            under_way = Some(commit);
                        }
                        Err(Unread::Moved(_)) => {
                            pause(WRITTEN).await;
                            (self.tell)(What::Moved);
                        }
                        Err(Unread::Failed(failure)) => self.refuse(failure.to_string()),
                    }
                }
                () = overdue(under_way.as_ref()) => return ended(unanswered(), fruitful),
                told = next(&mut lines) => match told {
                    Ok(Told::Receiving) => {
                        if let Some(commit) = &mut under_way {
                            commit.heard = Instant::now();
                        }
                    }
                    Ok(Told::Applied { .. }) => {
                        if let Some(commit) = under_way.take() {
                            (fruitful, self.refused) = (true, None);
                            there.files = commit.listing;
                            there.running |= commit.restart;
                            let UnderWay { look, change, restart, .. } = commit;
                            (self.tell)(What::Applied { look, change, restart });
                            // What was wanted meanwhile.
                            desired.mark_changed();
                        }
                    }
                    Ok(Told::Refused { why }) => {
                        self.refuse(why);
                        return End::Refused;
                    }
                    Ok(told) => self.heard(told, &mut there),
                    Err(error) => return ended(error, fruitful),
                },
            }
        }
    }

    /// Asks what is there.
    async fn begin(
        &mut self,
        lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>,
        write: &mut (impl AsyncWrite + Unpin),
    ) -> Result<There, End> {
        let mut hello = Vec::new();
        push(&mut hello, &Order::Hello, b"");
        // An agent that has not been reached yet is starting; one that was is worth a word.
        send(write, &hello).await.map_err(|_| End::Unreached)?;
        match timeout(ANSWER, next(lines)).await {
            Ok(Ok(Told::Here { roots, files, running, id, answering })) => {
                if roots != self.source.roots {
                    return Err(End::OtherFolders);
                }
                if answering && self.starting.is_some_and(|look| look == id) {
                    // It was told while nobody listened.
                    self.answered(id);
                }
                Ok(There { files, running, starts: BTreeMap::new() })
            }
            Ok(Ok(Told::Refused { why })) => {
                self.refuse(why);
                Err(End::Refused)
            }
            Ok(Ok(other)) => Err(End::Lost { why: format!("the agent began with {other:?}"), fruitful: false }),
            Ok(Err(_)) | Err(_) => Err(End::Unreached),
        }
    }

    fn heard(&mut self, told: Told, there: &mut There) {
        match told {
            Told::Started { id, run } => {
                there.running = true;
                there.starts.insert(run, id);
            }
            Told::Answering { run } => {
                // One that was started over an earlier connection is the one that was asked for last.
                if let Some(look) = there.starts.get(&run).copied().or(self.starting) {
                    self.answered(look);
                }
                there.starts = there.starts.split_off(&run);
            }
            Told::Exited { code, .. } => {
                there.running = false;
                let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
                (self.tell)(What::Exited { code });
            }
            Told::Here { .. } | Told::Receiving | Told::Applied { .. } | Told::Refused { .. } => {}
        }
    }

    fn answered(&mut self, look: u64) {
        self.starting = self.starting.filter(|starting| *starting > look);
        (self.tell)(What::Answering { look });
    }

    fn refuse(&mut self, why: String) {
        if self.refused.as_ref() != Some(&why) {
            (self.tell)(What::Refused(why.clone()));
            self.refused = Some(why);
        }
    }

    /// The bytes that bring the container to `now`, or `None` when it is there and runs.
    fn commit(&self, now: &Desired, there: &There) -> Result<Option<(Vec<u8>, UnderWay)>, Unread> {
        let source = self.source;
        let difference = now.wanted.difference(&there.files);
        let running = there.running && self.restarts == Some(now.restarts);
        if difference.is_empty() && running {
            return Ok(None);
        }
        // One that has ended is started with the next change, whichever it is; one that never ran, at once.
        let restart = !running || difference.paths(&source.folders).any(|path| source.restart_on.is_match(path));
        let mut bytes = now.wanted.orders(&difference, &source.context)?;
        push(&mut bytes, &Order::Commit { id: now.look, restart }, b"");
        let (change, listing) = (difference.to_string(), now.wanted.listing());
        Ok(Some((bytes, UnderWay { heard: Instant::now(), look: now.look, listing, change, restart })))
    }
}

/// Returns when a sign of life is overdue while something is under way.
async fn overdue(under_way: Option<&UnderWay>) {
    match under_way {
        Some(commit) => pause(ANSWER.saturating_sub(commit.heard.elapsed())).await,
        None => std::future::pending().await,
    }
}

fn unanswered() -> String {
    format!("the agent has not answered for {}s", ANSWER.as_secs())
}

/// Writes all of `bytes`, however long that takes, as long as it goes on.
async fn send(write: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), String> {
    for part in bytes.chunks(PART) {
        let sent = async {
            write.write_all(part).await?;
            write.flush().await
        };
        timeout(ANSWER, sent).await.map_err(|_| unanswered())?.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn next(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> Result<Told, String> {
    match lines.next_line().await {
        Ok(Some(line)) => serde_json::from_str(&line).map_err(|error| format!("the agent said `{line}`: {error}")),
        Ok(None) => Err("the connection was closed".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
