//! What `dev` and the agent in a container say to each other: a line of JSON, then as many bytes as its `size` says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the agent is told.
#[derive(Debug, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Order<'a> {
    /// Say what is there.
    Hello,
    /// Prepare a file; its bytes follow.
    Write {
        /// The index of a synced folder and the path in it: `0/models/task.py`.
        to: &'a str,
        /// Its owner may execute it.
        executable: bool,
        /// How many bytes follow.
        size: usize,
    },
    /// Prepare a symlink.
    Link {
        /// As above.
        to: &'a str,
        /// Where it points.
        target: &'a str,
    },
    /// Prepare the removal of whatever is there.
    Remove {
        /// As above.
        to: &'a str,
    },
    /// Make everything that was prepared visible.
    Commit {
        /// Comes back in what the agent tells of it.
        id: u64,
        /// Start the application anew.
        restart: bool,
    },
}

/// What the agent tells.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Told {
    /// The answer to [`Order::Hello`].
    Here {
        /// The synced folders as it was given them, in the order of their indices.
        #[serde(default)]
        roots: Vec<String>,
        /// What is in the synced folders, as [`super::wanted::Wanted`] writes it.
        files: BTreeMap<String, String>,
        /// The application runs.
        running: bool,
        /// The commit that the last start was asked for by.
        #[serde(default)]
        id: u64,
        /// All ports of that start take connections.
        #[serde(default)]
        answering: bool,
    },
    /// A sign of life while much is being sent.
    Receiving,
    /// A commit is visible.
    Applied {
        /// Which.
        id: u64,
    },
    /// The application was started.
    Started {
        /// The commit that asked for it.
        id: u64,
        /// Counts the starts.
        run: u64,
    },
    /// All its ports take connections.
    Answering {
        /// Which start.
        run: u64,
    },
    /// The application has ended by itself.
    Exited {
        /// Which start.
        run: u64,
        /// Its exit code, or the signal that ended it.
        code: serde_json::Value,
    },
    /// A commit could not be carried out; nothing of it was.
    Refused {
        /// Why.
        why: String,
    },
}

/// Writes an order with its bytes to the end of `buffer`: what is sent together arrives together.
pub fn push(buffer: &mut Vec<u8>, order: &Order<'_>, body: &[u8]) {
    // Nothing in an order can fail to be written as JSON.
    let line = serde_json::to_vec(order).unwrap_or_default();
    buffer.extend_from_slice(&line);
    buffer.push(b'\n');
    buffer.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::{Order, Told, push};

    #[test]
    fn messages_are_what_the_agents_read_and_write() {
        let mut buffer = Vec::new();
        push(&mut buffer, &Order::Write { to: "0/a.py", executable: false, size: 2 }, b"x\n");
        push(&mut buffer, &Order::Commit { id: 7, restart: true }, b"");
        let expected = "{\"do\":\"write\",\"to\":\"0/a.py\",\"executable\":false,\"size\":2}\nx\n{\"do\":\"commit\",\"id\":7,\"restart\":true}\n";
        assert_eq!(String::from_utf8(buffer).unwrap(), expected);
        let check = |line: &str, expected: Told| assert_eq!(serde_json::from_str::<Told>(line).unwrap(), expected);
        check(r#"{"is": "applied", "id": 7}"#, Told::Applied { id: 7 });
        check(r#"{"is": "exited", "run": 2, "code": 3}"#, Told::Exited { run: 2, code: 3.into() });
        check(
            r#"{"is": "here", "roots": ["/app"], "files": {}, "running": true, "id": 3, "answering": false}"#,
            Told::Here { roots: vec!["/app".to_owned()], files: [].into(), running: true, id: 3, answering: false },
        );
    }
}
