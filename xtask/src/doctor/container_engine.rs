//! The container engine of this machine: whether one answers, and what a deploy would do if not.

use engine::failure::Failure;
use tokio::time::timeout;

use super::{Finding, PATIENCE, Wanted};
use crate::dayzero::host_engine;
use crate::world::daemon::Daemon;

pub(super) async fn look(wanted: &Wanted<'_>) -> Finding {
    match Daemon::of_host() {
        Ok(host) => match timeout(PATIENCE, ask(&host)).await {
            Ok(answer) => {
                let gets_one = wanted.installs && wanted.root && host_engine::can_be_got(&host);
                judge(&host.to_string(), answer, wanted.minikube().is_some(), gets_one)
            }
            Err(late) => {
                let failure = Failure::environment("it does not answer").because(late);
                judge(&host.to_string(), Err(failure), wanted.minikube().is_some(), false)
            }
        },
        Err(failure) => judge("docker's settings", Err(failure), wanted.minikube().is_some(), false),
    }
}

async fn ask(host: &Daemon) -> Result<String, Failure> {
    let about = host.connect().await?.version().await.map_err(|error| host.unreachable(&error))?;
    let version = about.version.unwrap_or_else(|| "of no version".to_owned());
    Ok(format!("docker {version}, API {}", about.api_version.unwrap_or_default()))
}

fn judge(source: &str, answer: Result<String, Failure>, needed: bool, gets_one: bool) -> Finding {
    match answer {
        Ok(found) => Finding::good("engine", found, source),
        Err(failure) if !needed => Finding::note("engine", failure.message, source),
        Err(_) if gets_one => Finding::note("engine", "none answers; a deploy installs and starts docker", source)
            .mend("cargo xtask deploy"),
        Err(failure) => {
            let start = "sudo systemctl enable --now docker".to_owned();
            Finding::short("engine", failure.message, source).mend(failure.help.into_iter().next().unwrap_or(start))
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::failure::Failure;

    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn an_engine_is_short_only_where_a_deploy_cannot_help() {
        let silent = || Failure::environment("no docker daemon answers at /var/run/docker.sock");
        let check = |answer, needed, gets_one, expected| {
            assert_eq!(judge("a socket", answer, needed, gets_one).standing, expected);
        };
        check(Ok("docker 20.10.24, API 1.41".to_owned()), true, false, Standing::Good);
        check(Err(silent()), true, true, Standing::Note);
        check(Err(silent()), true, false, Standing::Short);
        check(Err(silent()), false, false, Standing::Note);
        let finding = judge("a socket", Err(silent().help("newgrp docker")), true, false);
        assert_eq!(finding.mend.as_deref(), Some("newgrp docker"), "the failure knows better than any guess");
    }
}
