//! The stream to one pod's agent: it keeps the pod's synced folders as they are wanted, for as long as the pod lives.
//!
//! One commit is under way at a time; what is wanted meanwhile goes into the next one. Whatever breaks the connection,
//! the agent is asked again what is there, so nothing depends on what was sent before.

mod conversation;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::failure::Failure;
use engine::files::glob;
use globset::GlobSet;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};

use super::overlay::PORT;
use super::wanted::{Folder, Wanted};
use crate::world::backoff::Backoff;
use conversation::{Conversation, End};

/// What a pod's synced folders should hold, and since which look at the files.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// Counts the looks, from 1: what is told of a commit names it.
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
    /// Where they are in the container, in the same order.
    pub roots: Vec<String>,
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
    /// The agent could not do what it was told, or a file cannot be read; nothing was changed. It is tried again.
    Refused(String),
    /// What was refused before is not wanted any more: the container is as it should be, without anything being done.
    AsWanted,
    /// A file changed while it was read: another look has to say how it is now.
    Moved,
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
    let mut conversation = Conversation::new(&source, &tell);
    loop {
        let end = match pods.portforward(&pod, &[PORT]).await {
            Ok(mut forward) => match forward.take_stream(PORT) {
                Some(stream) => conversation.hold(stream, &mut desired).await,
                None => End::Unreached,
            },
            Err(_) => End::Unreached,
        };
        match end {
            // It is starting, or about to go.
            End::Unreached | End::Refused => {}
            End::Lost { why, fruitful } => {
                tell(What::Lost(why));
                if fruitful {
                    backoff.reset();
                }
            }
            // Another pod is about to take its place, which ends this.
            End::OtherFolders => std::future::pending().await,
        }
        backoff.pause().await;
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
        set.add(glob::compile(pattern).map_err(refused)?);
    }
    set.build().map_err(refused)
}
