//! Keys that are pressed while the loop runs.
//!
//! Whoever listens to them is the only reader of standard input to the program's end: what asks a question meanwhile has
//! to ask through [`crate::ask::Person::AtKeys`].

use std::io::{IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Build all images anew.
    Rebuild,
    /// Start the applications anew.
    Restart,
    /// Open the application in a browser.
    Open,
    /// Show the logs of the next workload only, of all again after the last.
    Logs,
    /// Say why the last run did what it did.
    Why,
    /// Let changes wait, or let them through again.
    Pause,
    /// Yes to the question that was asked.
    Yes,
    /// No to it.
    No,
    /// End the loop.
    Quit,
}

/// The keys, for the line that explains them.
pub const HELP: &str = "r rebuild   s restart   o open   l logs   w why   p pause   q quit";

impl Key {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'r' => Self::Rebuild,
            b's' => Self::Restart,
            b'o' => Self::Open,
            b'l' => Self::Logs,
            b'w' => Self::Why,
            b'p' => Self::Pause,
            b'q' => Self::Quit,
            b'y' | b'Y' => Self::Yes,
            // Who only presses Enter has not said yes.
            b'n' | b'N' | b'\n' => Self::No,
            _ => return None,
        })
    }
}

/// A terminal that gives keys as they are pressed, without showing them; dropped, it is as it was.
pub struct Keys {
    before: Termios,
    pressed: mpsc::UnboundedReceiver<Key>,
}

impl Keys {
    /// Listens to standard input, where it is a terminal.
    pub fn listen() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut now = before.clone();
        // Signals and the translation of line ends stay: Ctrl-C is not a key.
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &now).ok()?;
        let (sender, pressed) = mpsc::unbounded_channel();
        // It waits in a system call that nothing ends but a key or the process's end.
        std::thread::spawn(move || {
            for byte in std::io::stdin().lock().bytes() {
                let Ok(byte) = byte else { return };
                if Key::of(byte).is_some_and(|key| sender.send(key).is_err()) {
                    return;
                }
            }
        });
        Some(Self { before, pressed })
    }

    /// The next key.
    pub async fn next(&mut self) -> Option<Key> {
        self.pressed.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::{HELP, Key};

    #[test]
    fn every_key_that_is_explained_means_something_of_its_own() {
        let explained: Vec<u8> = HELP.split("   ").filter_map(|part| part.bytes().next()).collect();
        let meant: Vec<Key> = explained.iter().filter_map(|byte| Key::of(*byte)).collect();
        assert_eq!((explained.len(), meant.len()), (7, 7), "{HELP}");
        for (before, key) in meant.iter().enumerate() {
            assert!(!meant[..before].contains(key), "{key:?} twice");
        }
    }

    #[test]
    fn only_y_is_yes() {
        let check = |byte: u8, expected: Option<Key>| assert_eq!(Key::of(byte), expected, "{}", byte.escape_ascii());
        check(b'y', Some(Key::Yes));
        check(b'Y', Some(Key::Yes));
        check(b'n', Some(Key::No));
        check(b'\n', Some(Key::No));
        check(b' ', None);
        check(0x1b, None);
    }
}
