//! The node's docker daemon, reached as a person reaches it: with what `cargo xtask env` prints.

use std::process::Command;

use serde_json::Value;

use crate::project::Project;

/// docker with the variables of `env`.
pub struct Daemon(Vec<(String, String)>);

impl Daemon {
    pub fn of(project: &Project) -> Self {
        let ran = project.run(&["env"]).expect_success();
        let changes: Value = serde_json::from_str(&ran.stdout).expect("`env` prints JSON");
        let set = changes["set"].as_object().expect("variables to set");
        Self(set.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect())
    }

    /// `docker` with `arguments`; what it prints.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = Command::new("docker").args(arguments).envs(self.0.iter().cloned()).output();
        let output = output.expect("docker is there");
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// All that an image consists of, its layers uncompressed, as one text.
    #[track_caller]
    pub fn saved(&self, image: &str) -> String {
        self.docker(&["image", "save", image])
    }

    /// The reference of the image that a component's Deployment wants, and the image's ID.
    #[track_caller]
    pub fn image(&self, project: &Project, component: &str) -> (String, String) {
        self.image_of(project, &format!("todo-{component}"))
    }

    /// The same for any Deployment.
    #[track_caller]
    pub fn image_of(&self, project: &Project, deployment: &str) -> (String, String) {
        let deployment = project.cluster.get(&["deployment", deployment]);
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        let reference = image.as_str().expect("a container has an image").to_owned();
        let id = self.docker(&["image", "inspect", "--format", "{{.Id}}", &reference]);
        (reference, id)
    }
}
