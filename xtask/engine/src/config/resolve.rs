//! What can only be judged once the whole file is read: references, names that are taken twice, files.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use globset::GlobMatcher;
use toml::de::{DeTable, DeValue};

use super::command::Output;
use super::file::GraphFile;
use super::globs::is_pattern;
use super::mention::{Mention, Target, Why};
use super::nearest::{listed, nearest};
use super::paths::{Expected, Shape};
use super::reading::Reading;
use super::secrets::As;
use crate::files::glob;
use crate::step::{Kind, StepId};

/// Reports what is wrong with the file as a whole. `raw` is the document, for steps that could not be read.
pub(crate) fn check(reading: &Reading<'_>, file: &GraphFile, raw: &DeTable<'_>) {
    let document = Document(raw);
    let names = Names::of(file, &document);
    no_cluster(reading, &names);
    for mention in reading.mentions() {
        mentioned(reading, &names, &mention);
    }
    taken_twice(reading, file, &document);
    let made = Made::of(file);
    for expected in reading.take_expected() {
        there(reading, file, &made, &expected);
    }
}

/// The parsed document, asked for places.
struct Document<'d>(&'d DeTable<'d>);

impl Document<'_> {
    /// The place of a step's key, or of the step where it has no such key.
    fn place(&self, step: &StepId, key: &str) -> Range<usize> {
        let found = || {
            let (_, kind) = self.0.get_key_value(step.kind.word())?;
            let (name, table) = kind.get_ref().as_table()?.get_key_value(step.name.as_str())?;
            let value = table.get_ref().as_table().and_then(|table| table.get(key));
            Some(value.map_or_else(|| name.span(), toml::Spanned::span))
        };
        found().unwrap_or_default()
    }

    fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let table = self.0.get(kind.word()).and_then(|steps| match steps.get_ref() {
            DeValue::Table(steps) => Some(steps),
            _ => None,
        });
        table.into_iter().flatten().map(|(name, _)| name.get_ref().as_ref())
    }
}

/// What can be named.
struct Names {
    steps: BTreeSet<StepId>,
    images: BTreeSet<String>,
}

impl Names {
    fn of(file: &GraphFile, document: &Document<'_>) -> Self {
        let of_kind = |kind| document.names(kind).map(move |name| StepId::new(kind, name));
        let named = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Cluster).flat_map(of_kind);
        let cluster = document.0.contains_key(Kind::Cluster.word()).then(StepId::cluster);
        let images = document.names(Kind::Image).map(str::to_owned);
        let made = file.commands.values().flat_map(|command| command.images()).map(str::to_owned);
        Self { steps: named.chain(cluster).collect(), images: images.chain(made).collect() }
    }
}

/// One problem, however many steps need the cluster that is not declared.
fn no_cluster(reading: &Reading<'_>, names: &Names) {
    if names.steps.contains(&StepId::cluster()) {
        return;
    }
    let mut mentions = reading.mentions();
    mentions.retain(|mention| mention.target == Target::Step(StepId::cluster()));
    mentions.sort_by_key(|mention| mention.span.start);
    if let Some(first) = mentions.first() {
        let problem = reading.at(first.span.clone(), format!("{} needs a cluster, and none is declared", first.by));
        let problem = problem.label("acts on the cluster");
        reading.report::<()>(problem.help(
            "add a table: [cluster] with profile = \"todo-chatbot\" for minikube, \
             or driver = \"context\" and context = \"...\" for a cluster that is already there",
        ));
    }
}

fn mentioned(reading: &Reading<'_>, names: &Names, mention: &Mention) {
    let problem = |message: String| reading.at(mention.span.clone(), message);
    match &mention.target {
        Target::Step(step) if *step == mention.by => {
            let problem = problem(format!("{step} waits for itself")).label("the step itself");
            reading.report::<()>(problem.help("remove it"));
        }
        Target::Step(step) if step.kind == Kind::Cluster || names.steps.contains(step) => {}
        Target::Step(step) => no_step(reading, names, mention, step),
        Target::Image(name) if names.images.contains(name) => {}
        Target::Image(name) => {
            let problem = problem(format!("there is no image {name}")).label("names nothing");
            let known = || names.images.iter().map(String::as_str);
            reading.report::<()>(match nearest(name, known()) {
                Some(near) => problem.help(did_you_mean(mention, name, near)),
                None if names.images.is_empty() => {
                    problem.help(format!("the file declares no image: add a table [image.{name}]"))
                }
                None => problem.help(all_of("image", known())),
            });
        }
        Target::Bare(name) => {
            let problem = problem(format!("`{name}` is not a step")).label("its kind is missing");
            let named = nearest(name, names.steps.iter().map(|step| step.name.as_str()));
            let step = named.and_then(|named| names.steps.iter().find(|step| step.name == named));
            reading.report::<()>(match step {
                Some(step) => problem.help(format!("did you mean \"{step}\"?")),
                None => problem.help("write KIND:NAME, for example \"image:backend\""),
            });
        }
    }
}

/// Reports a step that is not there.
fn no_step(reading: &Reading<'_>, names: &Names, mention: &Mention, step: &StepId) {
    let word = step.kind.word();
    let same_kind: Vec<_> = names.steps.iter().filter(|known| known.kind == step.kind).collect();
    let near = nearest(&step.name, same_kind.iter().map(|known| known.name.as_str()));
    let elsewhere = names.steps.iter().find(|known| known.name == step.name);
    let whole = mention.why == Why::After;
    let problem = reading.at(mention.span.clone(), format!("there is no step {step}")).label("names nothing");
    reading.report::<()>(match (near, elsewhere) {
        (Some(near), _) if whole => problem.help(format!("did you mean \"{word}:{near}\"?")),
        (Some(near), _) => problem.help(did_you_mean(mention, &step.name, near)),
        (None, Some(other)) if whole => problem.help(format!("did you mean \"{other}\"?")),
        _ if same_kind.is_empty() => {
            problem.help(format!("the file declares no {word} step: add a table [{word}.{}]", step.name))
        }
        _ => problem.help(all_of(&format!("{word} step"), same_kind.iter().map(|known| known.name.as_str()))),
    });
}

