//! What somebody changes in the cluster behind our back is noticed, named and put right.

use serde_json::Value;

use crate::project::Project;

/// One way to change the cluster, what the next deploy has to say of it, and how to see that it was put right.
#[track_caller]
fn noticed(change: impl Fn(&Project), step: &str, words: &str, mended: impl Fn(&Project) -> bool) {
    let project = Project::deployed();
    assert!(mended(&project), "the test looks at something that is in order at first");
    change(&project);
    project.run(&["deploy"]).expect_success().expect_reason(step, words);
    assert!(mended(&project), "it was put right");
    project.run(&["deploy"]).expect_all_fresh();
}

fn deployment(project: &Project, name: &str) -> Value {
    let list = project.cluster.get(&["deployments"]);
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.into_iter().find(|item| item["metadata"]["name"] == name).unwrap_or_default()
}

#[test]
fn a_deleted_deployment() {
    noticed(
        |project| {
            project.cluster.kubectl(&["delete", "deployment", "todo-backend"]);
        },
        "release:todo",
        "todo-backend",
        |project| deployment(project, "todo-backend")["status"]["readyReplicas"] == 1,
    );
}

#[test]
fn a_deployment_scaled_by_hand() {
    noticed(
        |project| {
            project.cluster.kubectl(&["scale", "deployment", "todo-frontend", "--replicas", "2"]);
        },
        "release:todo",
        "replicas",
        |project| deployment(project, "todo-frontend")["spec"]["replicas"] == 1,
    );
}

#[test]
fn an_environment_variable_added_by_hand() {
    noticed(
        |project| {
            project.cluster.kubectl(&["set", "env", "deployment/todo-backend", "BY_HAND=1"]);
        },
        "release:todo",
        "BY_HAND",
        |project| !deployment(project, "todo-backend").to_string().contains("BY_HAND"),
    );
}

#[test]
fn a_port_added_to_a_service_by_hand() {
    let patch = r#"[{"op": "add", "path": "/spec/ports/-", "value": {"name": "by-hand", "port": 9999}}]"#;
    noticed(
        |project| {
            project.cluster.kubectl(&["patch", "service", "todo-backend", "--type", "json", "--patch", patch]);
        },
        "release:todo",
        "ports",
        |project| !project.cluster.get(&["service", "todo-backend"]).to_string().contains("by-hand"),
    );
}

#[test]
fn a_rollback_by_hand() {
    let project = Project::deployed();
    project.write("backend/app/marker.py", "MARKER = 'rolled back'\n");
    project.run(&["deploy"]).expect_success();
    let image = |project: &Project| {
        deployment(project, "todo-backend")["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let wanted = image(&project);
    project.cluster.helm(&["rollback", "todo"]);
    assert_ne!(image(&project), wanted, "helm went back");
    project.run(&["deploy"]).expect_success().expect_reason("release:todo", "revision");
    assert_eq!(image(&project), wanted);
    std::fs::remove_file(project.path("backend/app/marker.py")).unwrap();
}

#[test]
fn an_uninstalled_release() {
    noticed(
        |project| {
            project.cluster.helm(&["uninstall", "todo"]);
        },
        "release:todo",
        "not installed",
        |project| deployment(project, "todo-backend")["status"]["readyReplicas"] == 1,
    );
}

#[test]
fn an_edited_secret() {
    noticed(
        |project| {
            let patch = r#"{"stringData": {"MCP_API_KEY": "edited by hand"}}"#;
            project.cluster.kubectl(&["patch", "secret", "todo-secrets", "--patch", patch]);
        },
        "secrets:todo",
        "MCP_API_KEY",
        |project| !project.cluster.get(&["secret", "todo-secrets"]).to_string().contains("ZWRpdGVkIGJ5IGhhbmQ="),
    );
}

#[test]
fn an_edited_secret_that_a_pod_has_already_read() {
    let project = Project::deployed();
    let patch = r#"{"stringData": {"MCP_API_KEY": "edited by hand"}}"#;
    project.cluster.kubectl(&["patch", "secret", "todo-secrets", "--patch", patch]);
    project.cluster.kubectl(&["delete", "pod", "--selector", "app.kubernetes.io/component=backend", "--wait=false"]);
    project.cluster.kubectl(&["rollout", "status", "deployment/todo-backend", "--timeout=120s"]);
    let wrong = project.cluster.pods("backend");
    project.run(&["deploy"]).expect_success().expect_reason("secrets:todo", "MCP_API_KEY");
    let right = project.cluster.pods("backend");
    assert!(right.values().all(|uid| !wrong.values().any(|other| other == uid)), "the pods read it anew");
    project.run(&["deploy"]).expect_all_fresh();
}

#[test]
fn a_release_that_a_killed_helm_left_pending() {
    noticed(
        |project| {
            // What helm leaves when it is killed: the newest record says that an upgrade is under way.
            let list = project.cluster.get(&["secrets", "--selector", "owner=helm,name=todo,status=deployed"]);
            let name = list["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
            project.cluster.kubectl(&["label", "secret", &name, "status=pending-upgrade", "--overwrite"]);
        },
        "release:todo",
        "pending-upgrade",
        |project| project.cluster.helm(&["status", "todo", "--output", "json"]).contains("\"deployed\""),
    );
}
