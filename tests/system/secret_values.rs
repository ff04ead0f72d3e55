//! Secrets for charts that insist on values: helm gets them on its standard input, and nobody else gets them at all.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::application::secret::files_with;
use crate::lost_secrets::VOLUME;
use crate::project::Project;

const NAMESPACE: &str = "proof-values";

const SECRET: &str = "
---
apiVersion: v1
kind: Secret
metadata: { name: small-secrets }
stringData: { TOKEN: {{ .Values.auth.token | quote }} }
";

/// The small project with a chart that makes its Secret itself, of values that are `filled` by the graph file's words.
fn small(filled: &str) -> Project {
    let project = Project::fixture("small", NAMESPACE);
    project.edit("xtask.toml", "luck-small", NAMESPACE);
    project.edit("xtask.toml", "luck-test", NAMESPACE);
    project.edit("xtask.toml", "object  = \"small-secrets\"", "as      = \"values\"\nkey     = \"auth\"");
    project.edit("xtask.toml", "require = [\"TOKEN\"]", filled);
    let template = fs::read_to_string(project.path("chart/templates/app.yaml")).unwrap();
    project.write("chart/templates/app.yaml", &format!("{template}{SECRET}"));
    project
}

#[test]
fn generated_ones_are_found_in_helms_record_and_none_are_made_up_for_data_of_a_release_that_went() {
    let project = small("generate = { token = \"hex:16\" }");
    project.write("secrets.yaml.example", "auth:\n  token: \"\"\n");
    let template = fs::read_to_string(project.path("chart/templates/app.yaml")).unwrap();
    project.write("chart/templates/app.yaml", &format!("{template}{VOLUME}"));
    // Whatever a test that failed has left.
    project.run(&["teardown", "--data"]).expect_success();
    project.run(&["deploy"]).expect_success();
    let token = || project.cluster.get(&["secret", "small-secrets"])["data"]["TOKEN"].clone();
    let (first, file) = (token(), fs::read_to_string(project.path("secrets.yaml")).unwrap());

    // Another machine.
    let lose = || {
        fs::remove_file(project.path("secrets.yaml")).unwrap();
        fs::remove_dir_all(project.path(".xtask")).unwrap();
    };
    lose();
    let said = project.run_human(&["deploy"]).expect_success();
    let found = "token is the one that the cluster's data was made with, in helm's record of small";
    assert!(format!("{}{}", said.stdout, said.stderr).contains(found), "{}{}", said.stdout, said.stderr);
    assert_eq!((token(), fs::read_to_string(project.path("secrets.yaml")).unwrap()), (first.clone(), file.clone()));

    // The record goes with the release; the Secret that the chart has made of it stays with the volume.
    let said = project.run_human(&["teardown"]).expect_success().stdout;
    let kept = "Keeping Secret small-secrets in namespace proof-values (it may belong to data; --data removes it)";
    assert!(said.contains(kept), "{said}");
    lose();
    let said = project.run_human(&["deploy"]).expect_code(2).stderr;
    for words in ["secrets:small has lost the values that kept data was made with", "a Secret that the chart has made"]
    {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    assert_eq!(token(), first);
    project.write("secrets.yaml", &file);
    project.run(&["deploy"]).expect_success();
    assert_eq!(token(), first);
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn helm_gets_them_on_its_standard_input_and_its_history_is_told_of_once() {
    let canary = &format!("canary-values-{}", std::process::id());
    let project = small("require = [\"token\"]");
    project.write("secrets.yaml", &format!("auth:\n  token: \"{canary}\"\n"));
    // NOTES are shown by helm, and here with all that the chart was given.
    project.write("chart/templates/NOTES.txt", "The token is {{ .Values.auth.token }}.\n");
    project.run(&["teardown", "--data"]).expect_success();

    let (ran, programs) = project.run_traced(&["deploy", "--verbose"]);
    let ran = ran.expect_success();
    let told = "helm gets secret values and keeps them in its history, in namespace proof-values";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    assert!(ran.stdout.contains("The token is "), "the notes are shown: {}", ran.stdout);
    let data = project.cluster.get(&["secret", "small-secrets"])["data"]["TOKEN"].clone();
    assert_eq!(data, STANDARD.encode(canary), "the chart has got it");

    for form in [canary.clone(), STANDARD.encode(canary)] {
        for (place, text) in [
            ("the output", &format!("{}{}", ran.stdout, ran.stderr)),
            ("a program's arguments or environment", &programs),
        ] {
            assert!(!text.contains(&form), "{place} has it: {form}");
        }
        assert_eq!(files_with(&project.path(".xtask"), &form), Vec::<String>::new());
    }
    let explained = project.run_human(&["explain", "release:small"]).expect_success().stdout;
    assert!(explained.contains("auth.token") && !explained.contains(canary.as_str()), "{explained}");
    project.run(&["deploy"]).expect_all_fresh();

    // A changed one upgrades, is named by its path, and the history is not told of again.
    project.write("secrets.yaml", &format!("auth:\n  token: \"{canary}-2\"\n"));
    let ran = project.run(&["deploy"]).expect_success().expect_reason("release:small", "auth.token");
    assert!(!ran.stdout.contains(told) && !ran.stdout.contains(canary.as_str()), "{}", ran.stdout);
    let data = project.cluster.get(&["secret", "small-secrets"])["data"]["TOKEN"].clone();
    assert_eq!(data, STANDARD.encode(format!("{canary}-2")));
    project.run(&["teardown", "--data"]).expect_success();
}
