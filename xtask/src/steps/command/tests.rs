//! Commands in real folders, run for real.

use std::path::Path;
use std::sync::Arc;

use engine::config::GraphFile;
use engine::digest::Digest;
use engine::event::Event;
use engine::failure::{Class, Failure};
use engine::files::Gatherer;
use engine::manifest::Manifest;
use engine::receipt::Receipt;
use engine::run::Job;
use engine::verdict::{Reason, Verdict};
use secrecy::SecretString;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{CommandStep, SecretValues};
use crate::context::Context;
use crate::steps::{Made, Step};
use crate::workspace::Workspace;
use crate::world::World;

/// Every secret is worth this.
struct OneSecret(&'static str);

impl SecretValues for OneSecret {
    fn value(&self, _: &Context, _: &str, _: &str) -> Result<(SecretString, Digest), Failure> {
        Ok((SecretString::from(self.0), Digest::of_bytes(self.0.as_bytes())))
    }
}

struct Fixture {
    cx: Context,
    step: CommandStep,
    events: UnboundedReceiver<Event>,
    folder: tempfile::TempDir,
}

/// A workspace whose graph file has one command, `x`, with these lines.
fn fixture(lines: &str) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let secrets = "[secrets.todo]\nfrom = \"values-local.yaml\"\nkey = \"secrets\"\nobject = \"o\"\n";
    let cluster = "[cluster]\nprofile = \"p\"\n";
    let text = format!("project = \"demo\"\n{cluster}{secrets}[command.x]\n{lines}\n");
    std::fs::write(folder.path().join("values-local.yaml"), "secrets: {}\n").unwrap();
    let path = folder.path().join("xtask.toml");
    std::fs::write(&path, &text).unwrap();
    let file: GraphFile = engine::config::load(&path).unwrap_or_else(|problems| panic!("{problems:?}"));
    let (sender, events) = unbounded_channel();
    let workspace = Workspace::at(folder.path());
    let gatherer = Arc::new(Gatherer::new(workspace.state().join("stat-cache")));
    let world = Arc::new(World::of_context("p"));
    let cx = Context::new(workspace, "demo".into(), world, gatherer, 1, sender);
    let step = CommandStep::new("x", file.commands["x"].clone(), Arc::new(OneSecret("correct horse")));
    Fixture { cx, step, events, folder }
}

impl Fixture {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path().join(path), text).unwrap();
    }

    async fn manifest(&self) -> Manifest {
        self.step.gather(&self.cx).await.unwrap()
    }

    async fn run(&self) -> Result<(Made, Receipt), Failure> {
        let manifest = self.step.gather(&self.cx).await?;
        let verdict = Verdict::Stale(vec![Reason::NeverRun]);
        let job = Job { manifest: manifest.clone(), verdict, previous: None };
        let made = self.step.perform(&self.cx, &job).await?;
        let receipt = Receipt {
            manifest,
            output: Some(made.output.clone()),
            observed: made.observed.clone(),
            finished_ms: 0,
            took: std::time::Duration::ZERO,
        };
        Ok((made, receipt))
    }

    async fn differences(&self, receipt: &Receipt) -> Vec<String> {
        let observation = self.step.observe(&self.cx, receipt).await.unwrap();
        observation.differences.iter().map(ToString::to_string).collect()
    }
}

const COPY: &str = r#"
run = ["sh", "-c", "cat in/* > out.txt; echo ${project} > two.txt"]
cwd = "sub"
inputs = ["in/*.txt"]
outputs = ["*.txt"]
"#;

#[tokio::test]
async fn it_is_fresh_until_what_it_made_is_gone_or_changed() {
    let fixture = fixture(COPY);
    std::fs::create_dir(fixture.path().join("sub/in")).unwrap();
    fixture.write("sub/in/a.txt", "one\n");
    let (made, receipt) = fixture.run().await.unwrap();
    assert_eq!(made.summary, "2 files");
    assert_eq!(fixture.differences(&receipt).await, Vec::<String>::new());
    fixture.write("sub/two.txt", "other");
    assert_eq!(fixture.differences(&receipt).await, ["sub/two.txt is not as it was made"]);
    fixture.write("sub/two.txt", "demo\n");
    assert_eq!(fixture.differences(&receipt).await, Vec::<String>::new(), "what was made, by whomever");
    std::fs::remove_file(fixture.path().join("sub/two.txt")).unwrap();
    assert_eq!(fixture.differences(&receipt).await, ["sub/two.txt is missing"]);
    std::fs::remove_file(fixture.path().join("sub/out.txt")).unwrap();
    assert_eq!(fixture.differences(&receipt).await, ["sub/*.txt is missing"]);
}

#[tokio::test]
async fn the_same_outputs_from_other_inputs_are_the_same_output() {
    let fixture = fixture(COPY);
    std::fs::create_dir(fixture.path().join("sub/in")).unwrap();
    fixture.write("sub/in/a.txt", "one\n");
    let (first, receipt) = fixture.run().await.unwrap();
    std::fs::rename(fixture.path().join("sub/in/a.txt"), fixture.path().join("sub/in/b.txt")).unwrap();
    assert_ne!(fixture.manifest().await.key(), receipt.manifest.key());
    let (second, _) = fixture.run().await.unwrap();
    assert_eq!(first.output.digest, second.output.digest);
}

#[tokio::test]
async fn inputs_are_told_by_name() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("run = [\"true\"]", "run = [\"true\", \"-v\"]", &["definition run true → true…"]),
        ("run = [\"true\"]", "run = [\"true\"]\nenv = { A = \"b\" }", &["definition env.A added: b"]),
        ("run = [\"true\"]", "run = [\"true\"]\ncwd = \"sub\"", &["definition cwd . → sub"]),
    ];
    for (before, after, expected) in rows {
        let (before, after) = (fixture(before).manifest().await, fixture(after).manifest().await);
        let changes: Vec<_> = after.changes_since(&before).iter().map(ToString::to_string).collect();
        assert_eq!(changes, *expected);
    }
}

