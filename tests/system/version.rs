//! This repository's application in a loop: which version its backend says it has.

use serde_json::Value;

use crate::dev::Loop;
use crate::forward::get;
use crate::project::Project;

/// The version that the backend says it has.
#[track_caller]
pub fn version(development: &Loop<'_>) -> String {
    let (status, body) = get(development.port("todo-backend"), "/api/health", None);
    let health: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status}: {body}"));
    health["version"].as_str().expect("a version").to_owned()
}

/// Gives the backend of `project` another one.
pub fn set_version(project: &Project, word: &str) {
    project.write("backend/app/__init__.py", &format!("\"\"\"The API.\"\"\"\n\nVERSION = \"{word}\"\n"));
}
