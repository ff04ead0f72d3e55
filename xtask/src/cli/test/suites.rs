//! The list of suites. A suite is a command in the workspace's folder; what is not in this list is tested by nobody.

use std::time::Duration;

use crate::dayzero::suite_tools::Tool;

/// One suite.
pub struct Suite {
    /// Its name in the closing table.
    pub name: &'static str,
    /// What it takes on two cores; longer is told, and is no failure until it is so long that the suite hangs.
    pub budget: Duration,
    /// What it cannot do without.
    pub needs: Needs,
    /// Whether its runner says how many tests there were: then at least one has to have passed.
    pub counted: bool,
    /// What it runs, beside cargo, that a machine need not have.
    pub tools: &'static [Tool],
    /// The program and its arguments. uv takes its lock as it is, as the backend's image does: where it has another index,
    /// a company's mirror, say, `--locked` refuses, and without either it writes the lock anew, which is the suite's input.
    pub command: &'static [&'static str],
    /// The files that it depends on.
    pub inputs: Inputs,
    /// The suite that makes what this one needs beside its files.
    pub after: Option<&'static str>,
    /// Where it goes on beside others that leave a processor to it, or wait most of the time: suites with lanes that stand
    /// together in the list go on side by side, but for those of one lane, which go on one after the other.
    pub lane: Option<&'static str>,
}

/// Files of the checkout, among those that git does not ignore.
#[derive(Debug, Clone, Copy)]
pub struct Inputs {
    /// What the digests of these files are remembered under.
    pub name: &'static str,
    /// Files and folders, relative to the checkout; none stands for all there are.
    pub paths: &'static [&'static str],
}

/// What a suite cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Only the checkout and its tools.
    Nothing,
    /// A container engine or a cluster.
    Cluster,
    /// Those, and more time than anybody waits for: breaking and mending nodes again and again.
    Time,
}

/// Of whatever compiles the tool or deploys the application, and of the chart's tests, which hold files from everywhere
/// against each other.
const ALL: Inputs = Inputs { name: "all", paths: &[] };

/// Of the formatter: the Rust sources.
const SOURCES: Inputs =
    Inputs { name: "sources", paths: &[".cargo", "Cargo.lock", "Cargo.toml", "rustfmt.toml", "tests/system", "xtask"] };

/// Of what is known of the dependencies without compiling them.
const DEPENDENCIES: Inputs = Inputs {
    name: "dependencies",
    paths: &[
        ".cargo",
        "Cargo.lock",
        "Cargo.toml",
        "deny.toml",
        "xtask/Cargo.toml",
        "xtask/buildkit/Cargo.toml",
        "xtask/engine/Cargo.toml",
        "xtask/launcher/Cargo.toml",
    ],
};

/// Of the engine, which stands on nothing else of ours; cargo reads the manifests of all members.
const ENGINE: Inputs = Inputs {
    name: "engine",
    paths: &[
        ".cargo",
        "Cargo.lock",
        "Cargo.toml",
        "xtask/Cargo.toml",
        "xtask/buildkit/Cargo.toml",
        "xtask/engine",
        "xtask/launcher/Cargo.toml",
        "xtask/schema.json",
    ],
};

/// Of the backend: some of the documents are written by its code, and held against it. Linters ask git's rules.
const BACKEND: Inputs = Inputs { name: "backend", paths: &[".gitignore", "backend", "docs"] };

/// Of the frontend.
const PAGES: Inputs = Inputs { name: "frontend", paths: &[".gitignore", "frontend"] };

/// What most suites have in common: they need no other, and go on beside none.
const ALONE: Suite = Suite {
    name: "",
    budget: Duration::ZERO,
    needs: Needs::Nothing,
    counted: true,
    tools: &[],
    command: &[],
    inputs: ALL,
    after: None,
    lane: None,
};

/// The suite that installs the frontend's packages.
const PACKAGES: Option<&str> = Some("frontend packages");

/// What runs those of the frontend.
const FRONTEND: &[Tool] = &[Tool::Node, Tool::Pnpm];