#[tokio::test]
async fn the_input_file_that_changed_is_told() {
    let fixture = fixture(COPY);
    std::fs::create_dir(fixture.path().join("sub/in")).unwrap();
    fixture.write("sub/in/a.txt", "one\n");
    fixture.write("sub/in/b.txt", "two\n");
    let before = fixture.manifest().await;
    fixture.write("sub/in/b.txt", "three\n");
    let changes: Vec<_> = fixture.manifest().await.changes_since(&before).iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["sub/in/b.txt changed, 1 of 2 files"]);
}

#[tokio::test]
async fn what_a_link_leads_to_is_an_input() {
    let elsewhere = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(elsewhere.path().join("shared.txt"), text).unwrap();
    write("one\n");
    // A link to a file, and one to a folder, which no glob matches by itself.
    let rows = [("[\"sub/*.txt\"]", "sub/a.txt", "shared.txt"), ("[\"sub/**/*.txt\"]", "sub/all", "")];
    for (inputs, link, target) in rows {
        let mut fixture = fixture(&format!("run = [\"true\"]\ninputs = {inputs}"));
        std::os::unix::fs::symlink(elsewhere.path().join(target), fixture.path().join(link)).unwrap();
        write("one\n");
        let before = fixture.manifest().await;
        assert!(fixture.manifest().await.held_still_since(&before));
        fixture.run().await.unwrap();
        let warned = |event: &Event| matches!(event, Event::Note { .. });
        assert!(std::iter::from_fn(|| fixture.events.try_recv().ok()).all(|event| !warned(&event)), "{inputs} match");

        write("two\n");
        let after = fixture.manifest().await;
        let changes: Vec<_> = after.changes_since(&before).iter().map(ToString::to_string).collect();
        let reached = if target.is_empty() { "sub/all/shared.txt" } else { link };
        assert_eq!(changes, [format!("{reached} changed, 1 of 1 file")]);

        // Changed and put back: the same inputs, but a command that ran meanwhile may have read others.
        write("one\n");
        let again = fixture.manifest().await;
        assert_eq!(again.key(), before.key());
        assert!(!again.held_still_since(&before));
    }
}

#[tokio::test]
async fn a_link_that_no_glob_matches_is_no_input_itself() {
    let fixture = fixture("run = [\"true\"]\ninputs = [\"sub/**/*.txt\"]");
    fixture.write("sub/a.txt", "one\n");
    let link = |target: &str| {
        let path = fixture.path().join("sub/.#lock");
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(target, path).unwrap();
    };
    link("me@host:1");
    let before = fixture.manifest().await;
    link("me@host:2");
    assert_eq!(fixture.manifest().await.key(), before.key());
}

#[tokio::test]
async fn a_script_of_the_workspace_is_an_input_by_its_contents() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = fixture("run = [\"sub/x.sh\"]");
    let path = fixture.path().join("sub/x.sh");
    let write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("#!/bin/sh\n");
    let first = fixture.manifest().await;
    write("#!/bin/sh\n");
    assert_eq!(fixture.manifest().await.key(), first.key(), "written anew, but the same");
    write("#!/bin/sh\n:\n");
    let changes: Vec<_> = fixture.manifest().await.changes_since(&first).iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["sub/x.sh changed"]);
}

#[tokio::test]
async fn a_secret_reaches_the_childs_environment_and_nothing_else() {
    let mut fixture = fixture(
        "run = [\"sh\", \"-c\", \"echo $$TOKEN | tee token.txt; echo failed with $$TOKEN >&2; exit 3\"]\n\
         env = { TOKEN = \"${secrets.todo.KEY}\" }\noutputs = [\"token.txt\"]",
    );
    let failure = fixture.run().await.unwrap_err();
    let token = std::fs::read_to_string(fixture.path().join("token.txt")).unwrap();
    assert_eq!(token, "correct horse\n");
    let log = std::fs::read_to_string(fixture.cx.log_path(&fixture.step.id).unwrap()).unwrap();
    let mut seen = format!("{failure:?}\n{log}\n{:?}\n", fixture.manifest().await);
    while let Ok(event) = fixture.events.try_recv() {
        seen.push_str(&format!("{event:?}\n"));
    }
    assert!(seen.contains("failed with •••") && !seen.contains("correct horse"), "{seen}");
    assert_eq!(failure.class, Class::Step);
    assert!(failure.message.ends_with("exited with 3"), "{failure}");
}

#[tokio::test]
async fn what_does_not_work_says_what_to_do() {
    let rows = [
        ("run = [\"no-such-tool\"]", "no `no-such-tool` found, which command:x runs", "install it"),
        ("run = [\"./no.sh\"]", "no `./no.sh` found, which command:x runs", "make it executable"),
        ("run = [\"true\"]\noutputs = [\"a\", \"b/*\"]", "command:x ended well, but did not make a, b/*", "`outputs`"),
        ("run = [\"echo\", \"${git.commit}\"]", "lies in no git repository", "git init"),
    ];
    for (lines, message, help) in rows {
        let failure = fixture(lines).run().await.unwrap_err();
        assert!(failure.message.ends_with(message) && failure.help[0].contains(help), "{failure:?}");
    }
}

#[tokio::test]
async fn cancelling_the_run_ends_the_command() {
    let fixture = fixture("run = [\"sleep\", \"1000\"]");
    fixture.cx.cancel.cancel();
    assert_eq!(fixture.run().await.unwrap_err().class, Class::Interrupted);
}
