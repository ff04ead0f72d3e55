//! Who in a release runs an image that `dev` syncs, and gets none of its files: init containers, Jobs, hooks, workers.
//!
//! Found in what helm makes of the chart, before anything is built: for them the image is built as a deploy builds it.

use std::collections::{BTreeMap, BTreeSet};

use engine::digest::Digest;
use engine::failure::Failure;
use engine::manifest::{Manifest, Source};

use super::{ReleaseStep, inputs};
use crate::context::Context;
use crate::dev::overlay;

/// Titles of objects (`Job live-migrate`), by the step name of the image that they run.
pub type ByImage = BTreeMap<String, BTreeSet<String>>;

/// What was found in a chart, and what it was found for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Of the chart's files, its values and the tables of the images.
    key: Digest,
    /// Who they are.
    pub others: ByImage,
}

impl ReleaseStep {
    /// Who they are, with what the steps before this one have made, or with what stands in for that. Helm is asked only
    /// where anything that it reads differs from when `known` was found.
    ///
    /// # Errors
    /// When an input cannot be read, helm is not there yet, or the chart cannot be rendered.
    pub async fn others(&self, cx: &Context, known: Option<&Found>) -> Result<Found, Failure> {
        let mut amendments = self.amendments(cx)?;
        for amendment in &mut amendments {
            // Whatever the stage is called, it is another image.
            amendment.stage = "synced".to_owned();
        }
        let values = inputs::values_to_rehearse(cx, &self.id, &self.definition, &self.origins)?;
        let mut manifest = Manifest::new(self.id.clone());
        inputs::chart(cx, &self.id, &self.definition, &self.origins, &mut manifest)?;
        values.add_to(&mut manifest)?;
        for amendment in &amendments {
            manifest.digest(Source::Definition, format!("dev.{}", amendment.image), overlay::digest(amendment));
        }
        let key = manifest.key();
        if let Some(known) = known.filter(|known| known.key == key) {
            return Ok(known.clone());
        }
        let rendered = self.render(cx, &self.helm(cx).await?, values).await?;
        Ok(Found { key, others: overlay::others(&rendered, &self.definition.name, &amendments)? })
    }
}
