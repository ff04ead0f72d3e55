//! Builds an image and gives it its name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bollard::query_parameters::TagImageOptionsBuilder;
use buildkit::{Context, Entry, Event, Kind, Request, Sent};
use engine::failure::Failure;
use engine::files::file_set::{EntryKind, FileSet};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::failure::{Subject, of_build};
use super::naming::{LABEL_PROJECT, LABEL_STEP, reference};
use crate::world::daemon::Daemon;
use crate::world::process::Redact;

/// An image to build.
pub struct Build {
    /// Whose it is.
    pub project: String,
    /// Which step's: `image:backend`.
    pub step: String,
    /// The folder of the context.
    pub context: PathBuf,
    /// What of the folder there is to copy from, with the digests that are in the step's key.
    pub files: FileSet,
    /// The Dockerfile as it was when its digest went into the key.
    pub dockerfile: Vec<u8>,
    /// The Dockerfile's name in messages: `backend/Dockerfile`.
    pub dockerfile_name: String,
    /// The stage to build; the last by default.
    pub target: Option<String>,
    /// The platform; the daemon's own by default.
    pub platform: Option<String>,
    /// Build arguments, which stay in the image.
    pub args: BTreeMap<String, String>,
    /// Build secrets, which do not.
    pub secrets: BTreeMap<String, SecretString>,
    /// What the image is to be called, without tag.
    pub repository: String,
    /// A word that stands for the secrets' values in BuildKit's keys, which leave secrets themselves out.
    pub salt: Option<String>,
    /// Takes secrets out of what goes into an error.
    pub redact: Redact,
}

/// A built image, under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// `sha256:` and 64 digits.
    pub id: String,
    /// `todo-chatbot/backend:3f9c1a77b2d0`.
    pub reference: String,
    /// Its size in bytes, with its base.
    pub size: u64,
    /// What of the context had to be sent.
    pub sent: Sent,
}

/// Builds, names the image after its ID, and looks that the name means it. Dropping the future ends the build.
///
/// `on_event` gets what the build tells as it comes, not redacted.
///
/// # Errors
/// When the build fails, with the last lines and the Dockerfile's line; when the daemon does not answer.
pub async fn build(daemon: &Daemon, build: Build, on_event: impl FnMut(Event)) -> Result<BuiltImage, Failure> {
    let subject = Subject { what: &build.step, dockerfile: &build.dockerfile_name, redact: &build.redact };
    let failed = |error| of_build(&subject, daemon, error);
    // BuildKit keeps what it was sent under this name: each checkout and step sends only its own changes.
    let key = format!("{}:{}", build.step, build.context.display());
    let context = Context::new(build.context.clone(), key, entries(&build.files)).map_err(failed)?;
    let secret = |value: &SecretString| SecretSlice::from(value.expose_secret().as_bytes().to_vec());
    let request = Request {
        target: build.target.clone(),
        platform: build.platform.clone(),
        build_args: build.args.clone(),
        secrets: build.secrets.iter().map(|(id, value)| (id.clone(), secret(value))).collect(),
        labels: BTreeMap::from([
            (LABEL_PROJECT.to_owned(), build.project.clone()),
            (LABEL_STEP.to_owned(), build.step.clone()),
        ]),
        salt: build.salt.clone(),
        ..Request::new(context, build.dockerfile.clone())
    };
    let built = buildkit::build(&daemon.endpoint()?, request, on_event).await.map_err(failed)?;
    let (reference, size) = name(daemon, &built.image_id, &build.repository).await?;
    Ok(BuiltImage { id: built.image_id, reference, size, sent: built.sent })
}

/// Gives the image `id` its name in `repository`; returns it with the image's size.
async fn name(daemon: &Daemon, id: &str, repository: &str) -> Result<(String, u64), Failure> {
    let reference = reference(repository, id);
    let failed = |error: &bollard::errors::Error| {
        Failure::step(format!("could not name the image {reference} in the docker daemon at {daemon}"))
            .because_of(error)
    };
    let docker = daemon.connect().await?;
    let (_, tag) = reference.rsplit_once(':').unwrap_or_default();
    let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
    docker.tag_image(id, Some(options)).await.map_err(|error| failed(&error))?;
    let image = docker.inspect_image(&reference).await.map_err(|error| failed(&error))?;
    if image.id.as_deref() != Some(id) {
        let found = image.id.unwrap_or_default();
        return Err(Failure::step(format!("{reference} is not the image that was just built"))
            .because(format!("built was {id}, the docker daemon at {daemon} has {found}"))
            .help("run the same command again; if this repeats, something else gives images that name"));
    }
    let size = image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
    Ok((reference, size))
}

fn entries(files: &FileSet) -> impl Iterator<Item = Entry> {
    files.entries().iter().map(|entry| Entry {
        path: entry.path.clone(),
        kind: match &entry.kind {
            EntryKind::File { executable, size, digest } => {
                Kind::File { executable: *executable, size: *size, digest: *digest.as_bytes() }
            }
            EntryKind::Symlink { target } => Kind::Symlink { target: target.clone() },
            EntryKind::Directory => Kind::Directory,
        },
    })
}
