//! What a release step has changed in the manifests that helm renders, on their way to the cluster.

use serde::{Deserialize, Serialize};

use crate::dev::overlay::{self, Amendment};
use crate::world::helm::annotate::{self, Secrets};

/// Handed as a file to this program when helm runs it as its post-renderer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changes {
    /// The release's name in helm.
    pub release: String,
    /// The versions of secrets that pod templates are annotated with.
    pub secrets: Secrets,
    /// What `dev` changes; nothing in a deploy.
    pub amendments: Vec<Amendment>,
}

impl Changes {
    /// The manifest as it is to be applied.
    pub fn make(&self, manifest: &str) -> String {
        let amended = overlay::amend(manifest, &self.release, &self.amendments);
        annotate::annotate(&amended, &self.secrets)
    }
}
