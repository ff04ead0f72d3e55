//! A change of everything at once that the application's answers show: a file of the backend, a values key, a secret.

use std::fs;

use serde_json::Value;

use crate::forward::Forward;
use crate::project::Project;

const SECRETS: &str = "helm/todo-chatbot/values-local.yaml";

/// The steps that a marker makes stale, in the order of their names.
pub const STALE: [&str; 5] = ["check:backend", "check:frontend", "image:backend", "release:todo", "secrets:todo"];

/// What the application has to answer once it is deployed.
pub struct Marker {
    version: String,
    environment: String,
    key: String,
}

impl Marker {
    /// `word` tells this marker from others.
    pub fn new(word: &str) -> Self {
        // What an earlier run of the same test left in the cluster would not be stale.
        let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is right").as_nanos();
        let of = |what: &str| format!("{what}-{word}-{now}");
        Self { version: of("version"), environment: of("values"), key: of("key") }
    }

    /// Puts it into a checkout.
    pub fn write_into(&self, project: &Project) {
        project.write("backend/app/__init__.py", &format!("\"\"\"The API.\"\"\"\n\nVERSION = \"{}\"\n", self.version));
        let values = format!("ENVIRONMENT = \"{}\"", self.environment);
        let is_it = |line: &str| line.starts_with("ENVIRONMENT = ");
        if !fs::read_to_string(project.path("xtask.toml")).expect("the graph file is there").lines().any(is_it) {
            let table = "[release.todo.set.frontend]";
            project.edit("xtask.toml", table, &format!("[release.todo.set.config]\nENVIRONMENT = \"\"\n\n{table}"));
        }
        project.replace_line("xtask.toml", is_it, &values);
        let key = format!("  MCP_API_KEY: {}", self.key);
        project.replace_line(SECRETS, |line| line.trim_start().starts_with("MCP_API_KEY:"), &key);
    }

    /// The application answers with all three of them.
    #[track_caller]
    pub fn expect_answered(&self, project: &Project) {
        let backend = Forward::to(&project.cluster, "backend", 8000);
        let (status, health) = backend.get("/api/health", None);
        assert_eq!(status, 200, "{health}");
        let health: Value = serde_json::from_str(&health).expect("the backend answers with JSON");
        assert_eq!(health["version"], self.version.as_str(), "the file: {health}");
        assert_eq!(health["environment"], self.environment.as_str(), "the values key: {health}");
        assert_eq!(backend.get("/api/tasks", Some(&self.key)).0, 200, "the secret opens");
        assert_eq!(backend.get("/api/tasks", Some("another key")).0, 401, "and nothing else does");
    }
}

impl Project {
    fn replace_line(&self, path: &str, is_it: impl Fn(&str) -> bool, new: &str) {
        let text = fs::read_to_string(self.path(path)).expect("the file is there");
        assert!(text.lines().any(&is_it), "{path} has no such line");
        let lines = text.lines().map(|line| if is_it(line) { new } else { line });
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        fs::write(self.path(path), text).expect("the file can be written");
    }
}
