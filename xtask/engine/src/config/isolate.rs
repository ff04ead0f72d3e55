//! A deployment of its own: the same steps under another project's name and in other namespaces, so that it can run
//! beside the one that the graph file describes, in the same cluster.
//!
//! Whatever the tool makes is known by the project's name (labels, images) and by its namespace (releases, Secrets), so
//! those two are all that has to differ. What a chart should do otherwise there stands in the release's `isolated`.
//! Who deploys in isolation, and why, is not known here.

use std::collections::{BTreeMap, BTreeSet};

use super::file::GraphFile;
use super::inline::Inline;
use super::names::{Namespace, ProjectName, StepName};
use super::ports::{ServicePort, unprivileged};
use super::template::Reference;
use super::text::Text;
use crate::digest::Digest;
use crate::failure::Failure;

/// Which isolated deployment a graph file was made to describe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// What distinguishes it.
    pub name: String,
    /// The local ports of Services, `todo-frontend:80`, that are not those of its name.
    pub ports: BTreeMap<String, u16>,
}

impl GraphFile {
    /// Makes this the graph file of the isolated deployment `name`: project, namespaces and the default repositories of
    /// images end in `-NAME`, and each release's `isolated` values lie over its others. `ports` are the local ports of
    /// Services that had to be others than its name gives.
    ///
    /// # Errors
    /// `Class::Usage` when `name` has not the form of a step's name, or makes another name too long.
    pub fn isolate(&mut self, name: &str, ports: &BTreeMap<String, u16>) -> Result<(), Failure> {
        if StepName::parse(name).is_err() {
            return Err(Failure::usage(format!("`{name}` cannot be the name of an isolated deployment"))
                .help("use lower-case letters, digits and `-`"));
        }
        let project = suffixed::<ProjectName>(&self.project, name)?;
        let deployed = self.releases.values().map(|release| &release.namespace);
        let deployed = deployed.chain(self.manifests.values().map(|manifests| &manifests.namespace));
        let namespaces: BTreeSet<String> = deployed.cloned().collect();
        let renamed = namespaces.into_iter().map(|namespace| {
            let isolated = suffixed::<Namespace>(&namespace, name)?;
            Ok((namespace, isolated))
        });
        let renamed: BTreeMap<String, String> = renamed.collect::<Result<_, Failure>>()?;
        let rename = |namespace: &mut String| {
            // A check may look into a namespace that nothing here is deployed to.
            if let Some(isolated) = renamed.get(namespace) {
                namespace.clone_from(isolated);
            }
        };
        for release in self.releases.values_mut() {
            rename(&mut release.namespace);
            overlay(&mut release.set, std::mem::take(&mut release.isolated));
        }
        self.manifests.values_mut().for_each(|manifests| rename(&mut manifests.namespace));
        self.checks.values_mut().for_each(|check| rename(&mut check.namespace));
        let ours = format!("{}/", self.project);
        for image in self.images.values_mut() {
            if let Some(rest) = image.repository.strip_prefix(&ours) {
                image.repository = format!("{project}/{rest}");
            }
        }
        self.project = project;
        self.isolation = Some(Isolation { name: name.to_owned(), ports: ports.clone() });
        let ports = self.checks.iter().map(|(check, definition)| (check.clone(), self.local_port(&definition.service)));
        let ports: BTreeMap<String, u16> = ports.collect();
        let url = |reference: &Reference| match reference {
            Reference::CheckUrl(check) => Some(format!("http://localhost:{}", ports.get(check)?)),
            _ => None,
        };
        let values = self.releases.values_mut().flat_map(|release| release.set.values_mut());
        values.for_each(|value| value.bind(&url));
        Ok(())
    }

    /// The port of this machine on which a dev loop opens a Service: its own, 8000 higher where that is below 1024 and
    /// so not everybody's. An isolated deployment's are far from those, by its name and always the same, unless others
    /// were given to it.
    pub fn local_port(&self, service: &ServicePort) -> u16 {
        match &self.isolation {
            None => unprivileged(service.port),
            Some(Isolation { name, ports }) => {
                if let Some(given) = ports.get(&service.to_string()) {
                    return *given;
                }
                let digest = Digest::of_bytes(format!("{} {name} {service}", self.project).as_bytes()).to_string();
                let number = digest.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
                20_000 + number.unwrap_or_default() % 10_000
            }
        }
    }

    /// The namespaces that releases and manifests are deployed to.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        let releases = self.releases.values().map(|release| release.namespace.as_str());
        releases.chain(self.manifests.values().map(|manifests| manifests.namespace.as_str())).collect()
    }
}

