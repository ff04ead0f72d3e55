//! Secrets that a build mounts: read when the step is judged and when it runs, kept nowhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use engine::config::SecretSource;
use engine::digest::{Digest, Hasher};
use engine::failure::Failure;
use engine::manifest::{Manifest, Source};
use secrecy::SecretString;

use crate::context::Context;
use crate::steps::variables::SecretValues;
use crate::world::machine_key::MachineKey;

/// Build secrets by their ids, each with its keyed digest.
pub struct BuildSecrets(BTreeMap<String, (SecretString, Digest)>);

impl BuildSecrets {
    /// Adds them to a step's inputs: names and keyed digests.
    pub fn add_to(&self, manifest: &mut Manifest) {
        for (id, (_, digest)) in &self.0 {
            manifest.digest(Source::Secret, format!("build-secrets.{id}"), *digest);
        }
    }

    /// A word that stands for all names and values; `None` if there are none.
    pub fn salt(&self) -> Option<String> {
        let mut hasher = Hasher::new("build-secrets/1");
        for (id, (_, digest)) in &self.0 {
            hasher.text(id).digest(digest);
        }
        (!self.0.is_empty()).then(|| format!("build-secrets-{}", hasher.finish().short()))
    }

    /// The values, for the build.
    pub fn values(&self) -> BTreeMap<String, SecretString> {
        self.0.iter().map(|(id, (value, _))| (id.clone(), value.clone())).collect()
    }
}

/// Reads all that `sources` name; the redactor knows them from here on.
///
/// # Errors
/// When one has no value: a variable that is not set, a file that is not there.
pub fn read(
    cx: &Context,
    secrets: &dyn SecretValues,
    sources: &BTreeMap<String, SecretSource>,
) -> Result<BuildSecrets, Failure> {
    let mut values = BTreeMap::new();
    for (id, source) in sources {
        let (value, digest) = match source {
            SecretSource::Secrets { secrets: step, key } => secrets.value(cx, step, key)?,
            SecretSource::Env { env } => keyed(id, from_environment(id, env)?)?,
            SecretSource::File { file } => keyed(id, from_file(cx, id, file)?)?,
        };
        cx.redactor.learn(&value);
        values.insert(id.clone(), (value, digest));
    }
    Ok(BuildSecrets(values))
}

fn keyed(id: &str, value: String) -> Result<(SecretString, Digest), Failure> {
    let digest = MachineKey::of_this_user()?.digest(id, value.as_bytes());
    Ok((SecretString::from(value), digest))
}

fn from_environment(id: &str, name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|error| {
        Failure::environment(format!("the build secret {id} has no value"))
            .because(format!("the environment variable {name}: {error}"))
            .help(format!("set {name}"))
    })
}

/// Where the file of a build secret lies, as the graph file names it.
pub fn path(root: &Path, file: &str) -> PathBuf {
    match file.strip_prefix("~/") {
        Some(rest) => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(rest),
        None => root.join(file),
    }
}

fn from_file(cx: &Context, id: &str, file: &str) -> Result<String, Failure> {
    let path = path(cx.workspace.root(), file);
    fs::read_to_string(&path).map_err(|error| Failure::io(&format!("read the build secret {id} in"), &path, &error))
}
