//! The loop at a terminal.

use std::process::{Command, Stdio};

use crate::project::Project;

/// There are a few lines below the others, and keys.
#[test]
fn at_a_terminal_keys_are_heard_and_the_terminal_is_left_as_it_was() {
    let project = Project::deployed();
    let command = format!("stty columns 120 rows 30; stty -a; {} dev; stty -a", env!("CARGO_BIN_EXE_xtask"));
    let mut terminal = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
        .current_dir(project.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is there");
    let mut keys = terminal.stdin.take().expect("a pipe");
    let mut screen = terminal.stdout.take().expect("a pipe");
    let mut shown = String::new();
    let mut until = |words: &[&str]| {
        let mut bytes = [0; 4096];
        // Where a text was found, the next is looked for behind it.
        let mut from = shown.len();
        for word in words {
            loop {
                if let Some(at) = shown[from..].find(word) {
                    from += at + word.len();
                    break;
                }
                let read = std::io::Read::read(&mut screen, &mut bytes).expect("a screen can be read");
                assert!(read > 0, "{word} was never shown: {shown}");
                shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        }
        shown.clone()
    };
    let mut press = |key: &str| std::io::Write::write_all(&mut keys, key.as_bytes()).expect("it is heard");
    until(&["watching for changes", "q quit"]);
    press("w");
    until(&["Why"]);
    press("s");
    until(&["Restarting", "answers"]);
    press("p");
    until(&["paused"]);
    project.write("backend/app/__init__.py", "\"\"\"The API.\"\"\"\n\nVERSION = \"paused\"\n");
    press("p");
    until(&["Restarted", "live in"]);
    press("q");
    let shown = until(&["Restored", "icanon", "extproc"]);
    assert!(terminal.wait().expect("it ends").success());
    let settings: Vec<&str> = shown.lines().filter(|line| line.contains("icanon")).collect();
    assert!(matches!(settings[..], [before, after] if before == after), "{settings:?}");
}
