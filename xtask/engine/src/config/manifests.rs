//! `[manifests.NAME]`: raw Kubernetes manifests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::names::Namespace;
use super::table::Table;
use super::text::Form;
use super::value::Value;
use crate::step::StepId;

/// Manifests that are applied as they are, image references apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifests {
    /// The files, or globs such as "kubernetes/*.yaml"; in the order given, those of one glob by name.
    pub files: Vec<String>,
    /// The namespace of objects that name none; made when it is missing.
    #[schemars(with = "Form<Namespace>")]
    pub namespace: String,
    /// Image references in the files, as they stand there, and the images that replace them.
    #[schemars(default)]
    pub images: BTreeMap<String, String>,
    /// Whether objects that were in the files and no longer are get removed from the cluster: true by default.
    #[schemars(default = "default_prune")]
    pub prune: bool,
    /// Steps that have to be done before.
    #[schemars(with = "Vec<Form<StepId>>", default)]
    pub after: Vec<StepId>,
}

const fn default_prune() -> bool {
    true
}

impl Manifests {
    pub(crate) fn read(table: &Table<'_>) -> Option<Self> {
        let files = table.required("files", "[\"kubernetes/*.yaml\"]", |value| value.globs());
        let namespace = table.required("namespace", "\"todo\"", |value| Some(value.text::<Namespace>()?.0));
        let images = table.optional("images", "{ \"registry.example/web:1.0\" = \"web\" }", |value| {
            value.map(|entry| entry.image(entry.name().to_owned()))
        });
        let prune = table.optional("prune", "false", Value::boolean);
        let after = table.optional("after", "[\"release:database\"]", Value::steps);
        table.needs_cluster();
        Some(Self {
            files: files?,
            namespace: namespace?,
            images: images.unwrap_or_default(),
            prune: prune.unwrap_or_else(default_prune),
            after: after.unwrap_or_default(),
        })
    }
}
