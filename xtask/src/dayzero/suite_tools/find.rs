//! Where the suites' tools are: on `PATH` and where they usually lie, else in the tool folder; each asked whether it
//! runs at all and is new enough.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use engine::failure::{Class, Failure};
use futures_util::future::try_join_all;

use super::{Found, HELMS, Tool};
use crate::context::Context;
use crate::dayzero::packages;
use crate::world::process::{self, Command, Exit, Stream};
use crate::world::tool::{self, Tools, Version};
use crate::world::tool_folder;

/// Where Debian and Ubuntu keep PostgreSQL's programs, a folder for each version.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// By these names a browser is known that is Chromium or made of it.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Which of `tools` are there, and which are missing.
pub(super) async fn all(cx: &Context, tools: &BTreeSet<Tool>) -> Result<(Found, BTreeSet<Tool>), Failure> {
    let looked = try_join_all(tools.iter().map(|tool| async move { Ok::<_, Failure>((*tool, one(cx, *tool).await?)) }));
    let (mut found, mut missing) = (Found::new(), BTreeSet::new());
    for (tool, path) in looked.await? {
        match path {
            Some(path) => drop(found.insert(tool, path)),
            None => drop(missing.insert(tool)),
        }
    }
    Ok((found, missing))
}

async fn one(cx: &Context, tool: Tool) -> Result<Option<PathBuf>, Failure> {
    let version = |major, minor| Version { major, minor, patch: 0 };
    let version_of = ["--version"];
    match tool {
        Tool::CargoDeny => at_least(cx, "cargo-deny", &version_of, version(0, 18)).await,
        Tool::Clippy => first(cx, [cargo()], &["clippy", "--version"]).await,
        Tool::Rustfmt => first(cx, [cargo()], &["fmt", "--version"]).await,
        Tool::Uv => at_least(cx, "uv", &version_of, version(0, 8)).await,
        Tool::Node => at_least(cx, "node", &version_of, version(22, 12)).await,
        // It fetches the very version that a project names by itself.
        Tool::Pnpm => at_least(cx, "pnpm", &version_of, version(10, 0)).await,
        Tool::Kubectl => at_least(cx, "kubectl", &["version", "--client"], version(1, 33)).await,
        Tool::Python => first(cx, pythons(), &["-c", "import ssl, sqlite3"]).await,
        Tool::Chromium => first(cx, BROWSERS.iter().filter_map(|name| packages::find(name)), &version_of).await,
        Tool::Compose => compose(cx).await,
        Tool::OpenSsl => Ok(packages::find("openssl")),
        Tool::PgBouncer => Ok(packages::find("pgbouncer")),
        Tool::Strace => Ok(packages::find("strace")),
        Tool::PostgreSql => Ok(below(Path::new(POSTGRESQL), "", "bin/initdb").pop()),
        Tool::Helm => match Tools::in_folder(&cx.workspace.state()).find(tool::Kind::Helm, &cx.cancel).await {
            Ok(helm) => Ok(Some(helm.path)),
            Err(failure) if failure.class == Class::Interrupted => Err(failure),
            Err(_) => Ok(None),
        },
        Tool::OldHelm => {
            let named = env::var_os(HELMS).map(PathBuf::from);
            Ok(named.or_else(|| Some(tool_folder::of("helm", "HELM3").join("helm")).filter(|helm| helm.is_file())))
        }
    }
}

fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The program of `PATH`, else that of the tool folder, if it is new enough.
async fn at_least(cx: &Context, name: &str, args: &[&str], oldest: Version) -> Result<Option<PathBuf>, Failure> {
    let places = process::resolve(OsStr::new(name), None).into_iter().chain(tool_folder::places(Path::new(name)));
    for path in places.filter(|path| path.is_file()) {
        let said = says(cx, Command::new(&path).args(args.iter().copied())).await?;
        if said.is_some_and(|text| text.split_whitespace().find_map(Version::parse) >= Some(oldest)) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The first of `programs` that runs with `args`.
async fn first(
    cx: &Context,
    programs: impl IntoIterator<Item = PathBuf>,
    args: &[&str],
) -> Result<Option<PathBuf>, Failure> {
    for path in programs {
        if says(cx, Command::new(&path).args(args.iter().copied())).await?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// What a program says; `None` when it fails or does not start.
async fn says(cx: &Context, command: Command) -> Result<Option<String>, Failure> {
    // Not in the checkout: version managers would take another version there, or fetch one.
    match command.cwd("/").run(&cx.cancel, |_, _| {}).await {
        Ok(finished) if finished.exit == Exit::Code(0) => Ok(Some(finished.text(Stream::Out))),
        Err(failure) if failure.class == Class::Interrupted => Err(failure),
        _ => Ok(None),
    }
}

/// docker's plugin, or the program of its own that came before it. The plugin's own file comes first: docker, by which it is
/// called, may be got after it, and what tests have run with would then seem to be something else.
async fn compose(cx: &Context) -> Result<Option<PathBuf>, Failure> {
    if let Some(plugin) = first(cx, plugins(), &["version"]).await? {
        return Ok(Some(plugin));
    }
    if let Some(docker) = packages::find("docker")
        && says(cx, Command::new(&docker).args(["compose", "version"])).await?.is_some()
    {
        return Ok(Some(docker));
    }
    Ok(packages::find("docker-compose"))
}

/// Where docker looks for its plugin for compose files: the user's folder first, then the system's.
fn plugins() -> Vec<PathBuf> {
    let home = PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".docker");
    let of_user = env::var_os("DOCKER_CONFIG").map_or(home, PathBuf::from);
    let of_system = ["/usr/local/lib/docker", "/usr/local/libexec/docker", "/usr/lib/docker", "/usr/libexec/docker"];
    let folders = [of_user].into_iter().chain(of_system.map(PathBuf::from));
    folders.map(|folder| folder.join("cli-plugins/docker-compose")).filter(|path| path.is_file()).collect()
}

/// Where a Python 3.13 may be: uv alone would stop at the first of `PATH`, though it is a version manager's shim for
/// another one.
fn pythons() -> Vec<PathBuf> {
    const PROGRAM: &str = "python3.13";
    let variable = |name: &str| env::var_os(name).map(PathBuf::from);
    let home = variable("HOME").unwrap_or_default();
    let pyenv = variable("PYENV_ROOT").unwrap_or_else(|| home.join(".pyenv"));
    let data = variable("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share"));
    let of_uv = variable("UV_PYTHON_INSTALL_DIR").unwrap_or_else(|| data.join("uv/python"));
    let named = variable("UV_PYTHON").filter(|path| path.is_absolute());
    let of_path = packages::find(PROGRAM);
    let bin = format!("bin/{PROGRAM}");
    let mut found: Vec<PathBuf> = named.into_iter().chain(of_path).collect();
    found.extend(below(&pyenv.join("versions"), "3.13.", &bin));
    found.extend(below(&of_uv, "cpython-3.13", &bin));
    found.extend(below(&pythons_of_uv(), "cpython-3.13", &bin));
    found.extend(tool_folder::places(Path::new(PROGRAM)).filter(|path| path.is_file()));
    found
}

/// Where uv puts a Python that it gets for the tests: beside all else that is got, and not among the user's own.
pub(super) fn pythons_of_uv() -> PathBuf {
    tool_folder::root().join("out/uv-python")
}

/// The files `inside` of folders of `folder` whose names begin so, in the order of their names.
fn below(folder: &Path, start: &str, inside: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    let mut found: Vec<PathBuf> = named.map(|entry| entry.path().join(inside)).filter(|path| path.is_file()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::below;

    #[test]
    fn versions_of_a_program_are_found_in_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["3.13.1/bin/python3.13", "3.13.0/bin/python3.13", "3.12.1/bin/python3.13", "3.13.2/other"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = below(folder.path(), "3.13.", "bin/python3.13");
        assert_eq!(found, ["3.13.0", "3.13.1"].map(|version| folder.path().join(version).join("bin/python3.13")));
        assert!(below(&folder.path().join("none"), "", "bin/initdb").is_empty());
    }
}
