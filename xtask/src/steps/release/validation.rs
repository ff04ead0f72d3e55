//! Whether helm holds a release's objects against the API server's schemas first. Reading those takes half of an
//! upgrade's time, and what they have accepted need not be asked again for another image.

use std::collections::BTreeSet;

use engine::config::Release;
use engine::manifest::{Change, Source, What};
use engine::verdict::{Reason, Verdict};

/// Whether anything else has changed, since the last upgrade that has succeeded, than which images the pods run.
pub fn is_due(verdict: &Verdict, release: &Release) -> bool {
    let names: BTreeSet<String> = release
        .images
        .values()
        .flat_map(|used| used.paths.parts().into_iter().map(|(path, _)| path.keys().join(".")))
        .collect();
    let is_image = |reason: &Reason| match reason {
        Reason::Input(Change { source: Source::Value, name, what: What::Changed { .. } }) => names.contains(name),
        // The image is in it, and everything else that `dev` changes in a pod has the same shape whatever it is.
        Reason::Input(Change { source: Source::Definition, name, what: What::Changed { .. } }) => {
            name.starts_with("dev.")
        }
        _ => false,
    };
    verdict.is_fresh() || !verdict.reasons().iter().all(is_image)
}

#[cfg(test)]
mod tests {
    use engine::config::parse;
    use engine::manifest::{Change, Source, What};
    use engine::verdict::{Difference, Reason, Verdict};

    use super::is_due;

    const FILE: &str = r#"
        project = "p"

        [cluster]
        driver = "context"
        context = "c"

        [image.web]
        context = "web"

        [release.app]
        chart     = "chart"
        namespace = "n"
        images    = { "web.image" = "web" }
    "#;

    fn changed(source: Source, name: &str) -> Reason {
        Reason::Input(Change { source, name: name.to_owned(), what: What::Changed { from: None, to: None } })
    }

    fn added(source: Source, name: &str) -> Reason {
        Reason::Input(Change { source, name: name.to_owned(), what: What::Added { to: None } })
    }

    #[test]
    fn only_another_image_needs_no_validation() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["web/Dockerfile", "chart/Chart.yaml"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let file = parse(FILE, &folder.path().join("xtask.toml")).unwrap();
        let release = &file.releases["app"];
        let tag = || changed(Source::Value, "web.image.tag");
        let rows = [
            (vec![tag()], false),
            (vec![changed(Source::Value, "web.image.repository"), tag()], false),
            (vec![tag(), changed(Source::Definition, "dev.web")], false),
            (vec![tag(), added(Source::Definition, "dev.web")], true),
            (vec![added(Source::Value, "web.image.tag")], true),
            (vec![changed(Source::Value, "web.image.pullPolicy")], true),
            (vec![tag(), changed(Source::Value, "replicas")], true),
            (vec![tag(), changed(Source::Definition, "chart")], true),
            (vec![tag(), changed(Source::Files, "chart")], true),
            (vec![tag(), changed(Source::Tool, "helm")], true),
            (vec![tag(), changed(Source::Upstream, "cluster")], true),
            (vec![tag(), Reason::World(Difference::Altered("Deployment web".to_owned()))], true),
            (vec![tag(), Reason::Interrupted], true),
            (vec![Reason::NeverRun], true),
            (vec![Reason::Forced], true),
        ];
        for (reasons, due) in rows {
            assert_eq!(is_due(&Verdict::Stale(reasons.clone()), release), due, "{reasons:?}");
        }
    }
}
