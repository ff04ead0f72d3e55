//! What a release is made from: the chart's files and the values in all their layers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::config::{As, Inline, Release as Definition, Template};
use engine::failure::Failure;
use engine::files::dockerignore::Patterns;
use engine::files::{Query, Reader, Rules};
use engine::manifest::{Manifest, Source};
use engine::step::{Kind, StepId};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::context::Context;
use crate::steps::secrets::{self, Origin};
use crate::steps::variables::{SecretValues, Variables};
use crate::steps::{files, image};
use crate::world::helm::values::{self, ImageRef};
use crate::world::kube::rendered;
use crate::world::machine_key::MachineKey;

/// The secrets steps of a release, by their names.
pub type Origins = BTreeMap<String, Origin>;

/// The values of a release.
pub struct Values {
    /// All of them, as helm gets them.
    pub all: Value,
    /// Those that people have written somewhere: not the names that stand in for secrets.
    pub given: Value,
    /// Below these paths are secret values.
    secret: Vec<Vec<String>>,
}

/// Lays the values of a release over each other: files in their order, the graph file's own, images, secrets' names.
///
/// # Errors
/// When a file cannot be read, or a step that a value comes from has made nothing yet.
pub fn values(cx: &Context, step: &StepId, definition: &Definition, origins: &Origins) -> Result<Values, Failure> {
    values_of(cx, step, definition, origins, |file| file)
}

/// The same for a rehearsal: a file that a secrets step will make is read as its example.
///
/// # Errors
/// As for [`values`].
pub fn values_to_rehearse(
    cx: &Context,
    step: &StepId,
    definition: &Definition,
    origins: &Origins,
) -> Result<Values, Failure> {
    values_of(cx, step, definition, origins, |file| {
        let made = origins.values().find(|origin| origin.from == file);
        match made.filter(|_| !cx.workspace.root().join(file).exists()) {
            Some(origin) => &origin.example,
            None => file,
        }
    })
}

fn values_of<'a>(
    cx: &Context,
    step: &StepId,
    definition: &'a Definition,
    origins: &'a Origins,
    place: impl Fn(&'a Path) -> &'a Path,
) -> Result<Values, Failure> {
    let mut given = Value::Object(serde_json::Map::new());
    for file in &definition.values {
        values::lay_over(&mut given, values_file(cx, file, place(file), origins)?);
    }
    let variables = Variables::look_up(cx, &NoSecrets, templates(definition.set.values()))?;
    for (path, value) in &definition.set {
        values::lay_over(
            &mut given,
            Value::Object(serde_json::Map::from_iter([(path.clone(), expand(&variables, value)?)])),
        );
    }
    for used in definition.images.values() {
        let facts: image::Facts = cx.facts(&StepId::new(Kind::Image, used.image.as_str()))?;
        let image = ImageRef::parse(&facts.reference)
            .ok_or_else(|| Failure::step(format!("{step}: the image {} has no tag", facts.reference)))?;
        values::set_image(&mut given, &used.paths, &image);
    }
    let mut all = given.clone();
    let mut secret = Vec::new();
    let path = |keys: [&str; 2]| keys.map(str::to_owned);
    // From the back: a chart that uses one Secret gets the first that the graph file names.
    for name in definition.secrets.iter().rev() {
        let Some(origin) = origins.get(name) else { continue };
        match origin.r#as {
            As::Object => {
                let facts: secrets::Facts = cx.facts(&StepId::new(Kind::Secrets, name.as_str()))?;
                values::set(&mut all, &path(["secrets", "existingSecret"]), facts.object.into());
                values::set(&mut all, &path(["secrets", "present"]), facts.present.into());
            }
            As::Values => {
                for (key, value) in origin.values(cx)?.unwrap_or_default() {
                    let mut keys = origin.key.clone();
                    keys.push(key);
                    values::set(&mut all, &keys, value.expose_secret().into());
                    secret.push(keys);
                }
            }
        }
    }
    Ok(Values { all, given, secret })
}

