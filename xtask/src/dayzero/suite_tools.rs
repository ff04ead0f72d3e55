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

/// The recipe for a Python where uv gets none.
const PYTHON: &str = "python";

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
    /// By a person alone.
    Nobody,
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
            Self::Python => ("Python 3.13", Recipe(PYTHON), "uv python install 3.13"),
            Self::Rustfmt => ("rustfmt", Component("rustfmt"), "rustup component add rustfmt"),
            Self::Strace => ("strace", Package(("strace", "strace")), "https://strace.io"),
            Self::Uv => ("uv", Recipe("uv"), "https://docs.astral.sh/uv"),
        }
    }

    fn source(self) -> Source {
        self.source_where(packages::has_only_snaps_of_browsers())
    }

    /// As [`Self::source`]; `snaps` is whether the system's browsers are such.
    const fn source_where(self, snaps: bool) -> Source {
        match self {
            Self::Chromium if snaps => Source::Nobody,
            _ => self.facts().1,
        }
    }

    /// What it is called, and what a person would do to have it.
    fn by_hand(self) -> String {
        let (name, _, get) = self.facts();
        match self.source() {
            Source::Nobody => {
                format!("{name}: as a package, not as a snap; Google's is one: https://www.google.com/chrome")
            }
            Source::Component(component) => match has_rustup() {
                true => format!("{name}: {get}"),
                false => without_rustup(component, packages::is_debian_here()),
            },
            _ => format!("{name}: {get}"),
        }
    }
}

/// Tools that were found, each with its program where it has one of its own.
pub type Found = BTreeMap<Tool, PathBuf>;

/// Those of `tools` that are there already. Nothing is got.
///
/// # Errors
/// When the run is interrupted.
pub async fn look(cx: &Context, tools: &BTreeSet<Tool>) -> Result<Found, Failure> {
    find::all(cx, tools).await.map(|(found, _)| found)
}

