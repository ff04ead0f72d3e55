//! The programs that a deploy runs, and those that only people do.

use std::ffi::OsStr;

use engine::failure::Failure;
use tokio_util::sync::CancellationToken;

use super::{Finding, Standing, Wanted};
use crate::dayzero::{host_engine, packages};
use crate::world::process;
use crate::world::tool::{Kind, Tool, Tools};

pub(super) async fn look(wanted: &Wanted<'_>, cancel: &CancellationToken) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What is remembered of them stays as it was: here they are asked.
    if let Ok(nowhere) = tempfile::tempdir() {
        let tools = Tools::in_folder(nowhere.path());
        let (minikube, helm) = tokio::join!(tools.find(Kind::Minikube, cancel), tools.find(Kind::Helm, cancel));
        for (kind, found) in [(Kind::Minikube, minikube), (Kind::Helm, helm)] {
            findings.push(judge(kind.name(), found, is_needed(wanted, kind), wanted.installs));
        }
    }
    let path = |name: &str| process::resolve(OsStr::new(name), None).map(|path| path.display().to_string());
    findings.push(helps("curl", path("curl"), "what is missing is got by it, so it is installed first", "curl"));
    let compiler = ["cc", "gcc", "clang"].into_iter().find_map(path);
    findings.push(helps("C compiler", compiler, "neither this tool nor minikube can be compiled", "gcc libc6-dev"));
    findings.push(for_people("kubectl", path("kubectl")));
    findings
}

/// docker's client, which comes with docker where a deploy `brings` that.
///
/// # Errors
/// As of [`packages::can_be_installed`].
pub(super) async fn client(brings: bool, cancel: &CancellationToken, wanted: &Wanted<'_>) -> Result<Finding, Failure> {
    let path = process::resolve(OsStr::new("docker"), None).map(|path| path.display().to_string());
    let asks = path.is_none() && !brings && host_engine::client_can_be_got();
    let gets = brings || asks && packages::can_be_installed(cancel).await?;
    Ok(docker(path, wanted.minikube().is_some(), gets, host_engine::client_command()))
}

/// Those of the tools that a deploy would get, by their names among `found`.
pub(super) fn lacking(wanted: &Wanted<'_>, found: &[Finding]) -> Vec<&'static str> {
    let lacks = |kind: &Kind| found.iter().any(|it| it.need == kind.name() && it.standing != Standing::Good);
    [Kind::Minikube, Kind::Helm]
        .into_iter()
        .filter(|kind| is_needed(wanted, *kind) && lacks(kind))
        .map(Kind::name)
        .collect()
}

fn is_needed(wanted: &Wanted<'_>, kind: Kind) -> bool {
    match kind {
        Kind::Minikube => wanted.minikube().is_some(),
        Kind::Helm => true,
    }
}

fn judge(name: &str, found: Result<Tool, Failure>, needed: bool, installs: bool) -> Finding {
    match found {
        Ok(tool) => Finding::good(name, tool.version.to_string(), tool.path.display().to_string()),
        Err(failure) if !needed => Finding::note(name, failure.message, "PATH"),
        Err(failure) if installs => {
            Finding::note(name, format!("{}; a deploy gets one", failure.message), "PATH").mend("cargo xtask deploy")
        }
        Err(failure) => {
            let mend = failure.help.last().cloned().unwrap_or_else(|| format!("install {name}"));
            Finding::short(name, failure.message, "PATH").mend(mend)
        }
    }
}

/// docker's client, by which minikube makes its node, and our own pulls of images are made.
fn docker(path: Option<String>, needed: bool, gets: bool, command: String) -> Finding {
    match path {
        Some(path) => Finding::good("docker's client", "there", path),
        None if !needed => Finding::note("docker's client", "none; images cannot be pulled", "PATH").mend(command),
        None if gets => Finding::note("docker's client", "none; a deploy gets it", "PATH").mend("cargo xtask deploy"),
        None => Finding::short("docker's client", "none, and minikube makes its node by it", "PATH").mend(command),
    }
}

/// What there is another way without.
fn helps(need: &str, path: Option<String>, otherwise: &str, packages: &str) -> Finding {
    match path {
        Some(path) => Finding::good(need, "there", path),
        None => Finding::note(need, format!("none; {otherwise}"), "PATH")
            .mend(format!("sudo apt-get install --no-install-recommends {packages}")),
    }
}

/// Nothing here runs it; its absence is worth a word only to those who look for it.
fn for_people(name: &str, path: Option<String>) -> Finding {
    match path {
        Some(path) => Finding::good(name, "there; a deploy does without", path),
        None => Finding::good(name, "none; a deploy does without", "PATH"),
    }
}

#[cfg(test)]
mod tests {
    use engine::failure::Failure;

    use super::{docker, judge};
    use crate::doctor::Standing;
    use crate::world::tool::{Tool, Version};

    #[test]
    fn without_dockers_client_there_is_no_node() {
        let there = || Some("/usr/bin/docker".to_owned());
        let rows = [
            (there(), true, false, Standing::Good),
            (None, true, true, Standing::Note),
            (None, true, false, Standing::Short),
            (None, false, false, Standing::Note),
        ];
        for (path, needed, gets, expected) in rows {
            let finding = docker(path, needed, gets, "apt".to_owned());
            assert_eq!(finding.standing, expected, "{needed} {gets}");
            assert_eq!(finding.mend.is_none(), expected == Standing::Good, "{needed} {gets}");
        }
    }

    #[test]
    fn a_missing_tool_is_short_only_where_a_deploy_does_not_get_it() {
        let old = || Failure::environment("/usr/bin/helm is helm 3.0.0, which is too old").help("get a newer one");
        let check = |needed, installs, expected| {
            assert_eq!(judge("helm", Err(old()), needed, installs).standing, expected, "{needed} {installs}");
        };
        check(true, true, Standing::Note);
        check(true, false, Standing::Short);
        check(false, false, Standing::Note);
        let version = Version { major: 4, minor: 1, patch: 4 };
        let found = judge("helm", Ok(Tool { path: "/usr/bin/helm".into(), version }), true, false);
        assert_eq!((found.found.as_str(), found.source.as_str()), ("4.1.4", "/usr/bin/helm"));
    }
}