/// A values file less the maps of secrets in it; `place` is where its text is.
fn values_file(cx: &Context, file: &Path, place: &Path, origins: &Origins) -> Result<Value, Failure> {
    let path = cx.workspace.root().join(place);
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::io("read the values in", &path, &error))?;
    let mut origins = origins.values().filter(|origin| origin.from == file).peekable();
    let holds_secrets = origins.peek().is_some();
    let mut values = rendered::parse(&text)
        .map_err(|error| {
            let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
            let failure = Failure::usage(format!("{}{place} is not valid YAML", file.display()));
            // The parser's words may quote the line.
            if holds_secrets { failure } else { failure.because(error.without_snippet()) }
        })?
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if !values.is_object() {
        return Err(Failure::usage(format!("{} is no map of values", file.display())));
    }
    for origin in origins {
        if origin.key.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        values::take(&mut values, &origin.key);
    }
    Ok(values)
}

fn templates<'a>(values: impl IntoIterator<Item = &'a Inline>) -> Vec<&'a Template> {
    let mut found = Vec::new();
    for value in values {
        match value {
            Inline::Text(template) => found.push(template),
            Inline::Plain(_) => {}
            Inline::List(items) => found.extend(templates(items)),
            Inline::Map(entries) => found.extend(templates(entries.values())),
        }
    }
    found
}

fn expand(variables: &Variables, value: &Inline) -> Result<Value, Failure> {
    Ok(match value {
        Inline::Text(template) => variables.expand(template)?.into(),
        Inline::Plain(value) => value.clone(),
        Inline::List(items) => items.iter().map(|item| expand(variables, item)).collect::<Result<_, _>>()?,
        Inline::Map(entries) => {
            let expanded = entries.iter().map(|(key, value)| Ok((key.clone(), expand(variables, value)?)));
            Value::Object(expanded.collect::<Result<_, Failure>>()?)
        }
    })
}

/// The graph file refuses secrets in a release's values.
struct NoSecrets;

impl SecretValues for NoSecrets {
    fn value(
        &self,
        _: &Context,
        step: &str,
        key: &str,
    ) -> Result<(secrecy::SecretString, engine::digest::Digest), Failure> {
        Err(Failure::usage(format!("${{secrets.{step}.{key}}} cannot be a value of a release")))
    }
}

impl Values {
    /// Whether helm gets secret values, which its history then keeps.
    pub fn has_secrets(&self) -> bool {
        !self.secret.is_empty()
    }

    /// Adds each value under its own path, so that `explain` names the one that changed.
    ///
    /// # Errors
    /// When a secret value is among them and this machine's key cannot be read.
    pub fn add_to(&self, manifest: &mut Manifest) -> Result<(), Failure> {
        let key = if self.secret.is_empty() { None } else { Some(MachineKey::of_this_user()?) };
        for (path, value) in values::leaves(&self.all) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match &key {
                Some(key) if self.secret.iter().any(|keys| keys.join(".") == path) => {
                    manifest.digest(Source::Secret, &path, key.digest(&path, text.as_bytes()));
                }
                _ => manifest.value(Source::Value, path, text),
            }
        }
        Ok(())
    }
}

/// Adds each file of the chart that helm reads. Values files and files with secrets are no part of it, wherever they
/// lie: their content is among the values, and nothing else of a secret may reach a digest.
///
/// # Errors
/// When the chart cannot be read, or a file with secrets in it would be packed into helm's history.
pub fn chart(
    cx: &Context,
    step: &StepId,
    definition: &Definition,
    origins: &Origins,
    manifest: &mut Manifest,
) -> Result<(), Failure> {
    let root = cx.workspace.root().join(&definition.chart);
    let packing = Packing::of(cx, &root, definition, origins)?;
    let inside = |path: &Path| path.strip_prefix(&definition.chart).ok().map(Path::to_owned);
    let secret: Vec<PathBuf> = origins.values().filter_map(|origin| inside(&origin.from)).collect();
    if let Some(exposed) = secret.iter().find(|path| packing.packs(path, false)) {
        return Err(packed(&definition.chart, exposed));
    }
    let own = secret.into_iter().chain(definition.values.iter().filter_map(|path| inside(path)));
    let query = Query { name: format!("{}.chart", step.file_stem()), root: root.clone(), rules: all_but(own, &root)? };
    let found = cx.gatherer.gather(&query)?.files;
    let behind = cx.gatherer.follow(&query, &found, &packing)?;
    behind.has_an_end(&root, |_| true)?;
    // helm reads the chart's files itself, whenever it comes to them, and through links wherever they lead.
    let stamps = cx.gatherer.stamp(&query, &found).into_iter().chain(behind.stamp);
    stamps.for_each(|stamp| manifest.stamp(stamp));
    let name =
        |path: &str| packing.packs(Path::new(path), false).then(|| definition.chart.join(path).display().to_string());
    files::add(manifest, &found, &behind, name);
    Ok(())
}

