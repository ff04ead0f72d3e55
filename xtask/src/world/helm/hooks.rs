//! Hooks: objects that helm makes at certain moments of an upgrade, waits for and forgets.
//!
//! Helm marks nothing on them as the release's own, so whoever wants to see what they do has to know their names.

use std::fs;
use std::path::Path;

use crate::diagnose::evidence::{Identity, Kind};
use crate::world::kube::rendered::Rendered;

/// The annotation with the moments.
pub const HOOK: &str = "helm.sh/hook";

/// The moments at which an install or an upgrade makes hooks; those of a test or a removal are none.
const MOMENTS: [&str; 4] = ["pre-install", "post-install", "pre-upgrade", "post-upgrade"];

/// Whether any template of the chart, or of one inside it, may have hooks that an upgrade runs: by their text.
pub fn may_have(chart: &Path) -> bool {
    let entries = fs::read_dir(chart).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return may_have(&path);
        }
        // A packed chart is not unpacked for this.
        let packed = path.extension().is_some_and(|extension| extension == "tgz");
        packed || fs::read_to_string(&path).is_ok_and(|text| MOMENTS.iter().any(|moment| text.contains(moment)))
    })
}

/// The annotation that says when helm removes a hook's object.
const DELETE_POLICY: &str = "helm.sh/hook-delete-policy";

/// Whether helm, as it installs a release, removes the object of a hook that is there and makes it anew, and leaves it
/// alone in upgrades: an object that is made once.
pub fn is_made_once(object: &Rendered) -> bool {
    let at = |wanted: &str| {
        let moments = object.annotation(HOOK).unwrap_or_default();
        moments.split(',').any(|moment| moment.trim().ends_with(wanted))
    };
    let policy = object.annotation(DELETE_POLICY).unwrap_or_default();
    let removes = policy.is_empty() || policy.split(',').any(|policy| policy.trim() == "before-hook-creation");
    at("-install") && !at("-upgrade") && removes
}

/// Whether an install or an upgrade makes the object, as a hook or not; those of a test or a removal are made by neither.
pub fn is_made_by_upgrades(object: &Rendered) -> bool {
    object.annotation(HOOK).is_none_or(|moments| moments.split(',').any(|moment| MOMENTS.contains(&moment.trim())))
}

/// The workloads among the hooks of a rendered chart.
pub fn workloads(objects: &[Rendered], namespace: &str) -> Vec<Identity> {
    let hooks = objects.iter().filter(|object| object.annotation(HOOK).is_some() && is_made_by_upgrades(object));
    let identity = |object: &Rendered| {
        let namespace = object.namespace.clone().unwrap_or_else(|| namespace.to_owned());
        Some(Identity::new(Kind::from_word(&object.kind)?, namespace, object.name.clone()))
    };
    hooks.filter_map(identity).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{is_made_once, may_have, workloads};
    use crate::world::kube::rendered;

    #[test]
    fn what_is_made_once_is_known_by_moments_and_policy() {
        let check = |annotations: &str, expected: bool| {
            let text = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a, annotations: {{{annotations}}}}}\n");
            assert_eq!(is_made_once(&rendered::objects(&text, "test").unwrap()[0]), expected, "{annotations}");
        };
        check("helm.sh/hook: pre-install", true);
        check("helm.sh/hook: post-install", true);
        check("helm.sh/hook: pre-install, helm.sh/hook-delete-policy: before-hook-creation", true);
        check("helm.sh/hook: pre-install, helm.sh/hook-delete-policy: \"hook-failed, before-hook-creation\"", true);
        check("helm.sh/hook: pre-install, helm.sh/hook-delete-policy: hook-failed", false);
        check("helm.sh/hook: \"pre-install, pre-upgrade\"", false);
        check("helm.sh/hook: pre-delete", false);
        check("helm.sh/resource-policy: keep", false);
    }

    #[test]
    fn hooks_of_an_upgrade_are_found_and_no_others() {
        let hook = |name: &str, kind: &str, moments: &str| {
            format!(
                "---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: \"{moments}\"}}}}\n"
            )
        };
        let text = [
            hook("migrate", "Job", "pre-install, pre-upgrade"),
            hook("test", "Pod", "test"),
            hook("rights", "Role", "pre-install"),
            "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: plain}\n".to_owned(),
        ]
        .concat();
        let found = workloads(&rendered::objects(&text, "test").unwrap(), "todo");
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Job migrate"]);

        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("templates/a.yaml");
        fs::create_dir(folder.path().join("templates")).unwrap();
        fs::write(&template, "helm.sh/hook: test").unwrap();
        assert!(!may_have(folder.path()));
        fs::write(&template, "helm.sh/hook: post-upgrade").unwrap();
        assert!(may_have(folder.path()));
    }
}
