//! A minikube profile as minikube's own file describes it.

use std::fs;
use std::path::PathBuf;

use engine::failure::{Class, Failure};
use serde::Deserialize;

use super::home::Home;

/// What is read of `profiles/NAME/config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name, which is also the kubeconfig context's and the node container's.
    pub name: String,
    /// `docker`.
    pub driver: String,
    /// `docker`.
    pub runtime: String,
    /// The Kubernetes version with its `v`: `v1.34.4`.
    pub kubernetes: String,
    /// The image that its node is made from.
    pub image: String,
    /// CPUs of the node.
    pub cpus: u32,
    /// Memory of the node in MiB.
    pub memory: u64,
    /// Its nodes.
    pub nodes: Vec<Address>,
    /// Options that its daemon was made with.
    docker_options: Vec<String>,
    path: PathBuf,
}

/// Where a node is in the network of the host's daemon.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Address {
    /// `192.168.49.2`; empty while the node is being made.
    #[serde(rename = "IP")]
    pub ip: String,
    /// The port of its API server.
    pub port: u16,
}

impl Profile {
    /// Reads the profile `name`; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or is not what minikube writes.
    pub fn read(home: &Home, name: &str) -> Result<Option<Self>, Failure> {
        let path = home.profile_file(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("read minikube's profile", &path, &error)),
        };
        Self::parse(&text, name, path).map(Some)
    }

    /// Reads what the file at `path` contains.
    pub(crate) fn parse(text: &str, name: &str, path: PathBuf) -> Result<Self, Failure> {
        match serde_json::from_str::<File>(text) {
            Ok(file) => Ok(file.profile(name, path)),
            Err(error) => Err(Failure::environment(format!("minikube's profile {} is damaged", path.display()))
                .because(error)
                .help(format!("remove it and deploy again: `minikube delete -p {name}` (its volumes go with it)"))),
        }
    }

    /// Whether it is of the kind that is handled here.
    ///
    /// # Errors
    /// `Class::Cluster` for another driver, another runtime or several nodes, with what to change.
    pub fn require_usable(&self) -> Result<(), Failure> {
        let name = &self.name;
        let refuse = |what: String, wanted: &str| {
            let failure =
                Failure::new(Class::Cluster, format!("the minikube profile `{name}` {what}; wanted is {wanted}"));
            failure
                .because(format!("so says {}", self.path.display()))
                .help("give this project a profile of its own: set `profile` in the table [cluster] of xtask.toml")
                .help(format!(
                    "or give the name free: `minikube delete -p {name}` removes that cluster and all that is in it"
                ))
                .help(format!("or use it as it is: driver = \"context\" and context = \"{name}\" in that table"))
        };
        if self.driver != "docker" {
            return Err(refuse(format!("has the driver `{}`", self.driver), "docker"));
        }
        if self.runtime != "docker" {
            return Err(refuse(format!("runs containers with `{}`", self.runtime), "docker"));
        }
        match self.nodes.len() {
            0 | 1 => Ok(()),
            nodes => Err(refuse(format!("has {nodes} nodes"), "one, because images are built in its daemon")),
        }
    }

    /// For which project it was made by this tool; `None` when somebody else made it.
    pub fn made_for(&self) -> Option<&str> {
        self.docker_options
            .iter()
            .find_map(|option| option.strip_prefix("label=")?.strip_prefix(super::start::OWNER)?.strip_prefix('='))
    }
}

/// The shape of the file, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    driver: String,
    #[serde(default)]
    kic_base_image: String,
    #[serde(default)]
    memory: u64,
    #[serde(rename = "CPUs", default)]
    cpus: u32,
    #[serde(default)]
    docker_opt: Option<Vec<String>>,
    kubernetes_config: Kubernetes,
    #[serde(default)]
    nodes: Option<Vec<Address>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kubernetes {
    kubernetes_version: String,
    container_runtime: String,
}

impl File {
    fn profile(self, name: &str, path: PathBuf) -> Profile {
        Profile {
            name: name.to_owned(),
            driver: self.driver,
            runtime: self.kubernetes_config.container_runtime,
            kubernetes: self.kubernetes_config.kubernetes_version,
            image: self.kic_base_image,
            cpus: self.cpus,
            memory: self.memory,
            nodes: self.nodes.unwrap_or_default(),
            docker_options: self.docker_opt.unwrap_or_default(),
            path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Home, Profile};

    fn read(json: &str) -> Result<Option<Profile>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".minikube/profiles/p/config.json");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, json).unwrap();
        let home = Home::in_folder(folder.path());
        Profile::read(&home, "p").map_err(|failure| failure.message.replace(&folder.path().display().to_string(), ""))
    }

    fn json(driver: &str, runtime: &str, nodes: &str, options: &str) -> String {
        format!(
            r#"{{"Name": "p", "Driver": "{driver}", "Memory": 4096, "CPUs": 2, "DockerOpt": {options}, "Unknown": [1],
            "KubernetesConfig": {{"KubernetesVersion": "v1.34.4", "ContainerRuntime": "{runtime}"}}, "Nodes": {nodes}}}"#
        )
    }

    const NODE: &str = r#"[{"Name": "", "IP": "192.168.49.2", "Port": 8443}]"#;

    #[test]
    fn a_profile_is_refused_when_images_could_not_be_built_in_it() {
        let two = r#"[{"IP": "192.168.49.2", "Port": 8443}, {"IP": "192.168.49.3", "Port": 8443}]"#;
        let rows = [
            ("docker", "docker", NODE, None),
            ("docker", "docker", "null", None),
            ("kvm2", "docker", NODE, Some("has the driver `kvm2`; wanted is docker")),
            ("docker", "containerd", NODE, Some("runs containers with `containerd`; wanted is docker")),
            ("docker", "docker", two, Some("has 2 nodes; wanted is one, because images are built in its daemon")),
        ];
        for (driver, runtime, nodes, expected) in rows {
            let profile = read(&json(driver, runtime, nodes, "null")).unwrap().unwrap();
            let refused = profile.require_usable().map_err(|failure| failure.message);
            let expected = expected.map_or(Ok(()), |text| Err(format!("the minikube profile `p` {text}")));
            assert_eq!(refused, expected);
        }
    }

    #[test]
    fn who_made_it_is_read_from_the_profile() {
        let rows = [
            ("null", None),
            ("[]", None),
            (r#"["label=dev.xtask.project=todo"]"#, Some("todo")),
            (r#"["label=other=x", "label=dev.xtask.project=todo"]"#, Some("todo")),
            (r#"["dev.xtask.project=todo"]"#, None),
        ];
        for (options, expected) in rows {
            let profile = read(&json("docker", "docker", NODE, options)).unwrap().unwrap();
            assert_eq!(profile.made_for(), expected, "{options}");
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        assert_eq!(read("{"), Err("minikube's profile /.minikube/profiles/p/config.json is damaged".into()));
        let home = Home::in_folder("/no/such/folder".as_ref());
        assert_eq!(Profile::read(&home, "p"), Ok(None));
    }
}
