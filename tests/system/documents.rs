//! What README.md and docs/ tell people to type: every command there, in blocks and in running text, stands in one list
//! here, with how it is tested. One that is in no list is tested by nobody, and fails the first test.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::daemon::Daemon;
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
    /// Run as it stands by a shell whose current cluster is that of the tests, in a checkout whose images nobody has built.
    Plain,
    /// It goes on until it is stopped: it has to begin, and then to end when told to.
    Goes,
    /// That test runs it: the file, the function in it, and words of the command that it says, for one of ours all flags.
    By(&'static str, &'static str, &'static [&'static str]),
    /// Only whether there is such a command, asked for its help where words are given; and why no more.
    Form(&'static str, &'static [&'static str]),
}

use How::{By, Form, Goes, Plain, Run, Sandbox, Shell};

/// Programs that documents have people call.
const PROGRAMS: [&str; 16] = [
    "apt-get",
    "cargo",
    "chmod",
    "cp",
    "curl",
    "docker",
    "eval",
    "git",
    "helm",
    "kubectl",
    "kubernetes/render",
    "minikube",
    "pnpm",
    "rm",
    "sudo",
    "uv",
];

const TEARDOWN: How = By("tests/system/teardown.rs", "only_data_and_the_secrets_that_belong_to_it_stay", &[]);
const ROLLBACK: How =
    By("tests/system/rollback.rs", "it_goes_to_the_last_revision_that_passed_and_is_refused_without_its_images", &[]);
const ISOLATE: How =
    By("tests/system/dev/isolated.rs", "beside_another_deployment_it_has_namespaces_and_ports_of_its_own", &[]);
const ISOLATED: How =
    By("tests/system/dev/isolated.rs", "the_application_is_told_the_port_that_is_open_also_when_its_own_is_taken", &[]);
const CLUSTER_GONE: &str = "tests/system/cluster_gone.rs";
const MADE_ANEW: &str = "a_deploy_brings_it_back_with_all_that_was_in_it";
const CI: &str = "tests/system/ci.rs";
const HERE: &str = "tests/system/documents.rs";

const fn compose(words: &'static [&'static str]) -> How {
    let function = "test_a_person_can_use_it_and_what_they_did_outlives_the_containers";
    By("tests/chart/test_compose.py", function, words)
}

