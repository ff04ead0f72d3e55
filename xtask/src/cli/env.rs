//! `env`: makes a shell's docker commands use the daemon that the pods' images come from.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use engine::config::Driver;
use engine::failure::Failure;
use serde::Serialize;

use super::problem::Problem;
use super::session::Project;
use super::{Format, Global};
use crate::world::World;
use crate::world::daemon::VARIABLES;

/// What `env` is asked for.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// The shell that evaluates the output [default: by $SHELL]
    #[arg(long, value_enum)]
    shell: Option<Shell>,
    /// Undo it: docker commands use the daemon that they used before
    #[arg(long)]
    unset: bool,
}

/// A shell's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// sh, bash, zsh, dash.
    Sh,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
}

/// What changes in a shell's environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
struct Changes {
    set: BTreeMap<String, String>,
    unset: Vec<String>,
}

/// What minikube itself puts in front of the variables that were there before, so that both find the host's daemon.
const BEFORE: &str = "MINIKUBE_EXISTING_";

/// Prints the commands that a shell has to evaluate.
///
/// # Errors
/// When the cluster is none that minikube runs, or its daemon does not answer: no shell is to be left with a daemon
/// that is not there.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let changes = if request.unset { without(&variable) } else { with(&daemon(global).await?, &variable) };
    let text = match global.format {
        Format::Json => json(&changes)?,
        Format::Human => {
            let shell = request.shell.unwrap_or_else(|| Shell::of(variable("SHELL").as_deref()));
            shell.script(&changes, request.unset)
        }
    };
    // Whoever closed the pipe does not want the rest.
    let _ = write!(anstream::stdout(), "{text}");
    Ok(ExitCode::SUCCESS)
}

async fn daemon(global: &Global) -> Result<BTreeMap<&'static str, String>, Problem> {
    let project = Project::load(global)?;
    let Some(cluster) = project.file.cluster.as_ref().filter(|cluster| cluster.driver == Driver::Minikube) else {
        return Err(Failure::usage(format!("{} declares no cluster that minikube runs", project.file.path.display()))
            .because("only minikube's node has a docker daemon of its own")
            .help("images for other clusters are built in the host's daemon, which docker uses anyway")
            .into());
    };
    let daemon = World::of_context(cluster.kube_context()).node_daemon().await?;
    daemon.api_version().await?;
    Ok(daemon.variables(Some(&cluster.profile)))
}

/// All four variables together, or none: a shell with some of them talks to a daemon that nobody meant.
fn with(daemon: &BTreeMap<&'static str, String>, variable: &dyn Fn(&str) -> Option<String>) -> Changes {
    let mut changes = Changes::default();
    let inside = variable("MINIKUBE_ACTIVE_DOCKERD").is_some();
    for name in VARIABLES {
        match daemon.get(name) {
            Some(value) => drop(changes.set.insert(name.to_owned(), value.clone())),
            None => changes.unset.push(name.to_owned()),
        }
        // Inside such a shell already, what was there before it is kept as it is.
        if let Some(before) = variable(name).filter(|_| !inside) {
            changes.set.insert(format!("{BEFORE}{name}"), before);
        }
    }
    changes
}

/// Back to what was there before.
fn without(variable: &dyn Fn(&str) -> Option<String>) -> Changes {
    let mut changes = Changes::default();
    for name in VARIABLES {
        let kept = format!("{BEFORE}{name}");
        match variable(&kept) {
            Some(before) => {
                changes.set.insert(name.to_owned(), before);
                changes.unset.push(kept);
            }
            None => changes.unset.push(name.to_owned()),
        }
    }
    changes
}

fn json(changes: &Changes) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(changes)
        .map_err(|error| Failure::environment("could not write JSON").because(error))?;
    Ok(text + "\n")
}

impl Shell {
    fn of(shell: Option<&str>) -> Self {
        match shell.and_then(|path| path.rsplit('/').next()) {
            Some("fish") => Self::Fish,
            Some("pwsh") => Self::Powershell,
            _ => Self::Sh,
        }
    }

