//! The container engine of this machine: whether one answers, and what a deploy would do if not.

use engine::failure::Failure;
use tokio::time::timeout;

use super::{Finding, PATIENCE, Wanted, capabilities};
use crate::dayzero::host_engine;
use crate::world::daemon::Daemon;

/// What a deploy does where no engine answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Otherwise {
    /// It gets one.
    Gets,
    /// It would, and cannot, for this reason.
    Fails(String),
    /// It says what somebody has to type who may.
    Tells(Vec<String>),
    /// Nothing.
    Nothing,
}

/// What is found, and whether a deploy brings an engine where none answers.
pub(super) async fn look(wanted: &Wanted<'_>) -> (Finding, bool) {
    let needed = wanted.minikube().is_some();
    let (source, answer, otherwise) = match Daemon::of_host() {
        Ok(host) => {
            let otherwise = match host_engine::can_be_got(&host) {
                true => otherwise(wanted, capabilities::hindrance(), host_engine::by_hand),
                false => Otherwise::Nothing,
            };
            match timeout(PATIENCE, ask(&host)).await {
                Ok(answer) => (host.to_string(), answer, otherwise),
                // It is there and hangs: starting another would not help.
                Err(late) => {
                    let failure = Failure::environment("it does not answer").because(late);
                    (host.to_string(), Err(failure), Otherwise::Nothing)
                }
            }
        }
        Err(failure) => ("docker's settings".to_owned(), Err(failure), Otherwise::Nothing),
    };
    let comes = answer.is_err() && otherwise == Otherwise::Gets;
    (judge(&source, answer, needed, otherwise), comes)
}

/// Of an engine that can be got here, by whoever may.
fn otherwise(wanted: &Wanted<'_>, hindrance: Option<String>, by_hand: impl FnOnce() -> Vec<String>) -> Otherwise {
    match hindrance {
        Some(hindrance) => Otherwise::Fails(hindrance),
        None if wanted.installs && wanted.root => Otherwise::Gets,
        None => Otherwise::Tells(by_hand()),
    }
}

async fn ask(host: &Daemon) -> Result<String, Failure> {
    let about = host.connect().await?.version().await.map_err(|error| host.unreachable(&error))?;
    let version = about.version.unwrap_or_else(|| "of no version".to_owned());
    Ok(format!("docker {version}, API {}", about.api_version.unwrap_or_default()))
}

fn judge(source: &str, answer: Result<String, Failure>, needed: bool, otherwise: Otherwise) -> Finding {
    match (answer, otherwise) {
        (Ok(found), _) => Finding::good("engine", found, source),
        (Err(failure), _) if !needed => Finding::note("engine", failure.message, source),
        (Err(_), Otherwise::Gets) => {
            Finding::note("engine", "none answers; a deploy installs and starts docker", source)
                .mend("cargo xtask deploy")
        }
        (Err(_), Otherwise::Fails(hindrance)) => {
            Finding::short("engine", format!("none answers, and {hindrance}"), source).mend(capabilities::MEND)
        }
        // One that is there for others is not installed once more.
        (Err(failure), Otherwise::Tells(commands)) if !commands.is_empty() && !host_engine::is_for_others(&failure) => {
            let found = format!("{}; log in anew after these commands", failure.message);
            Finding::short("engine", found, source).mend(commands.join(" && "))
        }
        (Err(failure), Otherwise::Tells(_) | Otherwise::Nothing) => {
            let start = "sudo systemctl enable --now docker".to_owned();
            Finding::short("engine", failure.message, source).mend(failure.help.into_iter().next().unwrap_or(start))
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::failure::Failure;

    use super::{Otherwise, judge, otherwise};
    use crate::doctor::{Standing, Wanted};

    #[test]
    fn an_engine_is_short_only_where_a_deploy_cannot_help() {
        let silent = || Failure::environment("no docker daemon answers at /var/run/docker.sock");
        let privileged = || Otherwise::Fails("no CAP_SYS_ADMIN: no engine can be started here".to_owned());
        let check = |answer, needed, otherwise, expected| {
            assert_eq!(judge("a socket", answer, needed, otherwise).standing, expected);
        };
        check(Ok("docker 20.10.24, API 1.41".to_owned()), true, Otherwise::Nothing, Standing::Good);
        check(Ok("docker 20.10.24, API 1.41".to_owned()), true, privileged(), Standing::Good);
        check(Err(silent()), true, Otherwise::Gets, Standing::Note);
        check(Err(silent()), true, Otherwise::Nothing, Standing::Short);
        check(Err(silent()), true, privileged(), Standing::Short);
        check(Err(silent()), false, Otherwise::Nothing, Standing::Note);
        let mend = judge("a socket", Err(silent()), true, privileged()).mend;
        assert!(mend.is_some_and(|mend| mend.contains("--privileged")));
        let finding = judge("a socket", Err(silent().help("newgrp docker")), true, Otherwise::Nothing);
        assert_eq!(finding.mend.as_deref(), Some("newgrp docker"), "the failure knows better than any guess");
    }

    #[test]
    fn who_may_not_bring_docker_up_is_given_the_commands_that_a_deploy_tells() {
        let check = |failure: Failure, commands: &[&str], expected: &str| {
            let otherwise = Otherwise::Tells(commands.iter().map(|command| (*command).to_owned()).collect());
            let finding = judge("a socket", Err(failure), true, otherwise);
            assert_eq!((finding.standing, finding.mend.as_deref()), (Standing::Short, Some(expected)));
        };
        let silent = || Failure::environment("no docker daemon answers").help("install docker");
        check(
            silent(),
            &["sudo apt-get install docker.io", "sudo dockerd"],
            "sudo apt-get install docker.io && sudo dockerd",
        );
        check(silent(), &[], "install docker");
        check(silent().because("Permission denied"), &["sudo dockerd"], "install docker");
    }

    #[test]
    fn only_root_gets_an_engine_and_nobody_where_the_kernel_lets_none_start() {
        let lacks = || Some("no CAP_NET_ADMIN: no engine can be started here".to_owned());
        let fails = Otherwise::Fails(lacks().unwrap());
        let tells = || Otherwise::Tells(vec!["sudo dockerd".to_owned()]);
        let rows = [
            (true, true, None, Otherwise::Gets),
            (true, true, lacks(), fails.clone()),
            (true, false, lacks(), fails),
            (false, true, None, tells()),
            (true, false, None, tells()),
        ];
        for (installs, root, hindrance, expected) in rows {
            let wanted =
                Wanted { cluster: None, made: false, installs, root, has_a_node_image: false, builds_on_bases: false };
            let found = otherwise(&wanted, hindrance.clone(), || vec!["sudo dockerd".to_owned()]);
            assert_eq!(found, expected, "{installs} {root} {hindrance:?}");
        }
    }
}