/// Every command of the documents, in an order in which they can be run one after another.
const COMMANDS: &[(&str, How)] = &[
    ("cargo xtask doctor", By("tests/system/doctor.rs", "every_need_is_looked_at_and_nothing_is_changed", &[])),
    ("cargo xtask deploy", Run),
    ("cargo xtask deploy --yes", Run),
    (
        "cargo xtask dev",
        By(
            "tests/system/dev/leaving.rs",
            "pods_run_built_images_also_where_only_the_loop_has_deployed_and_where_the_graph_file_is_broken",
            &[],
        ),
    ),
    ("cargo xtask dev --isolate mine", ISOLATE),
    ("cargo xtask teardown --isolate mine --data", ISOLATE),
    ("cargo xtask status --isolate mine", ISOLATED),
    ("cargo xtask logs --isolate mine", ISOLATED),
    ("cargo xtask forward --isolate mine", ISOLATED),
    ("cargo xtask deploy --isolate mine", ISOLATED),
    (
        "cargo xtask deploy --pull",
        By("tests/system/pull.rs", "bases_are_asked_for_at_their_registry_and_only_then", &[]),
    ),
    ("cargo xtask deploy image:backend", Run),
    ("cargo xtask deploy release:todo", Run),
    ("cargo xtask status", Run),
    ("cargo xtask deploy --dry-run", Run),
    ("cargo xtask explain", Run),
    ("cargo xtask explain release:todo", Run),
    ("cargo xtask check", Run),
    ("cargo xtask graph", Run),
    ("cargo xtask logs", Run),
    ("cargo xtask logs --follow backend", Goes),
    (
        "cargo xtask logs --previous backend",
        By("tests/system/logs.rs", "the_last_words_of_a_container_that_has_ended_are_shown", &[]),
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
        By(CLUSTER_GONE, "a_start_that_is_interrupted_leaves_no_process_and_is_made_up_for", &[]),
    ),
    ("cargo xtask ci", By(CI, "what_fails_is_reported_and_the_deployment_goes_all_the_same", &[])),
    (
        "cargo xtask ci --reports target/ci --deadline 60m",
        By(CI, "a_run_deploys_beside_everything_else_and_takes_it_away_again", &[]),
    ),
    ("cargo xtask ci --sweep", By(CI, "a_run_that_is_killed_leaves_whole_reports_and_the_next_one_cleans_up", &[])),
    ("cargo xtask test", By(HERE, "the_second_command_of_the_readme_runs_suites", &[])),
    ("cargo xtask test --force", By(HERE, "the_second_command_of_the_readme_runs_suites", &[])),
    ("cargo xtask test --fast", By(HERE, "the_second_command_of_the_readme_runs_suites", &[])),
    ("kubectl --context staging get namespace kube-system --output jsonpath={.metadata.uid}", Shell),
    ("minikube logs -p todo-chatbot", Shell),
    ("minikube start", Form("a deploy calls it, which is said there, and nobody is told to", &["minikube", "start"])),
    (
        "minikube start --ports=127.0.0.1:30080:30080",
        Form("it needs this machine's port 30080, and makes a node", &["minikube", "start"]),
    ),
    (
        "minikube service --namespace todo todo-frontend --url",
        Form("it waits for pods whose images nobody has built", &["minikube", "service"]),
    ),
    (
        "minikube service --url",
        Form("it is said what its addresses are, and nobody is told to", &["minikube", "service"]),
    ),
    ("minikube delete -p todo-chatbot", By(CLUSTER_GONE, MADE_ANEW, &["delete"])),
    ("minikube delete -p xtask-test", By(CLUSTER_GONE, MADE_ANEW, &["delete"])),
    ("chmod -R u+w ~/.cache/xtask", Sandbox),
    ("rm -rf ~/.cache/xtask/dayzero", Sandbox),
    ("rm -rf ~/.cache/xtask/bases", Sandbox),
    ("rm -rf ~/.local/state/xtask", Sandbox),
    ("rm -rf \"/tmp/xtask-$(id -u)\"", Sandbox),
    ("rm -rf .xtask", Sandbox),
    ("rm -rf ~/.cache/xtask ~/.local/state/xtask \"/tmp/xtask-$(id -u)\" .xtask", Sandbox),
    ("rm helm/todo-chatbot/values-local.yaml", Sandbox),
    ("sudo usermod -aG docker $USER", Sandbox),
    ("sudo apt-get remove docker.io", Sandbox),
    (
        "docker image prune --all --filter label=dev.xtask.project=xtask-dayzero",
        Form("it would remove what this machine's nodes are made from", &["docker", "image", "prune"]),
    ),
    ("docker login", Form("it asks for a password", &["docker", "login"])),
    ("docker pull", Form("what is pulled is not said there, and needs a registry", &["docker", "pull"])),
    ("docker load", By(HERE, "an_image_is_brought_into_the_node_by_hand", &["docker load"])),
    ("eval \"$(cargo xtask env)\"", By(HERE, "an_image_is_brought_into_the_node_by_hand", &["eval"])),
    ("eval \"$(minikube docker-env)\"", Shell),
    ("cargo build --package xtask", Form("who runs this has done it", &["cargo", "build"])),
    ("cargo install --locked cargo-deny", Form("it compiles for minutes", &["cargo", "install"])),
    (
        "uv run --frozen --directory backend python -m tools.documents",
        By("backend/tests/test_documents.py", "test_is_current", &["tools.documents"]),
    ),
    ("docker build --tag todo-backend:local backend", compose(&["build"])),
    ("docker build --tag todo-frontend:local frontend", compose(&["build"])),
    ("helm install todo helm/todo-chatbot --namespace todo --create-namespace", Plain),
    (
        "helm test todo --namespace todo",
        By("tests/chart/test_data.py", "test_the_charts_own_test_passes", &["test", "todo"]),
    ),
    ("cp kubernetes/secret.env.example kubernetes/secret.env && chmod 600 kubernetes/secret.env", Plain),
    ("kubectl create namespace todo", Plain),
    ("kubectl --namespace todo create secret generic todo-secrets --from-env-file=kubernetes/secret.env", Plain),
    ("kubectl --namespace todo apply -f kubernetes", Plain),
    ("kubectl --namespace todo rollout restart statefulset,deployment", Plain),
    ("kubernetes/render my-manifests --set 'secrets.present={DATABASE_URL,OPENAI_API_KEY}'", Plain),
    ("cp .env.example .env && chmod 600 .env", Plain),
    ("docker compose up --build --detach", compose(&["build", "up", "--detach"])),
    ("docker compose down", compose(&["down"])),
    ("docker compose down --volumes", compose(&["down", "--volumes"])),
    ("docker compose exec postgres psql --username=todo --command='\\password'", Form("it asks for a password", &[])),
    (
        "kubectl port-forward service/todo-backend 8000:8000",
        Form("it needs this machine's port 8000", &["kubectl", "port-forward"]),
    ),
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

/// What stands between backticks in running text and calls a program with something. A program's name alone is no call.
fn named(text: &str) -> Vec<String> {
    let mut running = String::new();
    let mut block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            block = !block;
        } else if !block {
            running.push_str(line);
            running.push('\n');
        }
    }
    spans(&running).into_iter().filter(|span| is_call(span)).collect()
}