fn suffixed<T: Text>(text: &str, suffix: &str) -> Result<String, Failure> {
    let name = format!("{text}-{suffix}");
    match T::parse(&name) {
        Ok(_) => Ok(name),
        Err(flaw) => Err(Failure::usage(format!("`{name}` is not {}", T::WHAT)).because(flaw.label)),
    }
}

/// Lays `over` on `under`: maps are merged key by key, anything else is replaced.
fn overlay(under: &mut BTreeMap<String, Inline>, over: BTreeMap<String, Inline>) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Inline::Map(under)), Inline::Map(over)) => overlay(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use crate::config::{GraphFile, parse};

    const FILE: &str = r#"
        project = "shop"
        cluster = { profile = "lab" }
        [manifests.rules]
        files     = ["*.yaml"]
        namespace = "rules"
        [check.dns]
        service   = "dns:80"
        get       = "/"
        namespace = "elsewhere"
        [check.rules]
        service   = "web:80"
        get       = "/"
        namespace = "rules"
    "#;

    fn file() -> GraphFile {
        parse(FILE, Path::new("xtask.toml")).unwrap()
    }

    #[test]
    fn everything_that_is_known_by_a_name_has_another() {
        let mut file = file();
        file.isolate("ci-1", &BTreeMap::new()).unwrap();
        assert_eq!(file.project, "shop-ci-1");
        assert_eq!(file.namespaces().into_iter().collect::<Vec<_>>(), ["rules-ci-1"]);
        assert_eq!(file.checks["rules"].namespace, "rules-ci-1");
    }

    #[test]
    fn a_service_has_the_local_port_of_its_deployments_name_or_the_one_that_it_was_given() {
        let service = file().checks["rules"].service.clone();
        let port = |name: &str, given: &BTreeMap<String, u16>| {
            let mut file = file();
            file.isolate(name, given).unwrap();
            file.local_port(&service)
        };
        let none = BTreeMap::new();
        assert_eq!(file().local_port(&service), 8080);
        assert_eq!(port("mine", &none), port("mine", &none));
        assert_ne!(port("mine", &none), port("yours", &none));
        assert_eq!(port("mine", &BTreeMap::from([("web:80".to_owned(), 20_345)])), 20_345);
        assert_eq!(port("mine", &BTreeMap::from([("dns:80".to_owned(), 20_345)])), port("mine", &none));
    }

    #[test]
    fn what_is_not_ours_keeps_its_name() {
        let mut file = file();
        file.isolate("ci-1", &BTreeMap::new()).unwrap();
        assert_eq!(file.checks["dns"].namespace, "elsewhere", "nothing is deployed there");
        assert_eq!(file.cluster.unwrap().profile, "lab", "it is the same cluster");
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for name in ["", "A", "a b", "-", &"x".repeat(64)] {
            assert!(file().isolate(name, &BTreeMap::new()).is_err(), "{name}");
        }
    }

    #[test]
    fn isolated_values_lie_over_the_others_key_by_key() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("chart/templates")).unwrap();
        std::fs::write(folder.path().join("chart/Chart.yaml"), "name: web\nversion: 0.1.0\n").unwrap();
        std::fs::create_dir_all(folder.path().join("app")).unwrap();
        std::fs::write(folder.path().join("app/Dockerfile"), "FROM scratch\n").unwrap();
        let text = r#"
            project = "shop"
            cluster = { profile = "lab" }
            image.app.context   = "app"
            image.other         = { context = "app", repository = "registry.example/other" }
            [release.web]
            chart     = "chart"
            namespace = "shop"
            images    = { image = "app" }
            set       = { web = { replicas = 3, port = 80 }, debug = true }
            isolated  = { web = { replicas = 1 }, host = "${project}.example" }
        "#;
        let mut file = parse(text, &folder.path().join("xtask.toml")).unwrap();
        file.isolate("mine", &BTreeMap::new()).unwrap();
        let release = &file.releases["web"];
        let values = release.set.iter().map(|(key, value)| {
            let value = value.expand(&|_| Some("shop-mine".to_owned())).unwrap();
            (key.clone(), value)
        });
        let values: serde_json::Map<_, _> = values.collect();
        let expected = serde_json::json!({
            "web": {"replicas": 1, "port": 80}, "debug": true, "host": "shop-mine.example",
        });
        assert_eq!(serde_json::Value::Object(values), expected);
        assert_eq!(release.namespace, "shop-mine");
        assert_eq!(file.images["app"].repository, "shop-mine/app");
        assert_eq!(file.images["other"].repository, "registry.example/other");
    }
}
