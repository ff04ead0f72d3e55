//! The programs that a deploy runs, and those that only people do.

use std::ffi::OsStr;

use engine::failure::Failure;
use tokio_util::sync::CancellationToken;

use super::{Finding, Wanted};
use crate::world::process;
use crate::world::tool::{Kind, Tool, Tools};

pub(super) async fn look(wanted: &Wanted<'_>, cancel: &CancellationToken) -> Vec<Finding> {
    let needed = |kind| match kind {
        Kind::Minikube => wanted.minikube().is_some(),
        Kind::Helm => true,
    };
    let mut findings = Vec::new();
    // What is remembered of them stays as it was: here they are asked.
    if let Ok(nowhere) = tempfile::tempdir() {
        let tools = Tools::in_folder(nowhere.path());
        let (minikube, helm) = tokio::join!(tools.find(Kind::Minikube, cancel), tools.find(Kind::Helm, cancel));
        for (kind, found) in [(Kind::Minikube, minikube), (Kind::Helm, helm)] {
            findings.push(judge(kind.name(), found, needed(kind), wanted.installs));
        }
    }
    for name in ["kubectl", "docker"] {
        findings
            .push(for_people(name, process::resolve(OsStr::new(name), None).map(|path| path.display().to_string())));
    }
    findings
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

    use super::judge;
    use crate::doctor::Standing;
    use crate::world::tool::{Tool, Version};

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
