//! The secrets of a project's `values-local.yaml`, which a test changes as people do, and leaves as they were.

use std::fs;
use std::path::PathBuf;

use crate::project::Project;

/// They are as they were when this goes.
pub struct LocalSecrets {
    path: PathBuf,
    before: String,
}

impl LocalSecrets {
    pub fn of(project: &Project) -> Self {
        let path = project.path("helm/todo-chatbot/values-local.yaml");
        let before = fs::read_to_string(&path).expect("a deployment has made it");
        Self { path, before }
    }

    /// Gives one a value; what it was.
    #[track_caller]
    pub fn set(&self, name: &str, value: &str) -> String {
        let text = fs::read_to_string(&self.path).expect("it is there");
        let start = format!("  {name}: ");
        let line = text.lines().find(|line| line.starts_with(&start)).expect("the secret is in the file");
        fs::write(&self.path, text.replace(line, &format!("{start}\"{value}\""))).expect("it can be written");
        line[start.len()..].trim_matches('"').to_owned()
    }
}

impl Drop for LocalSecrets {
    fn drop(&mut self) {
        fs::write(&self.path, &self.before).expect("it can be written");
    }
}