/// The code in a text: what stands between as many backticks as it begins with. Lines that were broken are whole again.
fn spans(text: &str) -> Vec<String> {
    let (mut spans, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].chars().take_while(|c| *c == '`').count();
        let inside = &rest[start + ticks..];
        let is_end = |(at, _): &(usize, &str)| !inside[..*at].ends_with('`') && !inside[at + ticks..].starts_with('`');
        match inside.match_indices(&"`".repeat(ticks)).find(is_end) {
            Some((end, _)) => {
                spans.push(inside[..end].split_whitespace().collect::<Vec<_>>().join(" "));
                rest = &inside[end + ticks..];
            }
            None => rest = inside,
        }
    }
    spans
}

fn is_call(span: &str) -> bool {
    let (program, rest) = span.split_once(' ').unwrap_or((span, ""));
    PROGRAMS.contains(&program) && !rest.is_empty() && span != "cargo xtask"
}

/// Whether the reader is to put something in.
fn has_placeholder(command: &str) -> bool {
    let is_one = |word: &str| word.chars().all(|c| c.is_ascii_uppercase() || ":=".contains(c));
    command.contains('…') || command.split_whitespace().any(is_one)
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
        let named = named(&text).into_iter().filter(|command| !has_placeholder(command));
        for command in typed(&text).into_iter().chain(named) {
            assert!(
                known.contains(command.as_str()),
                "{} tells people to type `{command}`: say in {} how that is tested",
                path.display(),
                file!()
            );
            found.insert(command);
        }
    }
    let gone: Vec<_> = known.iter().filter(|command| !found.contains(**command)).collect();
    assert!(gone.is_empty(), "no document names them any more: {gone:?}");
}

/// What a test says: its own text, and that of its file and its folder which is no test's.
fn said_by(path: &str, function: &str) -> String {
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let path = root().join(path);
    let folder = path.parent().expect("it is in a folder");
    let mut said = without_other_tests(&text(&path), function);
    if path == root().join(HERE) {
        // The list of commands says them all.
        return said.split_off(said.find(&format!("#[test]\nfn {function}(")).unwrap_or(said.len()));
    }
    for helper in ["mod.rs", "compose.py"].map(|name| folder.join(name)).into_iter().filter(|helper| helper.exists()) {
        said.push_str(&without_other_tests(&text(&helper), function));
    }
    said
}

/// A file's text without the tests in it, of which only `kept` stays.
fn without_other_tests(text: &str, kept: &str) -> String {
    let mut said = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let mut block = format!("{line}\n");
        let rust = line == "#[test]";
        if rust || line.starts_with("def test_") {
            let is_inside =
                |line: &&str| if rust { *line != "}" } else { line.is_empty() || line.starts_with([' ', ')']) };
            while let Some(line) = lines.next_if(is_inside) {
                block.push_str(line);
                block.push('\n');
            }
            let is_it = block.contains(&format!("fn {kept}(")) || block.contains(&format!("def {kept}("));
            if !is_it {
                continue;
            }
        }
        said.push_str(&block);
    }
    said
}

