//! Generated values whose file is lost: they are in the cluster, and where they are not, data is locked up.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::project::Project;
use crate::ran::Ran;

const NAMESPACE: &str = "proof-secrets";

/// For a template of a chart.
pub const VOLUME: &str = "
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data, annotations: { helm.sh/resource-policy: keep } }
spec:
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: 1Mi } }
";

/// For the graph file.
const METRICS: &str = r#"
[secrets.metrics]
from     = "metrics.yaml"
object   = "metrics-secrets"
generate = { TOKEN = "hex:16" }

[release.metrics]
chart     = "metrics"
namespace = "proof-secrets"
secrets   = ["metrics"]
"#;

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
fn they_are_found_again_and_where_they_cannot_be_none_are_made_up_for_kept_data() {
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

    // Both: nobody has them any more, and the volume is still there. None are made up for what they would not open.
    fs::remove_file(project.path("secrets.yaml")).unwrap();
    project.cluster.kubectl(&["delete", "secret", "small-secrets"]);
    let said = project.run_human(&["deploy"]).expect_code(2).stderr;
    for words in [
        "secrets:small has lost the values that kept data was made with",
        "namespace proof-secrets has data from before, in data",
        "secrets.yaml:1 leaves TOKEN empty, and the cluster has none",
        "write the old ones into secrets.yaml",
        "cargo xtask teardown --data",
        "if it does not depend on TOKEN, write any value",
    ] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    assert_eq!(fs::read_to_string(project.path("secrets.yaml")).unwrap(), "TOKEN: \"\"\n", "made to be filled in");

    // As it says.
    project.write("secrets.yaml", &file);
    project.run(&["deploy"]).expect_success();
    assert_eq!(token(&project), first);

    // New ones, for another release beside the data: that was made without them.
    let graph = fs::read_to_string(project.path("xtask.toml")).unwrap();
    project.write("xtask.toml", &format!("{graph}{METRICS}"));
    project.write("metrics.yaml.example", "TOKEN: \"\"\n");
    project.write("metrics/Chart.yaml", "apiVersion: v2\nname: metrics\nversion: 1.0.0\n");
    project.write("metrics/templates/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: metrics }\n");
    let ran = project.run(&["deploy"]).expect_success();
    let said = warnings(&ran);
    let made_up = "made up TOKEN anew, but namespace proof-secrets has data from before, in data";
    assert!(said.len() == 1 && said[0].contains(made_up), "{said:?}");
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
