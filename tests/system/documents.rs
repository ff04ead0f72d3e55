//! What README.md and docs/ tell people to type: every command there stands in one list here, with how it is tested. One
//! that is in no list is tested by nobody, and fails the first test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::project::Project;
use crate::running::Running;

/// How a command is tested.
#[derive(Clone, Copy)]
enum How {
    /// Run as it stands in the shared deployment; it has to end well.
    Run,
    /// Run as it stands by a shell, `staging` being the test cluster, and the profile that minikube takes its own.
    Shell,
    /// Run as it stands by a shell with a home and a user of its own, in whose folders it has to do its work.
    Sandbox,
    /// It goes on until it is stopped: it has to begin, and then to end when told to.
    Goes,
    /// What it does is what that test does: the file, and the function in it.
    By(&'static str, &'static str),
    /// Only whether there are such a command and such flags, or words that a shell understands; and why no more.
    Form(&'static str),
}

use How::{By, Form, Goes, Run, Sandbox, Shell};

const TEARDOWN: How = By("tests/system/teardown.rs", "only_data_and_the_secrets_that_belong_to_it_stay");
const ROLLBACK: How =
    By("tests/system/rollback.rs", "it_goes_to_the_last_revision_that_passed_and_is_refused_without_its_images");
const ISOLATE: How =
    By("tests/system/dev/isolated.rs", "beside_another_deployment_it_has_namespaces_and_ports_of_its_own");
const ISOLATED: How =
    By("tests/system/dev/isolated.rs", "the_application_is_told_the_port_that_is_open_also_when_its_own_is_taken");
const COMPOSE: How =
    By("tests/chart/test_compose.py", "test_a_person_can_use_it_and_what_they_did_outlives_the_containers");
const HELM: How = By("tests/chart/test_data.py", "test_the_charts_own_test_passes");
const MANIFESTS: How = By("tests/chart/test_manifests.py", "test_the_api_server_takes_them");

/// Every command of the documents, in an order in which they can be run one after another.
const COMMANDS: &[(&str, How)] = &[
    ("cargo xtask doctor", By("tests/system/doctor.rs", "every_need_is_looked_at_and_nothing_is_changed")),
    ("cargo xtask deploy", Run),
    (
        "cargo xtask dev",
        By("tests/system/dev/edits.rs", "what_is_saved_is_live_and_at_the_end_pods_run_built_images_again"),
    ),
    ("cargo xtask dev --isolate mine", ISOLATE),
    ("cargo xtask teardown --isolate mine --data", ISOLATE),
    ("cargo xtask status --isolate mine", ISOLATED),
    ("cargo xtask logs --isolate mine", ISOLATED),
    ("cargo xtask forward --isolate mine", ISOLATED),
    ("cargo xtask deploy --isolate mine", ISOLATED),
    ("cargo xtask deploy image:backend", Run),
    ("cargo xtask deploy release:todo", Run),
    ("cargo xtask status", Run),
    ("cargo xtask deploy --dry-run", Run),
    ("cargo xtask explain", Run),
    ("cargo xtask explain release:todo", Run),
    ("cargo xtask check", Run),
    ("cargo xtask graph", Run),
    ("cargo xtask logs --follow backend", Goes),
    (
        "cargo xtask logs --previous backend",
        By("tests/system/logs.rs", "the_last_words_of_a_container_that_has_ended_are_shown"),
    ),
    ("cargo xtask forward", Goes),
    ("cargo xtask deploy --force image:backend", Run),
    ("cargo xtask deploy --force", Run),
    ("cargo xtask teardown --dry-run", Run),
    ("cargo xtask rollback", ROLLBACK),
    ("cargo xtask rollback --to 3", ROLLBACK),
    ("cargo xtask teardown", TEARDOWN),
    ("cargo xtask teardown --data", TEARDOWN),
    (
        "cargo xtask teardown --cluster --data",
        By("tests/system/cluster_gone.rs", "a_deploy_brings_it_back_with_all_that_was_in_it"),
    ),
    ("cargo xtask ci", By("tests/system/ci.rs", "what_fails_is_reported_and_the_deployment_goes_all_the_same")),
    (
        "cargo xtask ci --reports target/ci --deadline 60m",
        By("tests/system/ci.rs", "a_run_deploys_beside_everything_else_and_takes_it_away_again"),
    ),
    (
        "cargo xtask ci --sweep",
        By("tests/system/ci.rs", "a_run_that_is_killed_leaves_whole_reports_and_the_next_one_cleans_up"),
    ),
    ("cargo xtask test", By("xtask/src/cli/test.rs", "flags_and_words_choose_suites")),
    ("cargo xtask test --fast", By("xtask/src/cli/test.rs", "flags_and_words_choose_suites")),
    ("kubectl --context staging get namespace kube-system --output jsonpath={.metadata.uid}", Shell),
    ("rm -rf ~/.cache/xtask ~/.local/state/xtask \"/tmp/xtask-$(id -u)\" .xtask", Sandbox),
    ("rm helm/todo-chatbot/values-local.yaml", Sandbox),
    ("sudo usermod -aG docker $USER", Sandbox),
    ("eval \"$(minikube docker-env)\"", Shell),
    ("docker build --tag todo-backend:local backend", COMPOSE),
    ("docker build --tag todo-frontend:local frontend", COMPOSE),
    ("helm install todo helm/todo-chatbot --namespace todo --create-namespace", HELM),
    ("helm test todo --namespace todo", HELM),
    (
        "cp kubernetes/secret.env.example kubernetes/secret.env && chmod 600 kubernetes/secret.env",
        By("tests/chart/test_manifests.py", "test_the_example_names_every_key_that_is_read"),
    ),
    ("kubectl create namespace todo", MANIFESTS),
    ("kubectl --namespace todo create secret generic todo-secrets --from-env-file=kubernetes/secret.env", MANIFESTS),
    ("kubectl --namespace todo apply -f kubernetes", MANIFESTS),
    (
        "kubernetes/render my-manifests --set 'secrets.present={DATABASE_URL,OPENAI_API_KEY}'",
        By("tests/chart/test_manifests.py", "test_they_are_current"),
    ),
    ("cp .env.example .env && chmod 600 .env", COMPOSE),
    ("docker compose up --build --detach", COMPOSE),
    ("docker compose exec postgres psql --username=todo --command='\\password'", Form("it asks for a password")),
    ("kubectl port-forward service/todo-backend 8000:8000", Form("it needs this machine's port 8000")),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace")
}

/// README.md and docs/*.md, each with its text.
fn documents() -> BTreeMap<PathBuf, String> {
    let docs = fs::read_dir(root().join("docs")).expect("there are docs").flatten().map(|entry| entry.path());
    let documents = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let documents = documents.chain([root().join("README.md")]);
    documents.map(|path| (path.clone(), fs::read_to_string(path).expect("it is text"))).collect()
}

/// The commands in blocks for consoles and shells, without their comments.
fn typed(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut block: Option<Vec<&str>> = None;
    for line in text.lines() {
        match &mut block {
            None if line == "```console" || line == "```sh" => block = Some(Vec::new()),
            None => {}
            Some(lines) if line == "```" => {
                // Where prompts are shown, everything else is what was answered.
                let prompts: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("$ ")).collect();
                let lines = if prompts.is_empty() { &*lines } else { &prompts };
                commands.extend(lines.iter().map(|line| uncommented(line)).filter(|line| !line.is_empty()));
                block = None;
            }
            Some(lines) => lines.push(line),
        }
    }
    assert!(block.is_none(), "a block does not end");
    commands
}

