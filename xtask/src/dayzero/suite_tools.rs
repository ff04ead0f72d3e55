//! What the repository's own tests run and a machine need not have: looked for before the first suite, and got where
//! it is missing. It knows no suites.

mod find;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use engine::event::{Level, Tally};
use engine::failure::{Class, Failure};
use engine::step::{Kind, StepId};

use super::home::Home;
use super::make::make;
use super::needs::Needs;
use super::packages::{self, Need};
use super::reach;
use crate::context::Context;
use crate::world::machine::Machine;
use crate::world::process::Command;
use crate::world::tool_folder;

/// The variable with the folders of the helms that are tried on each other's releases, a list like `PATH`.
const HELMS: &str = "XTASK_TEST_HELMS";

/// Where rustup gets parts of a toolchain.
const RUST: &str = "static.rust-lang.org/rustup/release-stable.toml";

/// A tool that suites run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is called what it is called")]
pub enum Tool {
    CargoDeny,
    Chromium,
    Clippy,
    Compose,
    Helm,
    /// The oldest helm that is supported.
    OldHelm,
    Kubectl,
    Node,
    OpenSsl,
    PgBouncer,
    Pnpm,
    PostgreSql,
    Python,
    Rustfmt,
    Strace,
    Uv,
}

/// How a tool is got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// By a command step of day zero's graph.
    Recipe(&'static str),
    /// From Debian or Ubuntu.
    Package(Need),
    /// As a part of the Rust toolchain.
    Component(&'static str),
}

impl Tool {
    /// What people call it, where it comes from, and what a person would do to have it.
    const fn facts(self) -> (&'static str, Source, &'static str) {
        use Source::{Component, Package, Recipe};
        match self {
            Self::CargoDeny => ("cargo-deny", Recipe("cargo-deny"), "cargo install --locked cargo-deny"),
            Self::Chromium => ("Chromium", Package(("chromium", "chromium")), "https://www.chromium.org"),
            Self::Clippy => ("clippy", Component("clippy"), "rustup component add clippy"),
            Self::Compose => {
                ("docker compose", Package(("docker-compose", "docker-compose")), "https://docs.docker.com/compose")
            }
            Self::Helm => ("helm 3.12 or later", Recipe("helm"), "https://helm.sh/docs/intro/install"),
            Self::OldHelm => ("helm 3.12", Recipe("helm3"), "https://helm.sh/docs/intro/install"),
            Self::Kubectl => {
                ("kubectl 1.33 or later", Recipe("kubectl"), "https://kubernetes.io/docs/tasks/tools/#kubectl")
            }
            Self::Node => ("Node.js 22 or later", Recipe("nodejs"), "https://nodejs.org"),
            Self::OpenSsl => ("openssl", Package(("openssl", "openssl")), "https://openssl-library.org"),
            Self::PgBouncer => ("pgbouncer", Package(("pgbouncer", "pgbouncer")), "https://www.pgbouncer.org"),
            Self::Pnpm => ("pnpm 10 or later", Recipe("pnpm"), "npm install --global pnpm@10"),
            Self::PostgreSql => ("PostgreSQL", Package(("initdb", "postgresql")), "https://www.postgresql.org"),
            Self::Python => ("Python 3.13", Recipe("python"), "uv python install 3.13"),
            Self::Rustfmt => ("rustfmt", Component("rustfmt"), "rustup component add rustfmt"),
            Self::Strace => ("strace", Package(("strace", "strace")), "https://strace.io"),
            Self::Uv => ("uv", Recipe("uv"), "https://docs.astral.sh/uv"),
        }
    }

    const fn source(self) -> Source {
        self.facts().1
    }
}

/// Tools that were found, each with its program where it has one of its own.
pub type Found = BTreeMap<Tool, PathBuf>;

/// Sees to it that `tools` are there; says how many of them had to be got.
///
/// # Errors
/// `Class::Environment` when one is missing and cannot or may not be got, with what a person would type.
pub async fn prepare(cx: &Context, tools: &BTreeSet<Tool>) -> Result<(Found, Tally), Failure> {
    let (mut found, missing) = find::all(cx, tools).await?;
    let tally = Tally { ran: missing.len(), fresh: found.len(), ..Tally::default() };
    if missing.is_empty() {
        return Ok((found, tally));
    }
    // The recipes are for Linux.
    if !cfg!(target_os = "linux") || !Machine::read()?.tools.install {
        return Err(lacking(&missing));
    }
    let unpackaged = missing.iter().copied().filter(|tool| matches!(tool.source(), Source::Package(_)));
    let unpackaged: BTreeSet<Tool> = unpackaged.collect();
    if !unpackaged.is_empty() && !packages::may_install()? {
        return Err(lacking(&unpackaged));
    }
    let names: Vec<&str> = missing.iter().map(|tool| tool.facts().0).collect();
    cx.note(&StepId::cluster(), Level::Info, format!("the tests need {}: getting what is missing", names.join(", ")));
    get(cx, &missing).await.map_err(|failure| match failure.class {
        Class::Step => lacking(&missing).because_of(&failure),
        _ => failure,
    })?;
    let (got, still) = find::all(cx, &missing).await?;
    found.extend(got);
    if still.is_empty() { Ok((found, tally)) } else { Err(lacking(&still)) }
}

/// What a suite that runs `tools` is given beside the usual: where they were found.
pub fn variables(tools: &[Tool], found: &Found) -> BTreeMap<&'static str, OsString> {
    let mut variables = BTreeMap::new();
    // What is ours was taken because `PATH` has none or an older one, so it goes in front.
    let ours = tools.iter().filter(|tool| **tool != Tool::OldHelm).filter_map(|tool| found.get(tool));
    let ours = ours.filter(|path| path.starts_with(tool_folder::root())).filter_map(|path| path.parent());
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = ours.map(PathBuf::from).chain(env::split_paths(&path)).collect();
    if let Ok(path) = env::join_paths(folders) {
        variables.insert("PATH", tool_folder::behind(Some(path.clone())).unwrap_or(path));
    }
    for tool in tools {
        match (tool, found.get(tool)) {
            (Tool::Python, Some(path)) => drop(variables.insert("UV_PYTHON", path.into())),
            (Tool::Chromium, Some(path)) => drop(variables.insert("CHROMIUM", path.into())),
            (Tool::OldHelm, Some(old)) if env::var_os(HELMS).is_none() => {
                let both = [Some(old), found.get(&Tool::Helm)].into_iter().flatten();
                let folders = both.filter_map(|path| path.parent());
                variables.extend(env::join_paths(folders).ok().map(|list| (HELMS, list)));
            }
            _ => {}
        }
    }
    variables
}