/// What helm packs of a chart's folder: what links in it lead to, too, and nothing that `.helmignore` names.
struct Packing<'a> {
    chart: &'a Path,
    root: &'a Path,
    ignored: Gitignore,
    /// Where the files with secrets lie.
    secret: Vec<PathBuf>,
}

impl<'a> Packing<'a> {
    fn of(cx: &Context, root: &'a Path, definition: &'a Definition, origins: &Origins) -> Result<Self, Failure> {
        let place = |origin: &Origin| cx.workspace.root().join(&origin.from).canonicalize().ok();
        let secret = origins.values().filter_map(place).collect();
        Ok(Self { chart: &definition.chart, root, ignored: helmignore(root)?, secret })
    }

    /// Whether what is at `path` in the chart is packed.
    fn packs(&self, path: &Path, is_folder: bool) -> bool {
        !self.ignored.matched_path_or_any_parents(self.root.join(path), is_folder).is_ignore()
    }
}

impl Reader for Packing<'_> {
    fn folder(&self, reached: &str, real: &Path) -> Result<Option<Rules>, Failure> {
        if !self.packs(Path::new(reached), true) {
            return Ok(None);
        }
        let secret: Vec<&Path> = self.secret.iter().filter_map(|secret| secret.strip_prefix(real).ok()).collect();
        let mut places = secret.iter().map(|secret| Path::new(reached).join(secret));
        match places.find(|place| self.packs(place, false)) {
            Some(exposed) => Err(packed(self.chart, &exposed)),
            None => Ok(Some(all_but(secret, real)?)),
        }
    }

    fn file(&self, reached: &str, real: &Path) -> Result<bool, Failure> {
        let packs = self.packs(Path::new(reached), false);
        match packs && self.secret.iter().any(|secret| secret == real) {
            true => Err(packed(self.chart, Path::new(reached))),
            false => Ok(packs),
        }
    }
}

/// All that is in the folder `root`, apart from these paths in it.
fn all_but(paths: impl IntoIterator<Item = impl AsRef<Path>>, root: &Path) -> Result<Rules, Failure> {
    let lines: String = paths.into_iter().map(|path| format!("{}\n", path.as_ref().display())).collect();
    Ok(Rules::Context { ignore: Patterns::parse(lines.as_bytes(), root)? })
}

fn packed(chart: &Path, exposed: &Path) -> Failure {
    let file = chart.join(exposed);
    Failure::usage(format!("{} would be packed into helm's history, with its secrets", file.display()))
        .because("it lies in the chart's folder, whose files helm keeps with each revision")
        .help(format!("add the line {} to {}", exposed.display(), chart.join(".helmignore").display()))
}

fn helmignore(chart: &Path) -> Result<Gitignore, Failure> {
    let path = chart.join(".helmignore");
    let mut builder = GitignoreBuilder::new(chart);
    let broken =
        |error: ignore::Error| Failure::usage(format!("{} cannot be understood", path.display())).because(error);
    if path.is_file()
        && let Some(error) = builder.add(&path)
    {
        return Err(broken(error));
    }
    builder.build().map_err(broken)
}

#[cfg(test)]
mod tests;
