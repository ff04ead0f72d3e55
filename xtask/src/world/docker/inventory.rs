//! All images of a daemon, in one request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::failure::Failure;
use serde::{Deserialize, Deserializer};

use super::naming::{LABEL_PROJECT, LABEL_STEP, familiar};
use crate::world::daemon::Daemon;

/// The oldest API whose BuildKit and whose answers this tool is made for: docker 20.10.
const LEAST_API: (u32, u32) = (1, 41);

/// How long a daemon may take for its list; a machine that is busy with builds takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// An image of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    /// `sha256:` and 64 digits.
    pub id: String,
    /// Its names, with tags.
    #[serde(rename = "RepoTags", deserialize_with = "named")]
    pub names: BTreeSet<String>,
    /// Its names by digest, for what came from a registry.
    #[serde(rename = "RepoDigests", deserialize_with = "named")]
    pub digests: BTreeSet<String>,
    /// Its labels.
    #[serde(default, deserialize_with = "or_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it was built first: a build out of the cache gives an old image. Seconds since 1970.
    created: i64,
    /// Its size in bytes, with its base.
    #[serde(deserialize_with = "bytes")]
    pub size: u64,
}

impl Image {
    /// When it was built first. A build that is all cached brings back an image of the time when it was not.
    pub fn created(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(u64::try_from(self.created).unwrap_or(0))
    }
}

/// The images that a daemon held at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// The newest API version that the daemon speaks: `1.41`.
    pub api: String,
    images: Vec<Image>,
}

impl Inventory {
    /// Asks the daemon, in one round trip that also shows that it is there and which API it speaks.
    ///
    /// # Errors
    /// When it does not answer, is not for this user, or is too old.
    pub async fn fetch(daemon: &Daemon) -> Result<Self, Failure> {
        let endpoint = daemon.endpoint()?;
        let answer = tokio::time::timeout(PATIENCE, endpoint.get("/images/json")).await.map_err(|_| {
            Failure::environment(format!("the docker daemon at {daemon} does not answer"))
                .because(format!("no reply within {PATIENCE:?}"))
                .help("if it is minikube's, its node may be paused or stuck: `minikube status`, `minikube start`")
        })?;
        let answer = answer.map_err(|error| daemon.failure("list its images", error))?;
        let api = answer.headers().get("api-version").and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self::read(api, answer.body()).map_err(|reason| {
            let failure = Failure::environment(format!("the docker daemon at {daemon} is none that this tool can use"));
            failure.because(reason).help("update it to docker 20.10 or newer")
        })
    }

    /// Reads an answer; the error says what is wrong with it.
    pub(crate) fn read(api: &str, body: &[u8]) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().ok();
        let version = api.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        if version.is_some_and(|version| version < LEAST_API) {
            return Err(format!("it speaks the docker API {api}; needed is {}.{}", LEAST_API.0, LEAST_API.1));
        }
        let images = serde_json::from_slice(body).map_err(|error| format!("its list of images: {error}"))?;
        Ok(Self { api: api.to_owned(), images })
    }

    /// The image with this ID.
    pub fn by_id(&self, id: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.id == id)
    }

    /// The image that `name` means, as in a Dockerfile's `FROM`. What BuildKit fetches from a registry for a build
    /// is not among a daemon's images unless somebody pulled it.
    pub fn by_name(&self, name: &str) -> Option<&Image> {
        let name = familiar(name);
        self.images.iter().find(|image| image.names.contains(&name) || image.digests.contains(&name))
    }

    /// Whether there is an image of `repository`, under whatever tag or digest.
    pub fn has_repository(&self, repository: &str) -> bool {
        let of_it = |name: &String| name.strip_prefix(repository).is_some_and(|rest| rest.starts_with([':', '@']));
        self.images.iter().any(|image| image.names.iter().chain(&image.digests).any(of_it))
    }

    /// The project's images; of one step if it is named.
    pub fn of_project<'a>(&'a self, project: &'a str, step: Option<&'a str>) -> impl Iterator<Item = &'a Image> {
        let label = |image: &'a Image, name| image.labels.get(name).map(String::as_str);
        self.images
            .iter()
            .filter(move |image| label(image, LABEL_PROJECT) == Some(project))
            .filter(move |image| step.is_none() || label(image, LABEL_STEP) == step)
    }
}

/// Names of images; those without one are listed as `<none>` or as nothing.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let names = Option::<BTreeSet<String>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(names.into_iter().filter(|name| !name.contains("<none>")).collect())
}

fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(u64::try_from(i64::deserialize(deserializer)?).unwrap_or(0))
}
