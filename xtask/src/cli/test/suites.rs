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
    /// The program and its arguments.
    pub command: &'static [&'static str],
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

/// What runs those of the frontend.
const FRONTEND: &[Tool] = &[Tool::Node, Tool::Pnpm];

/// What looks at a cluster.
const CLUSTER: &[Tool] = &[Tool::Kubectl, Tool::Helm];

/// The tool's own tests that work with the host's engine: builds, and names that are lent.
const BUILDS: &str = "world::docker::tests";
const LOANS: &str = "dayzero::node::loan::engine_tests";

const fn minutes(number: u64) -> Duration {
    Duration::from_secs(60 * number)
}

/// All of them, what fails soonest first.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "format",
        budget: minutes(1),
        needs: Needs::Nothing,
        counted: false,
        tools: &[Tool::Rustfmt],
        command: &["cargo", "fmt", "--all", "--check"],
    },
    Suite {
        name: "lints",
        budget: minutes(4),
        needs: Needs::Nothing,
        counted: false,
        tools: &[Tool::Clippy],
        command: &["cargo", "clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"],
    },
    Suite {
        name: "licences",
        budget: minutes(1),
        needs: Needs::Nothing,
        counted: false,
        tools: &[Tool::CargoDeny],
        command: &["cargo", "deny", "--log-level", "error", "check", "licenses", "bans", "sources"],
    },
    Suite {
        name: "engine",
        budget: minutes(5),
        needs: Needs::Nothing,
        counted: true,
        tools: &[],
        command: &["cargo", "test", "--package", "engine", "--package", "xtask-launcher"],
    },
    Suite {
        name: "tool",
        budget: minutes(5),
        needs: Needs::Nothing,
        counted: true,
        tools: &[],
        command: &["cargo", "test", "--package", "xtask", "--lib", "--", "--skip", BUILDS, "--skip", LOANS],
    },
    Suite {
        name: "recipes",
        budget: minutes(2),
        needs: Needs::Nothing,
        counted: true,
        tools: &[],
        command: &["cargo", "test", "--package", "xtask", "--test", "dayzero"],
    },
    Suite {
        name: "backend",
        budget: minutes(5),
        needs: Needs::Nothing,
        counted: true,
        tools: &[Tool::Uv, Tool::Python, Tool::PostgreSql, Tool::PgBouncer],
        command: &["uv", "run", "--directory", "backend", "pytest"],
    },
    Suite {
        name: "frontend packages",
        budget: minutes(2),
        needs: Needs::Nothing,
        counted: false,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "install", "--frozen-lockfile"],
    },
    Suite {
        name: "frontend",
        budget: minutes(2),
        needs: Needs::Nothing,
        counted: true,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "test"],
    },
    Suite {
        name: "frontend lint",
        budget: minutes(1),
        needs: Needs::Nothing,
        counted: false,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "lint"],
    },
    Suite {
        name: "frontend bundle",
        budget: minutes(3),
        needs: Needs::Nothing,
        counted: true,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "test:bundle"],
    },
    Suite {
        name: "frontend types",
        budget: minutes(1),
        needs: Needs::Nothing,
        counted: false,
        tools: FRONTEND,
        command: &["pnpm", "--dir", "frontend", "types"],
    },
    Suite {
        name: "chart",
        budget: minutes(3),
        needs: Needs::Nothing,
        counted: true,
        tools: &[Tool::Uv, Tool::Python, Tool::Helm],
        command: &["uv", "run", "--directory", "tests/chart", "pytest", "-m", "not cluster"],
    },
    Suite {
        name: "chart applied",
        budget: minutes(4),
        needs: Needs::Cluster,
        counted: true,
        tools: &[Tool::Uv, Tool::Python, Tool::Kubectl, Tool::Helm, Tool::Compose],
        command: &["uv", "run", "--directory", "tests/chart", "pytest", "-m", "cluster", "--ignore=test_data.py"],
    },
    Suite {
        name: "data",
        budget: minutes(6),
        needs: Needs::Cluster,
        counted: true,
        tools: &[Tool::Uv, Tool::Python, Tool::Kubectl, Tool::Helm],
        command: &["uv", "run", "--directory", "tests/chart", "pytest", "test_data.py"],
    },
    Suite {
        name: "builds",
        budget: minutes(5),
        needs: Needs::Cluster,
        counted: true,
        tools: &[Tool::OpenSsl],
        command: &["cargo", "test", "--package", "buildkit"],
    },
    Suite {
        name: "images",
        budget: minutes(2),
        needs: Needs::Cluster,
        counted: true,
        tools: &[],
        command: &["cargo", "test", "--package", "xtask", "--lib", "--", BUILDS, LOANS],
    },
    Suite {
        name: "rollouts",
        budget: minutes(8),
        needs: Needs::Cluster,
        counted: true,
        tools: CLUSTER,
        command: &["cargo", "test", "--package", "xtask", "--test", "settle", "--test", "pods", "--test", "lease"],
    },
    Suite {
        name: "system",
        budget: minutes(15),
        needs: Needs::Cluster,
        counted: true,
        tools: &[Tool::Kubectl, Tool::Helm, Tool::Strace, Tool::Chromium, Tool::Node],
        command: &["cargo", "test", "--package", "xtask", "--test", "system", "--", "--test-threads=1"],
    },
    Suite {
        name: "cluster gone",
        budget: minutes(5),
        needs: Needs::Cluster,
        counted: true,
        tools: CLUSTER,
        command: &[
            "cargo",
            "test",
            "--package",
            "xtask",
            "--test",
            "system",
            "--",
            "--ignored",
            "--test-threads=1",
            "cluster_gone",
        ],
    },
    Suite {
        name: "helms",
        budget: minutes(4),
        needs: Needs::Cluster,
        counted: true,
        tools: &[Tool::Kubectl, Tool::Helm, Tool::OldHelm],
        command: &["cargo", "test", "--package", "xtask", "--test", "helm"],
    },
    Suite {
        name: "dev for long",
        budget: minutes(20),
        needs: Needs::Time,
        counted: true,
        tools: CLUSTER,
        command: &[
            "cargo",
            "test",
            "--package",
            "xtask",
            "--test",
            "system",
            "--",
            "--ignored",
            "--test-threads=1",
            "dev::",
        ],
    },
    Suite {
        name: "minikube",
        budget: minutes(15),
        needs: Needs::Time,
        counted: true,
        tools: CLUSTER,
        command: &["cargo", "test", "--package", "xtask", "--test", "minikube", "--", "--ignored", "--test-threads=1"],
    },
];

#[cfg(test)]
mod tests {
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
