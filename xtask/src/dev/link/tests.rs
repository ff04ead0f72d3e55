//! Conversations with real agents.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use engine::files::dockerignore::Patterns;
use engine::files::{Gatherer, Query, Rules};
use tokio::sync::{mpsc, watch};

use super::conversation::{Conversation, End};
use super::{Desired, Source, What, globs};
use crate::dev::agent::{Process, RUNTIMES};
use crate::dev::wanted::{Folder, Wanted};

/// A context with one synced folder, `app`.
struct Sources {
    context: tempfile::TempDir,
    source: Source,
}

impl Sources {
    fn of(agent: &Process) -> Self {
        let context = tempfile::tempdir().unwrap();
        fs::create_dir(context.path().join("app")).unwrap();
        let source = Source {
            image: "a".to_owned(),
            context: context.path().to_owned(),
            folders: vec![Folder { path: "app".to_owned() }],
            roots: vec![agent.root().to_str().unwrap().to_owned()],
            restart_on: globs(&["**/*".to_owned()]).unwrap(),
        };
        Self { context, source }
    }

    fn write(&self, path: impl AsRef<Path>, text: &str) {
        fs::write(self.context.path().join("app").join(path), text).unwrap();
    }

    fn look(&self, look: u64) -> Desired {
        let cache = tempfile::tempdir().unwrap();
        let query = Query {
            name: "a".to_owned(),
            root: self.context.path().to_owned(),
            rules: Rules::Context { ignore: Patterns::default() },
        };
        let files = Gatherer::new(cache.path().to_owned()).gather(&query).unwrap().files;
        Desired { look, wanted: Arc::new(Wanted::of(&files, &self.source.folders)), restarts: 0 }
    }
}

/// Holds conversations until `enough` of what is told; gives how the last one ended, if it did.
async fn hold(
    agent: &Process,
    source: &Source,
    desired: &watch::Sender<Desired>,
    enough: impl Fn(&[What]) -> bool,
) -> (Vec<What>, Option<End>) {
    let told = RefCell::new(Vec::new());
    let (sender, mut news) = mpsc::unbounded_channel();
    let tell = |what: What| {
        told.borrow_mut().push(what);
        sender.send(()).unwrap();
    };
    let mut conversation = Conversation::new(source, &tell);
    let enough = || enough(&told.borrow());
    let ended = hold_again(&mut conversation, agent, desired, &mut news, enough).await;
    (told.take(), ended)
}

/// The same over a connection that may not be the first of `conversation`, whatever is told goes to `news`.
async fn hold_again(
    conversation: &mut Conversation<'_, impl Fn(What)>,
    agent: &Process,
    desired: &watch::Sender<Desired>,
    news: &mut mpsc::UnboundedReceiver<()>,
    enough: impl Fn() -> bool,
) -> Option<End> {
    let mut wanted = desired.subscribe();
    let held = conversation.hold(agent.stream().await, &mut wanted);
    tokio::pin!(held);
    loop {
        tokio::select! {
            end = &mut held => return Some(end),
            Some(()) = news.recv() => if enough() {
                return None;
            },
        }
    }
}

fn applied(look: u64, change: &str, restart: bool) -> What {
    What::Applied { look, change: change.to_owned(), restart }
}

#[tokio::test]
async fn a_container_is_brought_to_what_is_wanted_down_to_the_last_file() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let sources = Sources::of(&agent);
        let (path, text) = agent.application("one");
        let name = path.strip_prefix("0/").unwrap();
        sources.write(name, &text);
        let (desired, _wanted) = watch::channel(sources.look(1));
        let enough = |told: &[What]| told.contains(&What::Answering { look: 1 });
        let (told, end) = hold(&agent, &sources.source, &desired, enough).await;
        assert_eq!(end, None, "{runtime:?} {told:?}");
        assert_eq!(told, [applied(1, "1 file", true), What::Answering { look: 1 }], "{runtime:?}");
        assert_eq!(agent.says().await, "one", "{runtime:?}");

        fs::remove_file(sources.context.path().join("app").join(name)).unwrap();
        desired.send_replace(sources.look(2));
        let (told, _) = hold(&agent, &sources.source, &desired, |told| !told.is_empty()).await;
        assert_eq!(told, [applied(2, "1 file removed", true)], "{runtime:?}");
        assert!(!agent.root().join(name).exists(), "{runtime:?}");
    }
}