fn uncommented(line: &str) -> String {
    if line.starts_with('#') {
        return String::new();
    }
    line.split_once("  #").map_or(line, |(command, _)| command).trim().to_owned()
}

/// What stands between backticks in running text and begins with our command, less what has placeholders.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split('`').skip(1).step_by(2);
    words.filter(|words| words.starts_with("cargo xtask ") && !words.contains(['…', '\n'])).collect()
}

/// Our command without `cargo xtask`, in words.
fn ours(command: &str) -> Option<Vec<&str>> {
    command.strip_prefix("cargo xtask ").map(|rest| rest.split_whitespace().collect())
}

/// Whether there is such a command with such flags; what it says of itself.
#[track_caller]
fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = command.args(arguments).arg("--help").output().expect("the binary can be run");
    assert!(output.status.success(), "`{arguments:?}`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_command_is_accounted_for() {
    let known: BTreeSet<&str> = COMMANDS.iter().map(|(command, _)| *command).collect();
    assert_eq!(known.len(), COMMANDS.len(), "a command is listed twice");
    let mut found = BTreeSet::new();
    for (path, text) in documents() {
        for command in typed(&text) {
            assert!(
                known.contains(command.as_str()),
                "{} tells people to type `{command}`: say in {} how that is tested",
                path.display(),
                file!()
            );
            found.insert(command);
        }
    }
    // Those that only running text names are run too.
    let texts: String = documents().into_values().collect();
    let gone: Vec<_> =
        known.iter().filter(|command| !found.contains(**command) && !texts.contains(**command)).collect();
    assert!(gone.is_empty(), "no document names them any more: {gone:?}");
}

