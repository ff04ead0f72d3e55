//! Generated values whose file is lost: they are in the cluster, and where they are not, data may be locked up.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::project::Project;
use crate::ran::Ran;

const NAMESPACE: &str = "proof-secrets";

const VOLUME: &str = "
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data, annotations: { helm.sh/resource-policy: keep } }
spec:
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: 1Mi } }
";

/// The small project with a generated secret and a volume.
fn small() -> Project {
    let project = Project::fixture("small", NAMESPACE);
    project.edit("xtask.toml", "luck-small", NAMESPACE);
    project.edit("xtask.toml", "luck-test", NAMESPACE);
    project.edit("xtask.toml", "require = [\"TOKEN\"]", "generate = { TOKEN = \"hex:16\" }");
    project.write("secrets.yaml.example", "TOKEN: \"\"\n");
    let template = fs::read_to_string(project.path("chart/templates/app.yaml")).unwrap();
    project.write("chart/templates/app.yaml", &format!("{template}{VOLUME}"));
    project
}

fn token(project: &Project) -> Value {
    project.cluster.get(&["secret", "small-secrets"])["data"]["TOKEN"].clone()
}

fn warnings(ran: &Ran) -> Vec<&str> {
    let notes = ran.events.iter().filter(|event| event["event"] == "note" && event["level"] == "warning");
    notes.filter_map(|note| note["text"].as_str()).collect()
}

#[test]
fn they_are_found_again_and_where_they_cannot_be_whoever_may_need_them_is_warned() {
    let project = small();
    assert_eq!(warnings(&project.run(&["deploy"]).expect_success()), Vec::<&str>::new());
    let (first, file) = (token(&project), fs::read_to_string(project.path("secrets.yaml")).unwrap());

    // The file alone: the Secret has them, and no pod notices.
    let pods = project.cluster.get(&["pods"])["items"][0]["metadata"]["uid"].clone();
    fs::remove_file(project.path("secrets.yaml")).unwrap();
    assert_eq!(warnings(&project.run(&["deploy"]).expect_success()), Vec::<&str>::new());
    assert_eq!(fs::read_to_string(project.path("secrets.yaml")).unwrap(), file);
    assert_eq!(project.cluster.get(&["pods"])["items"][0]["metadata"]["uid"], pods);
    project.run(&["deploy"]).expect_all_fresh();

    // The file after a teardown that kept the data: the Secret was kept for it.
    project.run(&["teardown"]).expect_success();
    fs::remove_file(project.path("secrets.yaml")).unwrap();
    fs::remove_dir_all(project.path(".xtask")).unwrap();
    assert_eq!(warnings(&project.run(&["deploy"]).expect_success()), Vec::<&str>::new());
    assert_eq!(token(&project), first);

    // Both: nobody has them any more, and the volume is still there.
    fs::remove_file(project.path("secrets.yaml")).unwrap();
    project.cluster.kubectl(&["delete", "secret", "small-secrets"]);
    let ran = project.run(&["deploy"]).expect_success();
    let said = "made up TOKEN anew, but namespace proof-secrets has data from before, in data, which may open only with \
                the old; who still has that writes it into secrets.yaml and deploys again";
    assert_eq!(warnings(&ran), [said]);
    assert_ne!(token(&project), first);

    // As it says.
    project.write("secrets.yaml", &file);
    project.run(&["deploy"]).expect_success();
    assert_eq!(token(&project), first);
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_file_that_git_would_take_along_is_warned_of() {
    let project = small();
    let git = |arguments: &[&str]| {
        let ran = Command::new("git").args(arguments).current_dir(project.folder()).output().expect("git is there");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    git(&["init", "--quiet"]);
    let ran = project.run(&["deploy", "secrets:small"]).expect_success();
    let said = "git does not ignore secrets.yaml, which holds secrets: add the line /secrets.yaml to .gitignore";
    assert_eq!(warnings(&ran), [said]);
    let seen = git(&["status", "--short", "--untracked-files=all"]);
    assert!(seen.contains("?? secrets.yaml\n") && !seen.contains(".xtask"), "{seen}");

    // As it says.
    fs::remove_file(project.path("secrets.yaml")).unwrap();
    project.write(".gitignore", "/secrets.yaml\n");
    assert_eq!(warnings(&project.run(&["deploy", "secrets:small"]).expect_success()), Vec::<&str>::new());
    assert!(!git(&["status", "--short", "--untracked-files=all"]).contains("secrets.yaml\n"));
    project.run(&["teardown", "--data"]).expect_success();
}
