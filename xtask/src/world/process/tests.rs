//! Real processes, and grandchildren of them. Who holds a FIFO's writing end keeps its reader waiting,
//! so a read to the end proves that nobody is left, and needs no clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::failure::Class;
use tokio_util::sync::CancellationToken;

use super::{Command, Exit, Stream};

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// A FIFO that a process tree holds open; [`Held::until_all_gone`] returns when the last of them has ended.
struct Held {
    path: PathBuf,
    reader: std::thread::JoinHandle<String>,
    _directory: tempfile::TempDir,
}

impl Held {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let from = path.clone();
        let reader = std::thread::spawn(move || std::fs::read_to_string(from).unwrap());
        Self { path, reader, _directory: directory }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn until_all_gone(self) -> String {
        self.reader.join().unwrap()
    }
}

#[tokio::test]
async fn lines_are_streamed_as_they_come_and_kept() {
    let mut seen = Vec::new();
    let script = r#"printf 'one\ntwo\r\nbar 1\rbar 2\r\n\nlast'; printf 'oops\n' >&2; exit 3"#;
    let finished =
        sh(script).run(&CancellationToken::new(), |stream, line| seen.push((stream, line.to_owned()))).await.unwrap();
    let of =
        |wanted| seen.iter().filter(|(stream, _)| *stream == wanted).map(|(_, line)| line.as_str()).collect::<Vec<_>>();
    assert_eq!(of(Stream::Out), ["one", "two", "bar 1", "bar 2", "", "last"]);
    assert_eq!(of(Stream::Err), ["oops"]);
    assert_eq!(finished.exit, Exit::Code(3));
    assert_eq!(finished.text(Stream::Err), "oops\n");
}

#[tokio::test]
async fn the_oldest_lines_are_dropped_first() {
    let finished = sh("seq 1 10000").keep(100).run(&CancellationToken::new(), |_, _| {}).await.unwrap();
    let text = finished.text(Stream::Out);
    assert!(text.len() <= 100 && text.ends_with("9999\n10000\n"), "{text}");
}

#[tokio::test]
async fn everything_that_a_child_wrote_before_its_exit_arrives() {
    for _ in 0..50 {
        let finished = sh("seq 1 5000").run(&CancellationToken::new(), |_, _| {}).await.unwrap();
        assert!(finished.text(Stream::Out).ends_with("\n5000\n"));
    }
}

#[tokio::test]
async fn stdin_is_fed_whole_while_output_is_read() {
    let bytes = "0123456789\n".repeat(100_000);
    let finished =
        Command::new("cat").stdin(bytes.clone()).keep(1 << 24).run(&CancellationToken::new(), |_, _| {}).await.unwrap();
    assert!(finished.text(Stream::Out) == bytes, "not what was sent");
}

#[tokio::test]
async fn a_child_that_does_not_read_its_stdin_ends_as_it_likes() {
    let finished =
        Command::new("true").stdin(vec![b'x'; 1 << 20]).run(&CancellationToken::new(), |_, _| {}).await.unwrap();
    assert_eq!(finished.exit, Exit::Code(0));
}

#[tokio::test]
async fn an_error_names_the_command_but_neither_stdin_nor_environment() {
    let redact: super::Redact = Arc::new(|line| line.replace("hunter2", "***"));
    let command = sh("read word; echo got $word; echo $WORD >&2; kill -9 $$");
    let command = command.stdin("hunter2\n").env("WORD", "hunter2").redact(redact);
    let finished = command.run(&CancellationToken::new(), |_, line| assert!(!line.contains("hunter2"))).await.unwrap();
    let failure = finished.success(Class::Step).unwrap_err();
    assert!(
        failure.message.starts_with("`sh -c 'read word; ") && failure.message.ends_with(" was ended by signal 9"),
        "{failure}"
    );
    let mut lines = failure.excerpts[0].lines.clone();
    lines.sort();
    assert_eq!(lines, ["***", "got ***"]);
    assert_eq!(failure.excerpts[0].origin, "sh");
}

#[tokio::test]
async fn what_cannot_be_run_is_an_error_of_the_environment() {
    let cases = [
        ("no-such-tool", "no `no-such-tool` found on PATH"),
        ("/no/such/tool", "no `/no/such/tool` found on PATH"),
        ("/etc/passwd", "no `/etc/passwd` found on PATH"),
    ];
    for (program, message) in cases {
        let failure = Command::new(program).run(&CancellationToken::new(), |_, _| {}).await.unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (Class::Environment, message));
    }
}