#[test]
fn commands_that_are_not_run_here_exist() {
    for (command, how) in COMMANDS {
        match how {
            By(path, function) => {
                let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
                let there = [format!("fn {function}("), format!("def {function}(")].iter().any(|it| text.contains(it));
                assert!(there, "`{command}` is tested by {function}, which {path} does not have");
            }
            Form(why) => assert!(!why.is_empty(), "`{command}`"),
            Run | Shell | Sandbox | Goes => continue,
        }
        match ours(command) {
            Some(arguments) => drop(help(&arguments)),
            None => {
                let parsed = Command::new("sh").args(["-n", "-c", command]).status().expect("sh is there");
                assert!(parsed.success(), "{command}");
            }
        }
    }
}

#[test]
fn whatever_running_text_names_exists() {
    for (path, text) in documents() {
        for command in named(&text) {
            let arguments = ours(command).expect("it begins so");
            let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(&arguments).arg("--help").output();
            let output = output.expect("the binary can be run");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} names `{command}`: {said}", path.display());
        }
    }
}

#[test]
fn the_table_of_commands_is_what_the_program_has() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(usage, _)| usage));
    let mut told = BTreeSet::new();
    for usage in rows {
        let name = usage.split(' ').next().unwrap_or_default();
        told.insert(name.to_owned());
        let said = help(&[name]);
        let flags = usage.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| word.starts_with('-'));
        for flag in flags {
            assert!(said.contains(flag), "README tells of `{name} {flag}`, and `{name} --help` does not:\n{said}");
        }
    }
    let said = help(&[]);
    let listed = said.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let there: BTreeSet<String> = listed
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()))
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert_eq!(told, there, "README's table on the left, the program on the right");
}

#[test]
fn commands_do_as_they_are_told() {
    let project = Project::deployed();
    for (command, how) in COMMANDS {
        match (how, ours(command)) {
            (Run, Some(arguments)) => drop(project.run_human(&arguments).expect_success()),
            (Goes, Some(arguments)) => {
                let mut running = Running::start(&project, &arguments);
                running.until("it has begun", |_| true);
                running.signal(Signal::INT);
                let code = running.ended().code;
                assert!(matches!(code, 0 | 130), "`{command}` ended with {code}");
            }
            (Shell, _) => {
                let command = command.replace("staging", &project.cluster.context);
                let mut shell = Command::new("sh");
                let shell = shell.args(["-c", &command]).current_dir(project.folder());
                let run = shell.env("MINIKUBE_PROFILE", &project.cluster.context).output().expect("sh is there");
                assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
            }
            (Run | Goes, None) => panic!("`{command}` is none of ours: use Shell"),
            (By(..) | Form(_) | Sandbox, _) => {}
        }
    }
}

