//! Whose turn it is. The tests that share the application's deployment take turns, so do those of the dev loop, which
//! share a live project, and so do all others, whose projects are small; one of each goes on at once, in whichever
//! processes. What is done to the whole node is done alone.

use std::cell::RefCell;
use std::fs::{File, create_dir_all};
use std::path::Path;
use std::sync::{Arc, Weak};

/// What tests take turns with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    Application,
    LiveProject,
    SmallProjects,
}

/// A test's turn, which lasts until all that the test has of it is gone.
#[derive(Debug)]
pub struct Turn(Vec<(With, File)>);

thread_local! {
    /// The turn of this thread's test, which has one for all its projects.
    static OWN: RefCell<Weak<Turn>> = const { RefCell::new(Weak::new()) };
}

impl Turn {
    /// Waits until the application's deployment is this test's.
    #[track_caller]
    pub fn with_application() -> Arc<Self> {
        Self::take(&[With::Application])
    }

    /// Waits until the dev loop's project is this test's.
    #[track_caller]
    pub fn with_live_project() -> Arc<Self> {
        Self::take(&[With::LiveProject])
    }

    /// Waits until no other small project is at work.
    #[track_caller]
    pub fn with_small_projects() -> Arc<Self> {
        Self::take(&[With::SmallProjects])
    }

    /// Waits until no other test goes on.
    #[track_caller]
    pub fn alone() -> Arc<Self> {
        // In this order always: no two tests wait for each other.
        Self::take(&[With::Application, With::LiveProject, With::SmallProjects])
    }

    #[track_caller]
    fn take(parts: &[With]) -> Arc<Self> {
        if let Some(turn) = OWN.with_borrow(Weak::upgrade) {
            let has = parts.iter().all(|part| turn.0.iter().any(|(has, _)| has == part));
            assert!(has, "a test takes one turn, with all that it needs: {parts:?} beside {turn:?}");
            return turn;
        }
        let turn = Arc::new(Self(parts.iter().map(|part| (*part, locked(*part))).collect()));
        OWN.set(Arc::downgrade(&turn));
        turn
    }
}

/// A file that is locked until it is closed, by whichever process.
fn locked(part: With) -> File {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("system/turns");
    create_dir_all(&folder).expect("the target folder can be written");
    let file = File::create(folder.join(format!("{part:?}"))).expect("the target folder can be written");
    file.lock().expect("files can be locked here");
    file
}