/// The mention with the right name in it.
fn did_you_mean(mention: &Mention, wrong: &str, right: &str) -> String {
    match &mention.why {
        Why::Variable(variable) => {
            let variable = variable.replacen(&format!(".{wrong}."), &format!(".{right}."), 1);
            format!("did you mean `${{{variable}}}`?")
        }
        _ => format!("did you mean \"{right}\"?"),
    }
}

/// All names that would have been right.
fn all_of<'n>(what: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.collect();
    let verb = if names.len() == 1 { format!("the only {what} is") } else { format!("the {what}s are") };
    format!("{verb} {}", listed(names))
}

/// Reports each name that two steps claim.
fn taken_twice(reading: &Reading<'_>, file: &GraphFile, document: &Document<'_>) {
    let mut taken: BTreeMap<String, (StepId, Range<usize>)> = BTreeMap::new();
    let mut take = |what: String, step: StepId, key: &str, help: &str| {
        let span = document.place(&step, key);
        if let Some((other, first)) = taken.get(&what) {
            let problem = reading.at(span, format!("{step} and {other} both make {what}"));
            let problem = problem.label("the second").remark(first.clone(), "the first");
            reading.report::<()>(problem.help(help));
            return;
        }
        taken.insert(what, (step, span));
    };
    for (name, image) in &file.images {
        let what = format!("the image {}", image.repository);
        take(what, StepId::new(Kind::Image, name.as_str()), "repository", "give one of them another `repository`");
    }
    for (name, command) in &file.commands {
        let step = StepId::new(Kind::Command, name.as_str());
        for output in &command.outputs {
            let what = match output {
                Output::Files(path) => format!("the file {path}"),
                Output::Image(image) => format!("the image {image}"),
            };
            take(what, step.clone(), "outputs", "let one of them make it");
        }
    }
    for (name, release) in &file.releases {
        let what = format!("the release {} in the namespace {}", release.name, release.namespace);
        take(what, StepId::new(Kind::Release, name.as_str()), "name", "give one of them another `name` or `namespace`");
    }
    for (name, secrets) in file.secrets.iter().filter(|(_, secrets)| secrets.r#as == As::Object) {
        for namespace in file.namespaces_of_secrets(name) {
            let what = format!("the Secret {} in the namespace {namespace}", secrets.object);
            take(what, StepId::new(Kind::Secrets, name.as_str()), "object", "give one of them another `object`");
        }
    }
    for name in file.images.keys() {
        let maker = file.commands.iter().find(|(_, command)| command.images().any(|image| image == name));
        if let Some((command, _)) = maker {
            let step = StepId::new(Kind::Command, command.as_str());
            let problem =
                reading.at(document.place(&step, "outputs"), format!("two steps make an image called {name}"));
            let problem = problem.label("an output of this name");
            let problem = problem
                .remark(document.place(&StepId::new(Kind::Image, name.as_str()), ""), "an image step of this name");
            reading.report::<()>(problem.help("rename one of the two: releases would not know which is meant"));
        }
    }
}

/// Reports a path where nothing is, unless a step puts it there.
fn there(reading: &Reading<'_>, file: &GraphFile, made: &Made, expected: &Expected) {
    if let Some(maker) = made.by_whom(expected) {
        let path = expected.path.display().to_string();
        let (by, span) = (expected.by.clone(), expected.span.clone());
        reading.add_mention(Mention { by, target: Target::Step(maker), why: Why::Output(path), span });
        return;
    }
    let is_made_from_example = expected.or.is_none()
        && file.secrets.values().any(|secrets| secrets.from == expected.path)
        && !file.root.join(&expected.path).exists();
    if is_made_from_example {
        return;
    }
    if let Some(problem) = expected.problem(reading, &file.root) {
        reading.report::<()>(problem);
    }
}

/// The files that commands make.
struct Made {
    files: BTreeMap<PathBuf, StepId>,
    patterns: Vec<(GlobMatcher, StepId)>,
}

impl Made {
    fn of(file: &GraphFile) -> Self {
        let mut made = Self { files: BTreeMap::new(), patterns: Vec::new() };
        for (name, command) in &file.commands {
            let step = StepId::new(Kind::Command, name.as_str());
            for output in &command.outputs {
                match output {
                    Output::Files(path) if is_pattern(path) => {
                        made.patterns
                            .extend(glob::compile(path).ok().map(|glob| (glob.compile_matcher(), step.clone())));
                    }
                    Output::Files(path) => drop(made.files.insert(PathBuf::from(path), step.clone())),
                    Output::Image(_) => {}
                }
            }
        }
        made
    }

    /// The step that makes a file which another step names.
    fn by_whom(&self, expected: &Expected) -> Option<StepId> {
        if !matches!(expected.shape, Shape::File | Shape::Dockerfile) {
            return None;
        }
        let by_pattern = || self.patterns.iter().find(|(pattern, _)| pattern.is_match(&expected.path));
        let maker = self.files.get(&expected.path).or_else(|| by_pattern().map(|(_, step)| step))?;
        (*maker != expected.by).then(|| maker.clone())
    }
}