/// What looks at a cluster.
const CLUSTER: &[Tool] = &[Tool::Kubectl, Tool::Helm];

/// What the tests of the whole program run.
const SYSTEM: &[Tool] = &[Tool::Kubectl, Tool::Helm, Tool::Strace, Tool::Chromium, Tool::Node];

/// The tool's own tests that work with the host's engine, builds and names that are lent, ...
const BUILDS: &str = "world::docker::tests";
const LOANS: &str = "dayzero::node::loan::engine_tests";
/// ... and with the tests' cluster.
const LEFTOVERS: &str = "cli::test::bed::leftovers::cluster_tests";

/// The command of tests of the whole program, one after the other: those that the words pick.
macro_rules! system_tests {
    ($($word:literal),*) => {
        &["cargo", "test", "--workspace", "--test", "system", "--", "--test-threads=1", $($word),*]
    };
}

const fn minutes(number: u64) -> Duration {
    Duration::from_secs(60 * number)
}

/// All of them, what fails soonest first. Cargo is told of the whole workspace each time: of fewer packages it would take
/// other features of what they depend on, and compile that anew.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "format",
        budget: minutes(1),
        needs: Needs::Nothing,
        counted: false,
        tools: &[Tool::Rustfmt],
        command: &["cargo", "fmt", "--all", "--check"],
        inputs: SOURCES,
        ..ALONE
    },
    Suite {
        name: "lints",
        budget: minutes(4),
        needs: Needs::Nothing,
        counted: false,
        tools: &[Tool::Clippy],
        command: &["cargo", "clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"],
        inputs: ALL,
        ..ALONE
    },
    Suite {
        name: "licences",
        budget: minutes(1),
        needs: Needs::Nothing,
        counted: false,
        tools: &[Tool::CargoDeny],
        command: &["cargo", "deny", "--log-level", "error", "check", "licenses", "bans", "sources"],
        inputs: DEPENDENCIES,
        ..ALONE
    },
    Suite {
        name: "engine",
        budget: minutes(5),
        needs: Needs::Nothing,
        counted: true,
        tools: &[],
        command: &[
            "cargo",
            "test",
            "--workspace",
            "--test",
            "dockerignore",
            "--test",
            "files",
            "--test",
            "files_model",
            "--test",
            "graph",
            "--test",
            "graph_file",
            "--test",
            "links",
            "--test",
            "model",
            "--test",
            "schedule",
            "--test",
            "schema",
        ],
        inputs: ENGINE,
        ..ALONE
    },
    Suite {
        name: "units",
        budget: minutes(5),
        needs: Needs::Nothing,
        counted: true,
        tools: &[],
        command: &[
            "cargo",
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--",
            "--skip",
            BUILDS,
            "--skip",
            LOANS,
            "--skip",
            LEFTOVERS,
        ],
        inputs: ALL,
        ..ALONE
    },
    Suite {
        name: "recipes",
        budget: minutes(2),
        needs: Needs::Nothing,
        counted: true,
        tools: &[],
        command: &["cargo", "test", "--workspace", "--test", "dayzero"],
        inputs: ALL,
        ..ALONE
    },
    Suite {
        name: "backend",
        budget: minutes(5),
        needs: Needs::Nothing,
        counted: true,
        tools: &[Tool::Uv, Tool::Python, Tool::PostgreSql, Tool::PgBouncer],
        command: &["uv", "run", "--frozen", "--directory", "backend", "pytest"],
        inputs: BACKEND,
        lane: Some("backend"),
        ..ALONE
    },
    Suite {
        name: "frontend packages",
        budget: minutes(2),
        needs: Needs::Nothing,
        counted: false,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "install", "--frozen-lockfile"],
        inputs: PAGES,
        lane: Some("frontend"),
        ..ALONE
    },
    Suite {
        name: "frontend",
        budget: minutes(2),
        needs: Needs::Nothing,
        counted: true,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "test"],
        inputs: PAGES,
        after: PACKAGES,
        lane: Some("frontend"),
    },
    Suite {
        name: "frontend lint",
        budget: minutes(1),
        needs: Needs::Nothing,
        counted: false,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "lint"],
        inputs: PAGES,
        after: PACKAGES,
        lane: Some("frontend"),
    },
    Suite {
        name: "frontend bundle",
        budget: minutes(3),
        needs: Needs::Nothing,
        counted: true,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "test:bundle"],
        inputs: PAGES,
        after: PACKAGES,
        lane: Some("frontend"),
    },
    Suite {
        name: "frontend types",
        budget: minutes(1),
        needs: Needs::Nothing,
        counted: false,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "types"],
        inputs: PAGES,
        after: PACKAGES,
        lane: Some("frontend"),
    },
    Suite {
        name: "chart",
        budget: minutes(3),
        needs: Needs::Nothing,
        counted: true,
        tools: &[Tool::Uv, Tool::Python, Tool::Helm],
        command: &["uv", "run", "--frozen", "--directory", "tests/chart", "pytest", "-m", "not cluster"],
        inputs: ALL,
        ..ALONE
    },
    Suite {
        name: "chart applied",
        budget: minutes(4),
        needs: Needs::Cluster,
        counted: true,
        tools: &[Tool::Uv, Tool::Python, Tool::Kubectl, Tool::Helm, Tool::Compose],
        command: &[
            "uv",
            "run",
            "--frozen",
            "--directory",
            "tests/chart",
            "pytest",
            "-m",
            "cluster",
            "--ignore=test_data.py",
        ],
        inputs: ALL,
        lane: Some("chart"),
        ..ALONE
    },
    Suite {
        name: "data",
        budget: minutes(6),
        needs: Needs::Cluster,
        counted: true,
        tools: &[Tool::Uv, Tool::Python, Tool::Kubectl, Tool::Helm],
        command: &["uv", "run", "--frozen", "--directory", "tests/chart", "pytest", "test_data.py"],
        inputs: ALL,
        lane: Some("chart"),
        ..ALONE
    },
    Suite {
        name: "rollouts",
        budget: minutes(8),
        needs: Needs::Cluster,
        counted: true,
        tools: CLUSTER,
        command: &["cargo", "test", "--workspace", "--test", "settle", "--test", "pods", "--test", "lease"],
        inputs: ALL,
        lane: Some("pods"),
        ..ALONE
    },
    Suite {
        name: "helms",
        budget: minutes(4),
        needs: Needs::Cluster,
        counted: true,
        tools: &[Tool::Kubectl, Tool::Helm, Tool::OldHelm],
        command: &["cargo", "test", "--workspace", "--test", "helm"],
        inputs: ALL,
        lane: Some("pods"),
        ..ALONE
    },
    Suite {
        name: "builds",
        budget: minutes(5),
        needs: Needs::Cluster,
        counted: true,
        tools: &[Tool::OpenSsl],
        command: &["cargo", "test", "--workspace", "--test", "daemon"],
        inputs: ALL,
        ..ALONE
    },
    Suite {
        name: "images",
        budget: minutes(2),
        needs: Needs::Cluster,
        counted: true,
        tools: &[],
        command: &["cargo", "test", "--workspace", "--lib", "--", BUILDS, LOANS, LEFTOVERS],
        inputs: ALL,
        ..ALONE
    },
    Suite {
        name: "system",
        budget: minutes(25),
        needs: Needs::Cluster,
        counted: true,
        tools: SYSTEM,
        command: system_tests!["--skip=application::", "--skip=dev::"],
        inputs: ALL,
        lane: Some("small projects"),
        after: PACKAGES,
    },
    Suite {
        name: "application",
        budget: minutes(25),
        needs: Needs::Cluster,
        counted: true,
        tools: SYSTEM,
        command: system_tests!["application::"],
        inputs: ALL,
        lane: Some("application"),
        after: PACKAGES,
    },
    Suite {
        name: "dev loop",
        budget: minutes(20),
        needs: Needs::Cluster,
        counted: true,
        tools: SYSTEM,
        command: system_tests!["--skip=dev::isolated::", "--skip=dev::others::", "dev::"],
        inputs: ALL,
        lane: Some("application"),
        after: PACKAGES,
    },
    Suite {
        name: "dev beside others",
        budget: minutes(10),
        needs: Needs::Cluster,
        counted: true,
        tools: SYSTEM,
        command: system_tests!["dev::isolated::", "dev::others::"],
        inputs: ALL,
        lane: Some("small projects"),
        after: PACKAGES,
    },
    Suite {
        name: "cluster gone",
        budget: minutes(5),
        needs: Needs::Cluster,
        counted: true,
        tools: CLUSTER,
        command: system_tests!["--ignored", "cluster_gone"],
        inputs: ALL,
        ..ALONE
    },
    Suite {
        name: "dev for long",
        budget: minutes(20),
        needs: Needs::Time,
        counted: true,
        tools: CLUSTER,
        command: system_tests!["--ignored", "dev::"],
        inputs: ALL,
        after: PACKAGES,
        ..ALONE
    },
    Suite {
        name: "minikube",
        budget: minutes(15),
        needs: Needs::Time,
        counted: true,
        tools: CLUSTER,
        command: &["cargo", "test", "--workspace", "--test", "minikube", "--", "--ignored", "--test-threads=1"],
        inputs: ALL,
        ..ALONE
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::{Needs, SUITES, Tool};

    #[test]
    fn what_is_fast_needs_neither_an_engine_nor_a_cluster() {
        // helm renders charts without any.
        let with_a_cluster = [Tool::Kubectl, Tool::Compose];
        for suite in SUITES.iter().filter(|suite| suite.needs == Needs::Nothing) {
            assert!(!suite.tools.iter().any(|tool| with_a_cluster.contains(tool)), "{}", suite.name);
        }
    }

    #[test]
    fn every_test_of_the_whole_program_is_in_one_suite() {
        let of = |name: &str| {
            let suite = SUITES.iter().find(|suite| suite.name == name).expect("it is there");
            let words = suite.command.iter().skip_while(|word| **word != "--test-threads=1").skip(1);
            words.copied().collect::<Vec<_>>()
        };
        let skips = |words: &[&str]| words.iter().map(|word| format!("--skip={word}")).collect::<Vec<_>>();
        let dev = ["dev::"];
        let taken = [&of("application")[..], &dev].concat();
        assert_eq!(of("system"), skips(&taken), "what `system` skips is in the others");
        let mut others = skips(&of("dev beside others"));
        others.push(dev.concat());
        assert_eq!(of("dev loop"), others, "what `dev loop` skips is in the other");
    }

    #[test]
    fn every_file_of_tests_is_in_a_suite() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut there = BTreeSet::from(["system".to_owned()]);
        let inner = fs::read_dir(package).unwrap().map(|entry| entry.unwrap().path());
        let members = inner.filter(|folder| folder.join("Cargo.toml").is_file()).chain([package.to_owned()]);
        for member in members {
            let Ok(found) = fs::read_dir(member.join("tests")) else { continue };
            let paths = found.map(|entry| entry.unwrap().path());
            let tests = paths
                .filter(|path| path.extension().is_some_and(|kind| kind == "rs") || path.join("main.rs").is_file());
            there.extend(tests.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()));
        }
        let words = SUITES.iter().flat_map(|suite| suite.command.windows(2));
        let named: BTreeSet<_> = words.filter(|words| words[0] == "--test").map(|words| words[1].to_owned()).collect();
        assert_eq!(there, named);
    }

    #[test]
    fn programs_that_suites_name_are_among_their_tools() {
        let of_program = [("uv", Tool::Uv), ("pnpm", Tool::Pnpm)];
        for suite in SUITES {
            for (program, tool) in of_program {
                let named = suite.command.first() == Some(&program);
                assert!(!named || suite.tools.contains(&tool), "{}", suite.name);
            }
        }
    }
}
