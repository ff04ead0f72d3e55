//! Graph files as data: those in `tests/valid` load, those in `tests/broken` say exactly what `expected.txt` says.
//!
//! All are read as if they were `tests/workspace/xtask.toml`, so that the folders and charts that they name are there.

#![expect(clippy::unwrap_used, reason = "what the tests read is theirs; a surprise there ends them")]

use std::fs;
use std::path::{Path, PathBuf};

use engine::{config, graph};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use proptest::sample::{Index, select};
use serde_json::json;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The entries of a folder by name.
fn entries(name: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What is wrong with a graph file, as people see it, the workspace's place taken out.
fn complaints(text: &str) -> String {
    let origin = folder("workspace").join("xtask.toml");
    match graph::parse(text, &origin) {
        Ok(_) => String::new(),
        Err(problems) => {
            let folder = format!("{}/", folder("workspace").display());
            config::render_all(&problems, false).replace(&folder, "")
        }
    }
}

#[test]
fn valid_files_load() {
    for path in entries("valid") {
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(complaints(&text), "", "{}", path.display());
    }
}

#[test]
fn what_a_file_leaves_out_has_its_default() {
    let check = |name: &str, pointer: &str, expected: serde_json::Value| {
        let text = fs::read_to_string(folder("valid").join(name).with_extension("toml")).unwrap();
        let file = config::parse(&text, &folder("workspace").join("xtask.toml")).unwrap();
        let file = serde_json::to_value(&file).unwrap();
        assert_eq!(file.pointer(pointer).cloned().unwrap_or_default(), expected, "{name} {pointer}");
    };
    check("todo-chatbot", "/project", json!("todo-chatbot"));
    check("todo-chatbot", "/cluster/memory", json!("4GiB"));
    check("todo-chatbot", "/cluster/ports", json!(["127.0.0.1:30080:30080"]));
    check("todo-chatbot", "/image/backend/dockerfile", json!("backend/Dockerfile"));
    check("todo-chatbot", "/image/backend/repository", json!("todo-chatbot/backend"));
    check("todo-chatbot", "/image/backend/daemon", json!("cluster"));
    check("todo-chatbot", "/secrets/todo/example", json!("helm/todo-chatbot/values-local.yaml.example"));
    check("todo-chatbot", "/secrets/todo/as", json!("object"));
    check("todo-chatbot", "/release/todo/name", json!("todo"));
    check("todo-chatbot", "/release/todo/timeout/secs", json!(300));
    check("todo-chatbot", "/check/backend/release", json!("todo"));
    check("todo-chatbot", "/check/backend/namespace", json!("todo"));
    check("todo-chatbot", "/check/backend/status", json!(200));
    check("todo-chatbot", "/check/backend/fresh-for/secs", json!(600));
    check("todo-chatbot", "/check/backend/timeout/secs", json!(60));
    check("todo-chatbot", "/command/openapi/inputs", json!(["backend/app/**/*.py"]));
    check("todo-chatbot", "/command/openapi/outputs", json!(["backend/openapi.json"]));
    check("todo-chatbot", "/command/openapi/needs-cluster", json!(false));
    check("cluster-defaults", "/cluster/driver", json!("minikube"));
    check("cluster-defaults", "/cluster/profile", json!("todo-chatbot"));
    check("cluster-defaults", "/cluster/kubernetes", json!("1.34.4"));
    check("cluster-defaults", "/cluster/ports", json!(["127.0.0.1:8080:30080", "[::1]:8081:30081"]));
    check("cluster-context", "/image/backend/context", json!("backend"));
    check("no-cluster", "/project", json!("local"));
    check("no-cluster", "/image/tools/build-secrets/npmrc", json!({ "file": "~/.npmrc" }));
    check("no-cluster", "/command/lint/inputs", json!(["backend/app/**/*.py", "frontend/*.ts"]));
    check("releases", "/secrets/postgres/object", json!("postgres"));
    check("releases", "/check/database/release", json!("postgres"));
    check("releases", "/command/worker/needs-cluster", json!(true));
    check("releases", "/release/todo/set/env/JOB_IMAGE", json!("${image.backend.ref}"));
    let paths = |paths: serde_json::Value| json!({ "image": "backend", "paths": paths });
    check(
        "releases",
        "/release/todo/images/backend.image",
        paths(json!({ "repository-tag": { "repository": "backend.image.repository", "tag": "backend.image.tag" } })),
    );
    check(
        "releases",
        "/release/todo/images/worker.image",
        paths(json!({ "registry-name-tag": {
            "registry": "worker.image.registry", "name": "worker.image.name", "tag": "worker.image.tag"
        } })),
    );
    check("releases", "/release/todo/images/job.image", paths(json!({ "reference": { "reference": "job.image" } })));
    check("manifests", "/check/motd/release", json!(null));
    check("manifests", "/check/motd/namespace", json!("todo"));
    check("manifests", "/manifests/motd/prune", json!(false));
}

#[test]
fn what_help_says_to_add_makes_the_file_right() {
    let check = |above: &str, table: &str| {
        let text = format!("{above}{table}\n");
        let origin = folder("workspace").join("xtask.toml");
        let problems = graph::parse(&text, &origin).err().unwrap();
        let lines = problems.iter().flat_map(|problem| problem.helps()).map(|help| help.strip_prefix("add ").unwrap());
        let repaired = lines.fold(text, |text, line| format!("{text}{line}\n"));
        assert_eq!(complaints(&repaired), "", "{repaired}");
    };
    let cluster = "[cluster]\nprofile = \"todo-chatbot\"\n";
    let release = format!("{cluster}[release.todo]\nchart = \"helm/todo-chatbot\"\nnamespace = \"todo\"\n");
    check("", "[cluster]");
    check("project = \"todo\"\n", "[cluster]\ndriver = \"context\"");
    for table in ["[image.a]", "[secrets.a]", "[release.a]", "[manifests.a]", "[command.a]"] {
        check(cluster, table);
    }
    check(&release, "[check.a]");
}

#[test]
fn broken_files_are_explained_word_by_word() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    for folder in entries("broken") {
        let text = fs::read_to_string(folder.join("xtask.toml")).unwrap();
        let actual = complaints(&text);
        let path = folder.join("expected.txt");
        if update {
            fs::write(&path, &actual).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if actual != expected || actual.is_empty() {
            wrong.push(format!("{}\n--- expected\n{expected}\n--- actual\n{actual}", folder.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} of the broken graph files are explained otherwise than expected.\n\
         If the new words are better: UPDATE_EXPECTED=1 cargo test -p engine --test graph_file, and read the diff.",
        wrong.join("\n\n"),
        wrong.len(),
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let shown = |path: &Path| {
        let problems = graph::load(path).err().unwrap_or_default();
        config::render_all(&problems, false).replace(&format!("{}/", folder.path().display()), "")
    };
    let missing = folder.path().join("xtask.toml");
    assert_eq!(
        shown(&missing),
        "error: there is no graph file xtask.toml\n\
         help: run this in the folder that has one, or name it with --graph-file PATH/xtask.toml\n\n"
    );
    let nested = folder.path().join("sub");
    fs::create_dir(&nested).unwrap();
    assert_eq!(
        shown(&nested),
        "error: sub is a folder, not a graph file\nhelp: name the file in it: sub/xtask.toml\n\n"
    );
    let latin = folder.path().join("latin.toml");
    fs::write(&latin, b"[cluster]\nprofile = \"t\xf6do\"\n").unwrap();
    assert_eq!(
        shown(&latin),
        "error: latin.toml is not UTF-8: line 2 has a byte that no text has\nhelp: save it as UTF-8\n\n"
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_named_with_the_next_step() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("xtask.toml");
    fs::write(&path, "[cluster]\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything, so for root there is nothing to see here.
    if fs::read(&path).is_ok() {
        return;
    }
    let problems = graph::load(&path).err().unwrap();
    assert!(problems[0].message().contains("may not be read"), "{problems:?}");
    assert!(problems[0].helps()[0].starts_with("give this user access"), "{problems:?}");
}

#[test]
fn a_colour_rendering_says_the_same_as_a_plain_one() {
    let problems = config::parse("[cluster]\nprofil = \"a\"\n", Path::new("xtask.toml")).err().unwrap();
    let coloured = config::render_all(&problems, true);
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    let mut plain = String::new();
    for (place, part) in coloured.split('\u{1b}').enumerate() {
        plain.push_str(if place == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(plain, config::render_all(&problems, false));
}

/// All fixtures, right and wrong.
fn texts() -> Vec<String> {
    let broken = entries("broken").into_iter().map(|folder| folder.join("xtask.toml"));
    entries("valid").into_iter().chain(broken).map(|path| fs::read_to_string(path).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever somebody types, every complaint has a place in the file and can be shown.
    #[test]
    fn no_text_is_too_strange_to_be_explained(
        text in select(texts()), at in any::<Index>(), cut in 0_usize..12, typed in "[a-z=\\[\\]{}\"'.,:$#ä\\\\ \n0-9]{0,6}",
    ) {
        let start = text.floor_char_boundary(at.index(text.len() + 1));
        let end = text.ceil_char_boundary(start + cut);
        let text = format!("{}{typed}{}", &text[..start], &text[end..]);
        if let Err(problems) = graph::parse(&text, &folder("workspace").join("xtask.toml")) {
            prop_assert!(!config::render_all(&problems, false).is_empty());
            let lines = text.lines().count() + 1;
            for problem in problems {
                let (line, column) = problem.position().unwrap_or((1, 1));
                prop_assert!((1..=lines).contains(&line) && column >= 1, "{problem}");
            }
        }
    }
}
