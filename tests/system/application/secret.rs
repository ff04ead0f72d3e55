//! A changed secret rolls the pods that read it, and its bytes are found nowhere.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::daemon::Daemon;
use crate::project::Project;

#[test]
fn a_changed_secret_rolls_only_its_readers_and_is_found_nowhere() {
    let project = Project::deployed();
    let (frontend, backend, postgres) =
        (project.cluster.pods("frontend"), project.cluster.pods("backend"), project.cluster.pods("postgres"));
    let path = "helm/todo-chatbot/values-local.yaml";
    let text = fs::read_to_string(project.path(path)).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("MCP_API_KEY:")).unwrap();
    // Another one than a run before has left there.
    let secret = &format!("canary-4f1c0e9a7b35-{}", std::process::id());
    fs::write(project.path(path), text.replace(line, &format!("  MCP_API_KEY: {secret}"))).unwrap();
    let (ran, programs) = project.run_traced(&["deploy", "--verbose"]);
    let ran = ran.expect_success();
    let printed = format!("{}{}", ran.stdout, ran.stderr);
    ran.expect_reason("secrets:todo", "MCP_API_KEY").expect_reason("release:todo", "secrets:todo");
    assert_eq!(project.cluster.pods("frontend"), frontend, "the frontend does not read it");
    assert_ne!(project.cluster.pods("backend"), backend, "the backend reads it");
    assert_eq!(project.cluster.pods("postgres"), postgres, "the database does not");

    let daemon = Daemon::of(&project);
    let image = |component: &str| {
        let (_, id) = daemon.image(&project, component);
        let about =
            daemon.docker(&["image", "history", "--no-trunc", &id]) + &daemon.docker(&["image", "inspect", &id]);
        about + &daemon.saved(&id)
    };
    let said = project.run_human(&["logs", "--since", "10m"]).expect_success();
    let places = [
        ("the output", printed),
        ("the pods' logs", said.stdout),
        ("a program's arguments or environment", programs),
        ("the events", project.cluster.kubectl(&["get", "events", "--output", "json"])),
        ("a pod's template", project.cluster.kubectl(&["get", "deployments,statefulsets", "--output", "json"])),
        ("the backend's image", image("backend")),
        ("the frontend's image", image("frontend")),
    ];
    // What the checkouts of one person share lies here.
    let shared = PathBuf::from(format!("/tmp/xtask-{}", rustix::process::getuid().as_raw()));
    assert!(shared.is_dir(), "{}", shared.display());
    let forms = [secret.clone(), STANDARD.encode(secret), STANDARD.encode(secret).trim_end_matches('=').to_owned()];
    for form in &forms {
        for (place, text) in &places {
            assert!(!text.contains(form.as_str()), "{place} has it, as {form}");
        }
        assert_eq!(files_with(&project.path(".xtask"), form), Vec::<String>::new());
        assert_eq!(files_with(&shared, form), Vec::<String>::new());
    }
    let records = project.cluster.get(&["secrets", "--selector", "owner=helm"]);
    for record in records["items"].as_array().unwrap() {
        let name = record["metadata"]["labels"]["version"].as_str().unwrap();
        let all = project.cluster.helm(&["get", "all", "todo", "--revision", name]);
        assert!(forms.iter().all(|form| !all.contains(form.as_str())), "revision {name} of helm's history has it");
    }
    project.run(&["deploy"]).expect_all_fresh();
}

/// The files below `folder` that contain `text`.
pub fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path.display().to_string());
        }
    }
    found
}
