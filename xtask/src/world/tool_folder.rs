//! The folder of this user's in which the tool keeps what it has fetched or built for a machine that lacked it.
//!
//! It lies in the user's cache, outside of every checkout, so all of them share it. Each program is in a folder that
//! names its version: another version of this tool finds its own beside it. These folders are behind everything else
//! on the `PATH` of our children, and on nobody else's.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The recipes state versions, so that there is one place to raise them.
const RECIPES: [&str; 3] = [
    include_str!("../../../dayzero/tools/minikube"),
    include_str!("../../../dayzero/tools/helm"),
    include_str!("../../../dayzero/tools/kubernetes"),
];

/// The version that a recipe states as `NAME=…`: `MINIKUBE` is `1.38.1`.
pub fn version(name: &str) -> &'static str {
    let lines = RECIPES.iter().flat_map(|recipe| recipe.lines());
    lines.filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

/// `$XDG_CACHE_HOME/xtask/dayzero`, or `~/.cache/xtask/dayzero`.
pub fn root() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
    // By the rules of XDG a relative path does not count.
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    cache.unwrap_or_else(home).join("xtask/dayzero")
}

/// Where programs are, whether they have been made or not.
fn folders() -> &'static [PathBuf] {
    static FOLDERS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FOLDERS.get_or_init(|| {
        let named = [("minikube", "MINIKUBE"), ("helm", "HELM"), ("kubectl", "KUBERNETES")];
        let out = root().join("out");
        named.iter().map(|(program, key)| out.join(format!("{program}-{}", version(key)))).collect()
    })
}

/// Where `program` is or would be.
pub fn places(program: &Path) -> impl Iterator<Item = PathBuf> {
    folders().iter().map(move |folder| folder.join(program))
}

/// `path` with our folders behind it, where there are any.
pub fn behind(path: Option<OsString>) -> Option<OsString> {
    let ours: Vec<&PathBuf> = folders().iter().filter(|folder| folder.is_dir()).collect();
    if ours.is_empty() {
        return None;
    }
    let path = path.unwrap_or_default();
    env::join_paths(env::split_paths(&path).chain(ours.into_iter().cloned())).ok()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_graph_file_keeps_programs_where_they_are_looked_for() {
        let graph = include_str!("../../../dayzero/xtask.toml");
        for (program, key) in [("minikube", "MINIKUBE"), ("helm", "HELM"), ("kubectl", "KUBERNETES")] {
            let output = format!("\"out/{program}-{}/{program}\"", version(key));
            assert!(graph.contains(&output), "no output {output} in dayzero/xtask.toml");
        }
    }
}