/// The words by which it is seen that a test runs `command`.
fn words_of(command: &str, listed: &[&'static str]) -> Vec<String> {
    match ours(command) {
        Some(words) => {
            let flags = words.iter().skip(1).filter(|word| word.starts_with('-'));
            words.iter().take(1).chain(flags).map(|word| (*word).to_owned()).collect()
        }
        None => listed.iter().map(|word| (*word).to_owned()).collect(),
    }
}

#[test]
fn commands_that_are_not_run_here_are_run_by_the_tests_that_are_named() {
    for (command, how) in COMMANDS {
        match how {
            By(path, function, listed) => {
                let said = said_by(path, function);
                let heads = [format!("#[test]\nfn {function}("), format!("def {function}(")];
                // The suite of that file runs those that are ignored elsewhere.
                let ignored = *path == CLUSTER_GONE && said.contains(&format!("\nfn {function}("));
                let is_test = heads.iter().any(|head| said.contains(head)) || ignored;
                assert!(is_test, "`{command}` is run by {function}, which is no test of {path}");
                let words = words_of(command, listed);
                assert!(!words.is_empty(), "by what is it seen that {function} runs `{command}`?");
                // Ours are called with a list of words.
                let before: &[char] = if ours(command).is_some() { &['"'] } else { &['"', '\'', ' '] };
                for word in words {
                    let there = before.iter().any(|before| said.contains(&format!("{before}{word}")));
                    assert!(there, "`{command}` is said to be run by {function} of {path}, which says no {word}");
                }
            }
            Form(why, words) => {
                assert!(!why.is_empty(), "`{command}`");
                let mut asked = match words {
                    [] => Command::new("sh"),
                    [program, ..] => Command::new(program),
                };
                let asked = match words {
                    [] => asked.args(["-n", "-c", command]),
                    [_, rest @ ..] => asked.args(rest.iter()).arg("--help"),
                };
                assert!(words.is_empty() || command.starts_with(&words.join(" ")), "`{command}`");
                let output = asked.output().expect("the program is there");
                assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
            }
            Run | Shell | Sandbox | Plain | Goes => {}
        }
    }
}

#[test]
fn whatever_of_ours_running_text_names_exists() {
    for (path, text) in documents() {
        for command in named(&text).iter().filter(|command| !command.contains('…')) {
            let Some(arguments) = ours(command) else { continue };
            let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(&arguments).arg("--help").output();
            let output = output.expect("the binary can be run");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} names `{command}`: {said}", path.display());
        }
    }
}

#[test]
fn the_second_command_of_the_readme_runs_suites() {
    // The smallest suite of all, as they all are run.
    for arguments in [&["test", "format"][..], &["test", "--force", "format"], &["test", "--fast", "format"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).current_dir(root()).output();
        let output = output.expect("the binary can be run");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let rows = said.lines().filter(|line| line.split_whitespace().any(|word| word == "format"));
        assert_eq!(rows.count(), 1, "the closing table has no row of it: {said}");
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
                let context = &project.cluster.context;
                let command = command.replace("staging", context).replace("-p todo-chatbot", &format!("-p {context}"));
                let mut shell = Command::new("sh");
                let shell = shell.args(["-c", &command]).current_dir(project.folder());
                let run = shell.env("MINIKUBE_PROFILE", &project.cluster.context).output().expect("sh is there");
                assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
            }
            (Run | Goes, None) => panic!("`{command}` is none of ours: use Shell"),
            (By(..) | Form(..) | Sandbox | Plain, _) => {}
        }
    }
}