/// Sees to it that `tools` are there; says how many of them had to be got.
///
/// # Errors
/// `Class::Environment` when one is missing and cannot or may not be got, with what a person would type.
pub async fn prepare(cx: &Context, tools: &BTreeSet<Tool>) -> Result<(Found, Tally), Failure> {
    let (mut found, mut missing) = find::all(cx, tools).await?;
    // Suites that run these fail, and say why; all others can run.
    for tool in missing.extract_if(.., |tool| tool.source() == Source::Nobody) {
        let text = format!("tests that need it will fail, for it is not got here: {}", tool.by_hand());
        cx.note(&StepId::cluster(), Level::Warning, text);
    }
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
    if !has_rustup() && missing.iter().any(|tool| matches!(tool.source(), Source::Component(_))) {
        return Err(lacking(&missing));
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
    // It may come from uv, which needs nothing of what its recipe does.
    let python = missing.remove(&Tool::Python);
    let recipes = missing.iter().filter_map(|tool| match tool.source() {
        Source::Recipe(name) => Some(StepId::new(Kind::Command, name)),
        _ => None,
    });
    let mut recipes: Vec<StepId> = recipes.collect();
    let mut needs = Needs::in_any_case(&recipes.iter().collect::<Vec<_>>());
    needs.extend(missing.iter().filter_map(|tool| match tool.source() {
        Source::Package(need) => Some(need),
        _ => None,
    }));
    // All packages at once: one question, and one run of apt-get, unless hosts turn out to be silent.
    packages::ensure(cx, &StepId::cluster(), &needs).await?;
    let by_uv = python && reach::reaches(cx, &["github.com/"]).await?;
    if python && !by_uv {
        recipes.push(StepId::new(Kind::Command, PYTHON));
    }
    let needs = Needs::of(cx, &recipes.iter().collect::<Vec<_>>()).await?.packages;
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
    if by_uv && let Err(failure) = python_by_uv(cx).await {
        if cx.cancel.is_cancelled() {
            return Err(failure);
        }
        cx.note(&StepId::cluster(), Level::Info, format!("uv got no Python, so it comes from Debian: {failure}"));
        make(cx, &Home::open(cx).await?, &[StepId::new(Kind::Command, PYTHON)]).await?;
    }
    Ok(())
}

/// Has uv, which knows the digest of what it fetches, put a Python into the tool folder, and a link to it nowhere.
async fn python_by_uv(cx: &Context) -> Result<(), Failure> {
    // One of `PATH` that is too old may be in front of ours.
    let (found, _) = find::all(cx, &BTreeSet::from([Tool::Uv])).await?;
    let uv = found.get(&Tool::Uv).map_or_else(|| PathBuf::from("uv"), PathBuf::clone);
    let install = Command::new(uv).args(["python", "install", "--no-bin", "3.13"]).cwd("/");
    call(cx, install.env("UV_PYTHON_INSTALL_DIR", find::pythons_of_uv()).env("UV_HTTP_TIMEOUT", "20")).await
}

async fn call(cx: &Context, command: Command) -> Result<(), Failure> {
    let finished = command.run(&cx.cancel, |_, line| cx.progress(&StepId::cluster(), line)).await?;
    finished.success(Class::Step).map(drop)
}

/// Whether what gets parts of a Rust toolchain is there. A system's own packages of Rust come without it.
fn has_rustup() -> bool {
    packages::find("rustup").is_some()
}

/// How a person gets a part of the toolchain that the system's packages are.
fn without_rustup(component: &str, debian: bool) -> String {
    let package = match component {
        "clippy" if debian => "rust-clippy",
        component => component,
    };
    let install = if debian { packages::command(&[package]) } else { format!("the system's package {package}") };
    format!("{component}: {install}, if Rust is the system's; else a toolchain of rustup's: https://rustup.rs")
}

fn lacking(missing: &BTreeSet<Tool>) -> Failure {
    let names: Vec<&str> = missing.iter().map(|tool| tool.facts().0).collect();
    let failure = Failure::environment(format!("the tests need {}", names.join(", ")));
    let mut packages = Vec::new();
    let mut others = Vec::new();
    for tool in missing {
        match tool.source() {
            Source::Package((_, package)) if packages::is_debian_here() => packages.push(package),
            _ => others.push(tool.by_hand()),
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

    use super::{Found, Source, Tool, lacking, variables, without_rustup};
    use crate::world::tool_folder;

    #[test]
    fn every_recipe_is_a_step_of_the_graph_file() {
        let graph = include_str!("../../../dayzero/xtask.toml");
        for tool in
            [Tool::CargoDeny, Tool::Helm, Tool::OldHelm, Tool::Kubectl, Tool::Node, Tool::Pnpm, Tool::Python, Tool::Uv]
        {
            let Source::Recipe(name) = tool.source_where(false) else { panic!("{tool:?} has no recipe") };
            assert!(graph.contains(&format!("[command.{name}]")), "{name}");
        }
    }

    #[test]
    fn a_browser_that_would_be_a_snap_is_nobodys_to_get() {
        assert_eq!(Tool::Chromium.source_where(true), Source::Nobody);
        assert_eq!(Tool::Chromium.source_where(false), Source::Package(("chromium", "chromium")));
        assert_eq!(Tool::Strace.source_where(true), Source::Package(("strace", "strace")));
    }

    #[test]
    fn what_is_lacking_is_an_environment_error_with_what_to_type_for_each() {
        let failure = lacking(&BTreeSet::from([Tool::Uv, Tool::CargoDeny]));
        assert_eq!(failure.class, Class::Environment);
        assert_eq!(failure.message, "the tests need cargo-deny, uv");
        let expected = ["cargo-deny: cargo install --locked cargo-deny", "uv: https://docs.astral.sh/uv"];
        assert_eq!(failure.help[..2], expected);
    }

    #[test]
    fn a_toolchain_that_is_not_rustups_gets_its_parts_where_it_came_from() {
        for (component, debian, package) in [
            ("clippy", true, "--no-install-recommends rust-clippy,"),
            ("rustfmt", true, "--no-install-recommends rustfmt,"),
            ("clippy", false, "package clippy,"),
        ] {
            let told = without_rustup(component, debian);
            assert!(told.starts_with(&format!("{component}: ")) && told.contains(package), "{told}");
            assert!(told.ends_with("https://rustup.rs"), "{told}");
        }
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