async fn get(cx: &Context, missing: &BTreeSet<Tool>) -> Result<(), Failure> {
    let mut missing = missing.clone();
    let by_uv = missing.contains(&Tool::Python) && reach::reaches(cx, &["github.com/"]).await?;
    if by_uv {
        missing.remove(&Tool::Python);
    }
    let recipes = missing.iter().filter_map(|tool| match tool.source() {
        Source::Recipe(name) => Some(StepId::new(Kind::Command, name)),
        _ => None,
    });
    let recipes: Vec<StepId> = recipes.collect();
    let mut needs = Needs::of(cx, &recipes.iter().collect::<Vec<_>>()).await?.packages;
    needs.extend(missing.iter().filter_map(|tool| match tool.source() {
        Source::Package(need) => Some(need),
        _ => None,
    }));
    // All packages at once: one question, and one run of apt-get.
    packages::ensure(cx, &StepId::cluster(), &needs).await?;
    let components = missing.iter().filter_map(|tool| match tool.source() {
        Source::Component(name) => Some(name),
        _ => None,
    });
    let components: Vec<&str> = components.collect();
    // rustup itself waits for minutes; one that was given another server knows its way.
    let asks = env::var_os("RUSTUP_DIST_SERVER").is_none();
    if !components.is_empty() && (!asks || reach::reaches(cx, &[RUST]).await?) {
        call(cx, Command::new("rustup").args(["component", "add"]).args(components)).await?;
    }
    if !recipes.is_empty() {
        make(cx, &Home::open(cx).await?, &recipes).await?;
    }
    if by_uv {
        // uv knows the digest of what it fetches.
        call(cx, Command::new("uv").args(["python", "install", "3.13"]).env("UV_HTTP_TIMEOUT", "20")).await?;
    }
    Ok(())
}