#[tokio::test]
async fn a_container_with_other_folders_is_left_as_it_is() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let mut sources = Sources::of(&agent);
        sources.write("a", "1");
        sources.source.roots.push("/app/lib".to_owned());
        let (desired, _wanted) = watch::channel(sources.look(1));
        let (told, end) = hold(&agent, &sources.source, &desired, |_| true).await;
        assert_eq!((told, end), (vec![], Some(End::OtherFolders)), "{runtime:?}");
        assert_eq!(fs::read_dir(agent.root()).unwrap().count(), 0, "{runtime:?}");
    }
}

#[tokio::test]
async fn a_file_that_moves_while_it_is_read_is_asked_for_again() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let sources = Sources::of(&agent);
        sources.write("a", "1");
        let look = sources.look(1);
        // As in the middle of a save in place.
        sources.write("a", "");
        let (desired, _wanted) = watch::channel(look.clone());
        let (told, end) = hold(&agent, &sources.source, &desired, |told| !told.is_empty()).await;
        assert_eq!((told, end), (vec![What::Moved], None), "{runtime:?}");
        sources.write("a", "1");
        desired.send_replace(look);
        let (told, _) = hold(&agent, &sources.source, &desired, |told| !told.is_empty()).await;
        assert_eq!(told, [applied(1, "1 file", true)], "{runtime:?}");
    }
}

#[tokio::test]
async fn what_is_refused_ends_the_conversation_and_is_told() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let sources = Sources::of(&agent);
        sources.write("a", "1");
        fs::create_dir(agent.root().join("a")).unwrap();
        let (desired, _wanted) = watch::channel(sources.look(1));
        let agent_root = agent.root();
        let (told, end) = {
            // It has gone by the time of the first write, and is there for the listing.
            let held = hold(&agent, &sources.source, &desired, |_| false);
            tokio::pin!(held);
            fs::remove_dir_all(&agent_root).unwrap();
            held.await
        };
        assert_eq!(end, Some(End::Refused), "{runtime:?} {told:?}");
        assert!(matches!(told.as_slice(), [What::Refused(_)]), "{runtime:?} {told:?}");
    }
}

#[tokio::test]
async fn what_was_refused_and_is_not_wanted_any_more_is_told_to_be_mended() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let sources = Sources::of(&agent);
        let (path, text) = agent.application("one");
        sources.write(path.strip_prefix("0/").unwrap(), &text);
        let (desired, _wanted) = watch::channel(sources.look(1));
        let told = RefCell::new(Vec::new());
        let (sender, mut news) = mpsc::unbounded_channel();
        let tell = |what: What| {
            told.borrow_mut().push(what);
            sender.send(()).unwrap();
        };
        let mut conversation = Conversation::new(&sources.source, &tell);
        let runs = || told.borrow().contains(&What::Answering { look: 1 });
        assert_eq!(hold_again(&mut conversation, &agent, &desired, &mut news, runs).await, None, "{runtime:?}");

        let (root, away) = (agent.root(), agent.beside("away"));
        fs::rename(&root, &away).unwrap();
        sources.write("too-much", "1");
        desired.send_replace(sources.look(2));
        let end = hold_again(&mut conversation, &agent, &desired, &mut news, || false).await;
        assert_eq!(end, Some(End::Refused), "{runtime:?} {told:?}");

        fs::rename(&away, &root).unwrap();
        fs::remove_file(sources.context.path().join("app/too-much")).unwrap();
        desired.send_replace(sources.look(3));
        let mended = || told.borrow().last() == Some(&What::AsWanted);
        assert_eq!(hold_again(&mut conversation, &agent, &desired, &mut news, mended).await, None, "{runtime:?}");
    }
}