#[tokio::test]
async fn environment_and_directory_are_the_childs_alone() {
    let directory = tempfile::tempdir().unwrap();
    let command = sh(r#"echo "$ADDED ${HOME-none}"; pwd"#).env("ADDED", "yes").env_remove("HOME").cwd(directory.path());
    let finished = command.run(&CancellationToken::new(), |_, _| {}).await.unwrap();
    assert_eq!(
        finished.text(Stream::Out),
        format!("yes none\n{}\n", directory.path().canonicalize().unwrap().display())
    );
    assert!(std::env::var_os("ADDED").is_none());
}

#[tokio::test]
async fn a_child_leads_a_process_group_of_its_own() {
    let finished = sh("ps -o pgid= -p $$; echo $$").run(&CancellationToken::new(), |_, _| {}).await.unwrap();
    let text = finished.text(Stream::Out);
    let numbers: Vec<_> = text.split_whitespace().collect();
    assert_eq!(numbers[0], numbers[1]);
}

#[tokio::test]
async fn a_grandchild_that_keeps_the_pipes_open_keeps_nobody_waiting_and_may_live_on() {
    let held = Held::new();
    let script = format!("exec 3>{}; sleep 100 & echo $!", held.path().display());
    let finished = sh(&script).run(&CancellationToken::new(), |_, _| {}).await.unwrap();
    let sleeper = finished.text(Stream::Out).trim().to_owned();
    // It is still there to be ended, by us: nothing else would.
    assert!(std::process::Command::new("kill").arg(&sleeper).status().unwrap().success());
    held.until_all_gone();
}

/// Runs `script` with a FIFO as `$1` until it prints "ready", then cancels it; what the FIFO got.
async fn stopped(script: &str) -> String {
    let held = Held::new();
    let cancel = CancellationToken::new();
    let command = Command::new("sh").args(["-c", script, "sh"]).arg(held.path());
    let failure = command
        .run(&cancel, |_, line| {
            if line == "ready" {
                cancel.cancel();
            }
        })
        .await
        .unwrap_err();
    assert_eq!(failure.class, Class::Interrupted);
    held.until_all_gone()
}

#[tokio::test]
async fn stopping_ends_children_and_grandchildren() {
    stopped("exec 3>$1; sleep 100 & sh -c 'sleep 100 & wait' & echo ready; wait").await;
}

// The traps below are set after `sleep` is forked: a fork still has its parent's trap until it execs, and would
// swallow the signal.

#[tokio::test]
async fn stopping_lets_a_child_clean_up_first() {
    let script = "exec 3>$1; sleep 100 & trap 'echo cleaned >&3; exit 1' TERM; echo ready; wait";
    assert_eq!(stopped(script).await, "cleaned\n");
}

#[tokio::test]
async fn stopping_lets_a_grandchild_clean_up_after_its_parent_has_gone() {
    let inner = "sleep 100 & trap \"while kill -0 $0; do :; done; echo cleaned >&3; exit\" TERM; echo ready; wait";
    assert_eq!(stopped(&format!("exec 3>$1; sh -c '{inner}' $$ & wait")).await, "cleaned\n");
}

#[tokio::test]
async fn what_ignores_sigterm_is_killed_after_its_grace() {
    let held = Held::new();
    let cancel = CancellationToken::new();
    let script = "exec 3>$1; trap '' TERM; (while :; do sleep 100; done) & echo ready; while :; do sleep 100; done";
    let command = Command::new("sh").args(["-c", script, "sh"]).arg(held.path());
    let command = command.grace(std::time::Duration::from_millis(1));
    command.run(&cancel, |_, _| cancel.cancel()).await.unwrap_err();
    held.until_all_gone();
}

#[tokio::test]
async fn dropping_a_run_kills_the_group() {
    let held = Held::new();
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut tell = Some(tell);
    let command = Command::new("sh").args(["-c", "exec 3>$1; sleep 100 & echo ready; wait", "sh"]).arg(held.path());
    let run = tokio::spawn(async move {
        let cancel = CancellationToken::new();
        let run = command.run(&cancel, |_, _| {
            if let Some(tell) = tell.take() {
                tell.send(()).unwrap();
            }
        });
        run.await.unwrap();
    });
    told.await.unwrap();
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    held.until_all_gone();
}

/// The process that the next test kills: it runs a child for as long as that likes.
#[tokio::test]
#[ignore = "run by `killing_this_process_ends_its_children`, as a process of its own"]
async fn parent_to_be_killed() {
    let Some(fifo) = std::env::var_os("XTASK_TEST_FIFO") else { return };
    let command = Command::new("sh").args(["-c", "exec 3>$1; echo $PPID >&3; exec sleep 100", "sh"]).arg(fifo);
    let _ = command.run(&CancellationToken::new(), |_, _| {}).await;
}

#[test]
#[cfg(target_os = "linux")]
fn killing_this_process_ends_its_children() {
    use std::io::{BufRead as _, BufReader, Read as _};

    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "world::process::tests::parent_to_be_killed", "--ignored"])
        .env("XTASK_TEST_FIFO", &fifo)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(std::fs::File::open(&fifo).unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), parent.id().to_string());
    parent.kill().unwrap();
    parent.wait().unwrap();
    reader.read_to_string(&mut line).unwrap();
}