/// A shell in `folder` whose current cluster is that of `project`, and nothing else.
fn shell_of(project: &Project, folder: &Path, command: &str) -> Command {
    let file = folder.join("kubeconfig");
    let context = &project.cluster.context;
    if !file.exists() {
        let view = ["config", "view", "--minify", "--flatten", "--raw", "--context", context];
        let shown = Command::new("kubectl").args(view).output().expect("kubectl is there");
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        fs::write(&file, shown.stdout).expect("it can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let used =
            Command::new("kubectl").arg("--kubeconfig").arg(&file).args(["config", "use-context", context]).status();
        assert!(used.expect("kubectl is there").success());
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("KUBECONFIG", file);
    shell
}

#[test]
fn the_application_is_installed_without_this_tool_as_it_is_told() {
    // Only its cluster: nothing of it is deployed.
    let project = Project::fixture("small", "luck-test");
    let folder = tempfile::tempdir().expect("there is room");
    for part in ["helm", "kubernetes", ".env.example"] {
        let copied = Command::new("cp").arg("-r").arg(root().join(part)).arg(folder.path()).status();
        assert!(copied.expect("cp is there").success());
    }
    let run = |command: &str| {
        let run = shell_of(&project, folder.path(), command).output().expect("sh is there");
        assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).into_owned()
    };
    let is_there = || run("kubectl get namespaces --output name").lines().any(|name| name == "namespace/todo");
    assert!(!is_there(), "somebody has the namespace `todo` in the tests' cluster");
    let remove = || run("kubectl delete namespace todo");
    for (command, _) in COMMANDS.iter().filter(|(_, how)| matches!(how, Plain)) {
        // Of two ways to install it.
        if *command == "kubectl create namespace todo" && is_there() {
            remove();
        }
        run(command);
    }
    let workloads = run("kubectl --namespace todo get deployments,statefulsets --output name");
    remove();
    assert_eq!(workloads.lines().count(), 3, "{workloads}");
    for made in ["my-manifests/backend-deployment.yaml", "kubernetes/secret.env", ".env"] {
        assert!(folder.path().join(made).exists(), "{made}");
    }
}

#[test]
fn an_image_is_brought_into_the_node_by_hand() {
    let project = Project::fixture("small", "luck-test");
    let daemon = Daemon::of(&project);
    let folder = tempfile::tempdir().expect("there is room");
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).expect("it can be made");
    let cargo = programs.join("cargo");
    fs::write(&cargo, format!("#!/bin/sh\nshift\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_xtask"))).expect("it can be");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let image = "documents-test/by-hand:1";
    // Every node has this one.
    daemon.docker(&["tag", "registry.k8s.io/pause:3.10.1", image]);
    let archive = folder.path().join("image.tar").display().to_string();
    daemon.docker(&["image", "save", "--output", &archive, image]);
    daemon.docker(&["image", "rm", image]);
    let mut paths = vec![programs];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let load = format!("eval \"$(cargo xtask env)\" && docker load <'{archive}'");
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", &load]).current_dir(project.folder()).env("SHELL", "/bin/sh");
    let run = shell.env("PATH", std::env::join_paths(paths).expect("no colons")).output().expect("sh is there");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let loaded = daemon.docker(&["image", "ls", "--quiet", image]);
    assert_ne!(loaded, "", "it is not in the node's daemon");
    daemon.docker(&["image", "rm", image]);
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
    // What Go downloads it writes so that nobody writes there again.
    let modules = home.join(".cache/xtask/dayzero/caches/go-mod/module@v1");
    let others = [home.join(".cache/other"), home.join(".local/state/other"), checkout.join("helm/todo-chatbot")];
    let values = checkout.join("helm/todo-chatbot/values-local.yaml");
    for path in ours.iter().chain(&others).chain([&programs]) {
        fs::create_dir_all(path.join("inside")).expect("it can be made");
    }
    fs::write(&values, "").expect("it can be written");
    fs::create_dir_all(modules.join("inside")).expect("it can be made");
    for (name, does) in [("id", format!("echo {user}")), ("sudo", format!("echo \"$*\" >>{}/sudo", home.display()))] {
        let program = programs.join(name);
        fs::write(&program, format!("#!/bin/sh\n{does}\n")).expect("it can be written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let path = std::env::join_paths([programs, "/usr/bin".into(), "/bin".into()]).expect("they have no colons");
    // Whoever runs these tests may be root, for whom nothing is write-protected.
    let root = rustix::process::geteuid().is_root();
    let nobody = "65534:65534";
    if root {
        let given = Command::new("chown").args(["-R", nobody]).arg(folder.path()).arg(&ours[3]).status();
        assert!(given.expect("chown is there").success());
    }
    fs::set_permissions(&modules, fs::Permissions::from_mode(0o555)).expect("it is ours");
    for (command, _) in COMMANDS.iter().filter(|(_, how)| matches!(how, Sandbox)) {
        let mut shell = Command::new(if root { "setpriv" } else { "env" });
        if root {
            shell.args(["--reuid=65534", "--regid=65534", "--clear-groups", "env"]);
        }
        let variables = [("PATH", path.as_os_str()), ("HOME", home.as_os_str()), ("USER", OsStr::new("somebody"))];
        shell.arg("-i").args(variables.map(|(name, value)| [OsStr::new(name), value].join(OsStr::new("="))));
        let run = shell.args(["sh", "-c", command]).current_dir(&checkout).output().expect("sh is there");
        assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
    }
    let left: Vec<_> = ours.iter().chain([&values]).filter(|path| path.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(others.iter().all(|path| path.join("inside").exists()), "they were none of ours");
    assert_eq!(
        fs::read_to_string(home.join("sudo")).expect("it was called"),
        "usermod -aG docker somebody\napt-get remove docker.io\n"
    );
}

#[test]
fn blocks_are_read_as_people_read_them() {
    let text = "text\n```console\n$ cargo xtask deploy\n  Fresh\n```\n```toml\nx = 1\n```\n```sh\n# fill it in, then\na b  # why\n\nc#d\n```\n";
    assert_eq!(typed(text), ["cargo xtask deploy", "a b", "c#d"]);
    let text = "`cargo xtask deploy` and `docker`, ``a `b` c``, `rm\n-rf x`\n```sh\ngit gone\n```\n`cargo xtask logs …`, `other it`";
    assert_eq!(named(text), ["cargo xtask deploy", "rm -rf x", "cargo xtask logs …"]);
    assert_eq!(spans("``a `b` c`` d `e`"), ["a `b` c", "e"]);
    assert!(has_placeholder("logs …") && has_placeholder("forward SERVICE:PORT") && !has_placeholder("rm $USER"));
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