#[test]
fn commands_that_remove_or_change_what_a_machine_has_do_so_and_no_more() {
    let folder = tempfile::tempdir().expect("there is room");
    let (home, checkout, programs) =
        (folder.path().join("home"), folder.path().join("todo"), folder.path().join("bin"));
    // By its number the folder of locks is named.
    let user = format!("of-a-test-{}", std::process::id());
    let locks = PathBuf::from(format!("/tmp/xtask-{user}"));
    let ours = [home.join(".cache/xtask"), home.join(".local/state/xtask"), checkout.join(".xtask"), locks];
    let others = [home.join(".cache/other"), home.join(".local/state/other"), checkout.join("helm/todo-chatbot")];
    let values = checkout.join("helm/todo-chatbot/values-local.yaml");
    for path in ours.iter().chain(&others).chain([&programs]) {
        fs::create_dir_all(path.join("inside")).expect("it can be made");
    }
    fs::write(&values, "").expect("it can be written");
    for (name, does) in [("id", format!("echo {user}")), ("sudo", format!("echo \"$*\" >>{}/sudo", home.display()))] {
        let program = programs.join(name);
        fs::write(&program, format!("#!/bin/sh\n{does}\n")).expect("it can be written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let path = std::env::join_paths([programs, "/usr/bin".into(), "/bin".into()]).expect("they have no colons");
    for (command, _) in COMMANDS.iter().filter(|(_, how)| matches!(how, Sandbox)) {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", command]).current_dir(&checkout).env_clear().env("PATH", &path);
        let run = shell.env("HOME", &home).env("USER", "somebody").output().expect("sh is there");
        assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
    }
    let left: Vec<_> = ours.iter().chain([&values]).filter(|path| path.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(others.iter().all(|path| path.join("inside").exists()), "they were none of ours");
    assert_eq!(fs::read_to_string(home.join("sudo")).expect("it was called"), "usermod -aG docker somebody\n");
}

#[test]
fn blocks_are_read_as_people_read_them() {
    let text = "text\n```console\n$ cargo xtask deploy\n  Fresh\n```\n```toml\nx = 1\n```\n```sh\n# fill it in, then\na b  # why\n\nc#d\n```\n";
    assert_eq!(typed(text), ["cargo xtask deploy", "a b", "c#d"]);
    assert_eq!(named("`cargo xtask deploy` and `cargo xtask …`, `other`"), BTreeSet::from(["cargo xtask deploy"]));
}

/// What a heading is linked by.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c)).collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    for (path, text) in documents() {
        let folder = path.parent().expect("it is in a folder");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { folder.join(file) };
            assert!(target.exists(), "{} links to {link}, which is not there", path.display());
            if !place.is_empty() {
                let text = fs::read_to_string(&target).expect("it is text");
                let there = text.lines().filter(|line| line.starts_with('#')).any(|heading| anchor(heading) == place);
                assert!(there, "{} links to {link}, and there is no such heading", path.display());
            }
        }
    }
}

#[test]
fn every_document_is_reached_from_the_readme() {
    let documents = documents();
    let readme = &documents[&root().join("README.md")];
    for name in documents.keys().filter_map(|path| path.strip_prefix(root()).ok()) {
        let linked = readme.contains(&format!("]({}", name.display()));
        assert!(linked || name == Path::new("README.md"), "README.md does not lead to {}", name.display());
    }
}

#[test]
fn the_picture_names_no_machine() {
    let draw = |text: &str| {
        let mut command = Command::new("python3");
        command.arg(root().join("docs/picture/draw.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("python3 is there");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let drawn =
        draw("\u{1b}[1m$ cargo xtask\u{1b}[0m\n  \u{1b}[32mBuilt\u{1b}[0m a < b & c\n").expect("it names nothing");
    assert!(drawn.contains("a\u{a0}&lt;\u{a0}b\u{a0}&amp;\u{a0}c"), "{drawn}");
    for names in ["at 192.0.2.7", "in /home/me/app", "wrote /tmp/x", "\u{1b}[2Kover"] {
        assert_eq!(draw(names), None, "{names}");
    }
    assert!(draw("see http://localhost:30080 and 127.0.0.1").is_some());
}