    /// The commands, and how to have them evaluated.
    fn script(self, changes: &Changes, unset: bool) -> String {
        let mut script = String::new();
        for (name, value) in &changes.set {
            script.push_str(&match self {
                Self::Sh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
                Self::Fish => format!("set -gx {name} '{}'\n", value.replace('\\', r"\\").replace('\'', r"\'")),
                Self::Powershell => format!("$Env:{name} = '{}'\n", value.replace('\'', "''")),
            });
        }
        for name in &changes.unset {
            script.push_str(&match self {
                Self::Sh => format!("unset {name}\n"),
                Self::Fish => format!("set -e {name}\n"),
                Self::Powershell => format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n"),
            });
        }
        let flag = if unset { " --unset" } else { "" };
        script.push_str(&match self {
            Self::Sh => format!("# eval \"$(cargo xtask env{flag})\"\n"),
            Self::Fish => format!("# cargo xtask env{flag} --shell fish | source\n"),
            Self::Powershell => {
                format!("# cargo xtask env{flag} --shell powershell | Out-String | Invoke-Expression\n")
            }
        });
        script
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use super::{Changes, Shell, VARIABLES, with, without};

    fn daemon() -> BTreeMap<&'static str, String> {
        let values = ["tcp://127.0.0.1:32771", "1", "/home/it's me/.minikube/certs", "todo"];
        VARIABLES.into_iter().zip(values.map(str::to_owned)).collect()
    }

    /// How a shell is told to evaluate what follows, and to read nobody's settings before.
    const SHELLS: [(Shell, &[&str]); 3] = [
        (Shell::Sh, &["sh", "-euc"]),
        (Shell::Fish, &["fish", "--no-config", "--command"]),
        (Shell::Powershell, &["pwsh", "-NoProfile", "-Command"]),
    ];

    /// Those of them that this machine has; of the others only the words are known to be right.
    fn shells() -> impl Iterator<Item = (Shell, &'static [&'static str])> {
        SHELLS.into_iter().filter(|(_, words)| crate::world::process::resolve(words[0].as_ref(), None).is_some())
    }

    /// The environment after a real shell has evaluated the script in this one.
    fn evaluated(
        (shell, words): (Shell, &[&str]),
        changes: &Changes,
        before: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let script = shell.script(changes, false) + "env";
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(&script).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let output = command.env("HOME", home.path()).envs(before).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let variables = text.lines().filter_map(|line| line.split_once('='));
        let ours = variables.filter(|(name, _)| name.contains("DOCKER"));
        ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn look_up(variables: &BTreeMap<String, String>) -> impl Fn(&str) -> Option<String> {
        move |name| variables.get(name).cloned()
    }

    #[test]
    fn undoing_gives_back_what_was_there_before() {
        let before: [&[(&str, &str)]; 3] = [
            &[],
            &[("DOCKER_HOST", "unix:///run/user/1/docker.sock")],
            &[("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")],
        ];
        for before in before {
            let before: BTreeMap<_, _> = before.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            for shell in shells() {
                let inside = evaluated(shell, &with(&daemon(), &look_up(&before)), &before);
                for (name, value) in daemon() {
                    assert_eq!(inside.get(name), Some(&value), "{shell:?}");
                }
                let twice = evaluated(shell, &with(&daemon(), &look_up(&inside)), &inside);
                assert_eq!(twice, inside, "{shell:?}: evaluating it again changes nothing");
                assert_eq!(evaluated(shell, &without(&look_up(&inside)), &inside), before, "{shell:?}");
            }
        }
    }

    #[test]
    fn all_variables_are_set_together_or_none() {
        let plain = BTreeMap::from([("DOCKER_HOST", "tcp://h:2375".to_owned())]);
        let changes = with(&plain, &|_| None);
        assert_eq!(changes.set.keys().collect::<Vec<_>>(), ["DOCKER_HOST"]);
        assert_eq!(changes.unset, ["DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "MINIKUBE_ACTIVE_DOCKERD"]);
    }

    #[test]
    fn each_shell_has_its_own_words() {
        let set = BTreeMap::from([("A".to_owned(), r"it's C:\x".to_owned())]);
        let changes = Changes { set, unset: vec!["B".to_owned()] };
        let rows = [
            (Shell::Sh, "export A='it'\\''s C:\\x'\nunset B\n# eval \"$(cargo xtask env)\"\n"),
            (Shell::Fish, "set -gx A 'it\\'s C:\\\\x'\nset -e B\n# cargo xtask env --shell fish | source\n"),
            (
                Shell::Powershell,
                "$Env:A = 'it''s C:\\x'\nRemove-Item Env:B -ErrorAction SilentlyContinue\n\
                 # cargo xtask env --shell powershell | Out-String | Invoke-Expression\n",
            ),
        ];
        for (shell, expected) in rows {
            assert_eq!(shell.script(&changes, false), expected);
        }
    }

    #[test]
    fn the_shell_is_the_users() {
        let rows = [
            (Some("/usr/bin/fish"), Shell::Fish),
            (Some("/bin/zsh"), Shell::Sh),
            (Some("/usr/bin/pwsh"), Shell::Powershell),
            (None, Shell::Sh),
        ];
        for (shell, expected) in rows {
            assert_eq!(Shell::of(shell), expected);
        }
    }
}