async fn call(cx: &Context, command: Command) -> Result<(), Failure> {
    let finished = command.run(&cx.cancel, |_, line| cx.progress(&StepId::cluster(), line)).await?;
    finished.success(Class::Step).map(drop)
}

fn lacking(missing: &BTreeSet<Tool>) -> Failure {
    let names: Vec<&str> = missing.iter().map(|tool| tool.facts().0).collect();
    let failure = Failure::environment(format!("the tests need {}", names.join(", ")));
    let mut packages = Vec::new();
    let mut others = Vec::new();
    for tool in missing {
        match tool.facts() {
            (_, Source::Package((_, package)), _) if packages::is_debian_here() => packages.push(package),
            (name, _, get) => others.push(format!("{name}: {get}")),
        }
    }
    let packages = (!packages.is_empty()).then(|| packages::command(&packages));
    let failure = packages.into_iter().chain(others).fold(failure, Failure::help);
    failure.help("or name the suites that are to run: `cargo xtask test engine`")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use engine::failure::Class;

    use super::{Found, Source, Tool, lacking, variables};
    use crate::world::tool_folder;

    #[test]
    fn every_recipe_is_a_step_of_the_graph_file() {
        let graph = include_str!("../../../dayzero/xtask.toml");
        for tool in
            [Tool::CargoDeny, Tool::Helm, Tool::OldHelm, Tool::Kubectl, Tool::Node, Tool::Pnpm, Tool::Python, Tool::Uv]
        {
            let Source::Recipe(name) = tool.source() else { panic!("{tool:?} has no recipe") };
            assert!(graph.contains(&format!("[command.{name}]")), "{name}");
        }
    }

    #[test]
    fn what_is_lacking_is_an_environment_error_with_what_to_type_for_each() {
        let failure = lacking(&BTreeSet::from([Tool::Uv, Tool::Rustfmt]));
        assert_eq!(failure.class, Class::Environment);
        assert_eq!(failure.message, "the tests need rustfmt, uv");
        assert_eq!(failure.help[..2], ["rustfmt: rustup component add rustfmt", "uv: https://docs.astral.sh/uv"]);
    }

    #[test]
    fn our_own_tools_come_first_for_the_suites_that_run_them() {
        let ours = tool_folder::of("nodejs", "NODEJS").join("bin/node");
        let found = Found::from([
            (Tool::Node, ours.clone()),
            (Tool::Uv, PathBuf::from("/usr/bin/uv")),
            (Tool::Python, PathBuf::from("/py/bin/python3.13")),
            (Tool::Helm, PathBuf::from("/four/helm")),
            (Tool::OldHelm, PathBuf::from("/three/helm")),
        ]);
        let given = variables(&[Tool::Node, Tool::Uv], &found);
        assert!(std::env::split_paths(&given["PATH"]).next() == ours.parent().map(PathBuf::from));
        assert!(!given.contains_key("UV_PYTHON"), "only what the suite runs");
        let given = variables(&[Tool::Python, Tool::OldHelm, Tool::Helm], &found);
        assert_eq!(
            (&given["UV_PYTHON"], &given["XTASK_TEST_HELMS"]),
            (&"/py/bin/python3.13".into(), &"/three:/four".into())
        );
    }
}
