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
const RECIPES: [&str; 10] = [
    include_str!("../../../dayzero/tools/minikube"),
    include_str!("../../../dayzero/tools/helm"),
    include_str!("../../../dayzero/tools/kubernetes"),
    include_str!("../../../dayzero/tools/lib"),
    include_str!("../../../dayzero/tools/uv"),
    include_str!("../../../dayzero/tools/python"),
    include_str!("../../../dayzero/tools/pnpm"),
    include_str!("../../../dayzero/tools/cargo-deny"),
    include_str!("../../../dayzero/tools/kubectl"),
    include_str!("../../../dayzero/tools/helm3"),
];

/// The folders on our children's `PATH`: the name, the version behind it, and the programs' folder inside. Of two with
/// the same program the first is found. A kubectl that was got for tests is before that which is compiled with a node:
/// that may come later, and tests that ran with the one would be run again with the other.
const FOLDERS: [(&str, &str, &str); 9] = [
    ("minikube", "MINIKUBE", ""),
    ("helm", "HELM", ""),
    ("kubectl", "KUBECTL", ""),
    ("kubectl", "KUBERNETES", ""),
    ("uv", "UV", ""),
    ("python", "PYTHON", "bin"),
    ("nodejs", "NODEJS", "bin"),
    ("pnpm", "PNPM", "bin"),
    ("cargo-deny", "CARGO_DENY", ""),
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

/// The folder of what a recipe makes: `helm-4.1.4` of `helm` and `HELM`. It need not be there.
pub fn of(name: &str, key: &str) -> PathBuf {
    root().join("out").join(format!("{name}-{}", version(key)))
}

/// Where programs are, whether they have been made or not.
fn folders() -> &'static [PathBuf] {
    static FOUND: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| FOLDERS.iter().map(|(name, key, inside)| of(name, key).join(inside)).collect())
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
    use std::path::Path;

    use super::{FOLDERS, RECIPES, of, places, version};

    #[test]
    fn what_is_compiled_with_a_node_takes_the_place_of_no_tool_that_tests_have_run_with() {
        let of_tests = of("kubectl", "KUBECTL").join("kubectl");
        let of_a_node = of("kubectl", "KUBERNETES").join("kubectl");
        let places: Vec<_> =
            places(Path::new("kubectl")).filter(|path| [&of_tests, &of_a_node].contains(&path)).collect();
        assert_eq!(places, [of_tests, of_a_node]);
    }

    #[test]
    fn what_is_fetched_is_pinned_for_both_kinds_of_machines() {
        for recipe in RECIPES {
            let pins = recipe.lines().filter_map(|line| line.split_once("_SHA256_"));
            let pins: Vec<(&str, &str)> =
                pins.filter_map(|(name, rest)| Some((name, rest.split_once('=')?.0))).collect();
            for (name, _) in &pins {
                let of_name = pins.iter().filter(|(other, _)| other == name).map(|(_, arch)| *arch);
                assert_eq!(of_name.collect::<Vec<_>>(), ["amd64", "arm64"], "{name}");
            }
        }
    }

    #[test]
    fn the_graph_file_keeps_programs_where_they_are_looked_for() {
        let graph = include_str!("../../../dayzero/xtask.toml");
        for (name, key, _) in FOLDERS.into_iter().chain([("helm", "HELM3", "")]) {
            assert!(!version(key).is_empty(), "no recipe states {key}");
            let folder = format!("\"out/{name}-{}/", version(key));
            assert!(graph.contains(&folder), "no output in {folder} in dayzero/xtask.toml");
        }
    }

    #[test]
    fn the_frontend_gets_the_pnpm_that_it_names() {
        let package = include_str!("../../../frontend/package.json");
        let named = format!("\"packageManager\": \"pnpm@{}\"", version("PNPM"));
        assert!(package.contains(&named), "frontend/package.json does not say {named}");
    }
}
