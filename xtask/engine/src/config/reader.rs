//! Walks a parsed TOML document, reports every mistake with its place, and goes on.
//!
//! A table is read by asking for its keys, each with an example and the function that reads its value. What was
//! asked for is what is known: everything else in the table is an unknown key. So the code that reads a key is its
//! only declaration. serde's derive cannot do this: it stops at the first mistake and loses the places of values
//! inside tagged enums.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source};
use super::mention::{Mention, Target, Why};
use super::names::StepName;
use super::nearest::{listed, nearest};
use super::paths::Expected;
use super::template::{Reference, Template};
use super::text::Text;
use crate::step::{Kind, StepId};

/// What gathers while one file is read.
pub(crate) struct Reading<'f> {
    pub(crate) source: &'f Arc<Source>,
    problems: RefCell<Vec<Diagnostic>>,
    mentions: RefCell<Vec<Mention>>,
    expected: RefCell<Vec<Expected>>,
    env: RefCell<Vec<String>>,
    step: RefCell<StepId>,
}

/// All that was gathered.
pub(crate) struct Gathered {
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) mentions: Vec<Mention>,
}

impl<'f> Reading<'f> {
    pub(crate) fn new(source: &'f Arc<Source>) -> Self {
        Self {
            source,
            problems: RefCell::default(),
            mentions: RefCell::default(),
            expected: RefCell::default(),
            env: RefCell::default(),
            step: RefCell::new(StepId::cluster()),
        }
    }

    pub(crate) fn finish(self) -> Gathered {
        Gathered { problems: self.problems.into_inner(), mentions: self.mentions.into_inner() }
    }

    /// A mistake at `span`, not yet reported.
    pub(crate) fn at(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.source, span, message)
    }

    /// Reports a mistake; `None`, so that a reading function can end with it.
    pub(crate) fn report<T>(&self, problem: Diagnostic) -> Option<T> {
        self.problems.borrow_mut().push(problem);
        None
    }

    /// What follows belongs to this step.
    pub(crate) fn enter(&self, step: StepId) {
        self.step.replace(step);
    }

    /// The step that is being read.
    pub(crate) fn step(&self) -> StepId {
        self.step.borrow().clone()
    }

    /// Notes that the current step names another.
    pub(crate) fn mention(&self, target: Target, why: Why, span: Range<usize>) {
        self.add_mention(Mention { by: self.step(), target, why, span });
    }

    /// Where steps name each other.
    pub(crate) fn mentions(&self) -> Vec<Mention> {
        self.mentions.borrow().clone()
    }

    /// The files and folders that have to be there.
    pub(crate) fn take_expected(&self) -> Vec<Expected> {
        self.expected.take()
    }

    /// Notes that a step names another.
    pub(crate) fn add_mention(&self, mention: Mention) {
        self.mentions.borrow_mut().push(mention);
    }

    /// Notes that a file or folder has to be there.
    pub(crate) fn expect(&self, expected: Expected) {
        self.expected.borrow_mut().push(expected);
    }

    /// The environment's variables that templates may use.
    pub(crate) fn declare_env(&self, names: Vec<String>) {
        self.env.replace(names);
    }
}

/// A table that is being read.
pub(crate) struct Table<'a> {
    pub(crate) reading: &'a Reading<'a>,
    raw: &'a DeTable<'a>,
    name: &'a str,
    /// Its header, or its braces.
    span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
    /// Required keys that are not there, each with its example.
    missing: RefCell<Vec<(&'static str, &'static str)>>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(reading: &'a Reading<'a>, raw: &'a DeTable<'a>, name: &'a str, span: Range<usize>) -> Self {
        Self { reading, raw, name, span, asked: RefCell::default(), missing: RefCell::default() }
    }

    /// Reads the whole document.
    pub(crate) fn read_root<T>(reading: &'a Reading<'a>, raw: &'a DeTable<'a>, read: impl FnOnce(&Self) -> T) -> T {
        let table = Self::new(reading, raw, "", 0..0);
        let value = read(&table);
        table.finish();
        value
    }

    /// The key that it is the value of.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// The value of `name`, where there is one.
    pub(crate) fn get(&self, name: &'static str, example: &'static str) -> Option<Value<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&name) {
            asked.push(name);
        }
        Some(Value { example, ..self.value_of(name)? })
    }

    /// The value of a key that was or will be asked for.
    pub(crate) fn value_of(&self, name: &str) -> Option<Value<'a>> {
        let (key, raw) = self.raw.get_key_value(name)?;
        Some(Value { reading: self.reading, name: key.get_ref(), key_span: Span::of(&key.span()), raw, example: "" })
    }

    /// Notes that the current step acts on the cluster.
    pub(crate) fn needs_cluster(&self) {
        self.reading.mention(Target::Step(StepId::cluster()), Why::Cluster, self.span.clone());
    }

    /// Reads a key that may be missing.
    pub(crate) fn optional<T>(
        &self,
        name: &'static str,
        example: &'static str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Option<T> {
        self.get(name, example).and_then(read)
    }

    /// Reads a key that has to be there.
    pub(crate) fn required<T>(
        &self,
        name: &'static str,
        example: &'static str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.get(name, example) {
            Some(value) => read(value),
            None => self.missing(name, example),
        }
    }

    /// Notes that `name` has to be there and is not.
    pub(crate) fn missing<T>(&self, name: &'static str, example: &'static str) -> Option<T> {
        self.missing.borrow_mut().push((name, example));
        None
    }

    /// A mistake of the table as a whole.
    pub(crate) fn problem(&self, message: impl Into<String>) -> Diagnostic {
        self.reading.at(self.span.clone(), message)
    }

    /// Whether the key is there, whatever its value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.raw.contains_key(name)
    }

    /// The span of a key's value.
    pub(crate) fn span_of(&self, name: &str) -> Option<Range<usize>> {
        self.raw.get(name).map(Spanned::span)
    }

    /// Says that a key that is there has no business to be.
    pub(crate) fn refuse(&self, name: &str, message: impl Into<String>, label: &str, help: &str) {
        if let Some((key, _)) = self.raw.get_key_value(name) {
            self.reading.report::<()>(self.reading.at(key.span(), message).label(label).help(help));
        }
    }

    /// `[image.backend]` in a sentence: the step, or the braces in which the mistake is.
    fn owner(&self) -> String {
        let text = &self.reading.source.text;
        match text.get(self.span.clone()) {
            Some(header) if header.starts_with('[') => self.reading.step().to_string(),
            Some(braces) if braces.starts_with('{') => format!("this table of {}", self.reading.step()),
            _ => self.reading.step().to_string(),
        }
    }

    /// Keys that nobody asked for.
    fn strangers(&self) -> impl Iterator<Item = (&'a str, Range<usize>)> {
        let asked = self.asked.borrow().clone();
        self.raw
            .iter()
            .map(|(key, _)| (key.get_ref().as_ref(), key.span()))
            .filter(move |(key, _)| !asked.contains(key))
    }

    /// Reports the keys that nobody asked for, and those that are missing.
    fn finish(self) {
        let asked = self.asked.borrow();
        let mut meant = Vec::new();
        for (key, span) in self.strangers() {
            let problem = self.reading.at(span, format!("unknown key `{key}`")).label("not a key of this table");
            let right = nearest(key, asked.iter().copied());
            meant.extend(right);
            self.reading.report::<()>(match right {
                Some(right) => problem.help(format!("did you mean `{right}`?")),
                None => problem.help(format!("the keys here are {}", listed(asked.iter().copied()))),
            });
        }
        // A misspelt key was reported with its right name: that it is missing says the same again.
        for (name, example) in self.missing.borrow().iter().filter(|(name, _)| !meant.contains(name)) {
            let problem = self.problem(format!("{} has no `{name}`", self.owner()));
            let problem = problem.label(format!("`{name}` is missing")).help(format!("add a line: {name} = {example}"));
            self.reading.report::<()>(problem);
        }
    }
}

/// A span that can be copied.
#[derive(Clone, Copy)]
struct Span(usize, usize);

impl Span {
    fn of(range: &Range<usize>) -> Self {
        Self(range.start, range.end)
    }
}

/// A value that is being read, with the key that it belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    pub(crate) reading: &'a Reading<'a>,
    name: &'a str,
    key_span: Span,
    raw: &'a Spanned<DeValue<'a>>,
    example: &'static str,
}

impl<'a> Value<'a> {
    /// The key, unescaped.
    pub(crate) fn name(self) -> &'a str {
        self.name
    }

    pub(crate) fn key_span(self) -> Range<usize> {
        self.key_span.0..self.key_span.1
    }

    pub(crate) fn span(self) -> Range<usize> {
        self.raw.span()
    }

    pub(crate) fn raw(self) -> &'a DeValue<'a> {
        self.raw.get_ref()
    }

    /// A mistake of the value, not yet reported.
    pub(crate) fn problem(self, message: impl Into<String>) -> Diagnostic {
        self.reading.at(self.span(), message)
    }

    /// Reports that the value is of the wrong type.
    pub(crate) fn wrong_type<T>(self, expected: &str) -> Option<T> {
        let found = match self.raw() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let problem = self.problem(format!("`{}` has the wrong type", self.name));
        let problem = problem.label(format!("expected {expected}, found {found}"));
        self.reading.report(if self.example.is_empty() {
            problem
        } else {
            problem.help(format!("for example: {} = {}", self.name, self.example))
        })
    }

    pub(crate) fn string(self) -> Option<&'a str> {
        self.string_as("a string")
    }

    fn string_as(self, what: &str) -> Option<&'a str> {
        match self.raw() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type(what),
        }
    }

    /// A string that says something.
    pub(crate) fn words(self) -> Option<String> {
        let text = self.string()?;
        if text.trim().is_empty() {
            return self.reading.report(self.problem(format!("`{}` is empty", self.name)).label("an empty string"));
        }
        Some(text.to_owned())
    }

    /// A string with a form of its own.
    pub(crate) fn text<T: Text>(self) -> Option<T> {
        let text = self.string_as(T::WHAT)?;
        self.formed(text, self.span(), self.name)
    }

    /// The key itself, where keys are free and have a form of their own.
    pub(crate) fn key_text<T: Text>(self) -> Option<T> {
        self.formed(self.name, self.key_span(), self.name)
    }

    fn formed<T: Text>(self, text: &str, span: Range<usize>, name: &str) -> Option<T> {
        match T::parse(text) {
            Ok(value) => Some(value),
            Err(flaw) => {
                let shown = if text.is_empty() { format!("`{name}`") } else { format!("`{text}`") };
                let place = flaw.part.map_or_else(|| span.clone(), |part| self.within(&span, text, part));
                let problem = self.reading.at(place, format!("{shown} is not {}", T::WHAT)).label(flaw.label);
                self.reading.report(match flaw.help {
                    Some(help) => problem.help(help),
                    None => problem.help(format!("for example: \"{}\"", T::EXAMPLE)),
                })
            }
        }
    }

    /// Where `part` of a string stands in the file; the whole string if escapes are in the way.
    pub(crate) fn within(self, span: &Range<usize>, text: &str, part: Range<usize>) -> Range<usize> {
        let written = self.reading.source.text.get(span.clone()).unwrap_or_default();
        match written.find(text) {
            Some(offset) if !text.is_empty() => {
                let start = span.start + offset + part.start;
                // A caret is wanted even where the part is empty.
                start..(span.start + offset + part.end).max(start + 1).min(span.end)
            }
            _ => span.clone(),
        }
    }

    /// A string with variables; what they name becomes an edge of the graph.
    pub(crate) fn template(self, refuse: impl Fn(&Reference) -> Option<(&'static str, String)>) -> Option<Template> {
        let template: Template = self.text()?;
        for variable in template.variables() {
            let text = template.to_string();
            let span = self.within(&self.span(), &text, variable.range.clone());
            let reference = &variable.reference;
            if let Some((label, help)) = refuse(reference) {
                let message = format!("`${{{reference}}}` may not be used in `{}`", self.name);
                self.reading.report::<()>(self.reading.at(span, message).label(label).help(help));
                continue;
            }
            let why = Why::Variable(reference.to_string());
            match reference {
                Reference::ImageRef(name) | Reference::ImageId(name) => {
                    self.reading.mention(Target::Image(name.clone()), why, span);
                }
                Reference::Secret { step, .. } => {
                    self.reading.mention(Target::Step(StepId::new(Kind::Secrets, step)), why, span);
                }
                Reference::ClusterContext => self.reading.mention(Target::Step(StepId::cluster()), why, span),
                Reference::Env(name) => self.declared(name, span),
                Reference::Project | Reference::GitCommit => {}
            }
        }
        Some(template)
    }

    /// Reports a variable of the environment that the file does not declare.
    fn declared(self, name: &str, span: Range<usize>) {
        let env = self.reading.env.borrow();
        if env.iter().any(|declared| declared == name) {
            return;
        }
        let problem = self.reading.at(span, format!("the variable `{name}` is not declared")).label("not in `env`");
        let problem = match nearest(name, env.iter().map(String::as_str)) {
            Some(right) => problem.help(format!("did you mean `${{env.{right}}}`?")),
            None => problem.help(format!("declare it at the top of the file: env = [\"{name}\"]")),
        };
        self.reading.report::<()>(problem);
    }

    pub(crate) fn boolean(self) -> Option<bool> {
        match self.raw() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type("true or false"),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn integer(self, range: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(digits) = self.raw() else {
            return self.wrong_type("a whole number");
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        match number.and_then(|number| u32::try_from(number).ok()).filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                let problem = self.problem(format!("`{}` is out of range", self.name));
                self.reading.report(problem.label(format!("expected {} to {}", range.start(), range.end())))
            }
        }
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(self, choices: &[(&'static str, T)]) -> Option<T> {
        let names = || choices.iter().map(|(name, _)| *name);
        let word = self.string()?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(*choice);
        }
        let problem = self.problem(format!("`{word}` is not a value of `{}`", self.name)).label("no such choice");
        self.reading.report(match nearest(word, names()) {
            Some(right) => problem.help(format!("did you mean \"{right}\"?")),
            None => problem.help(format!("the choices are {}", listed(names()))),
        })
    }

    /// A list; all its items are read, whichever of them are wrong.
    pub(crate) fn list<T>(self, read: impl Fn(Self) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Array(items) = self.raw() else {
            return self.wrong_type("a list");
        };
        let value = |raw| Self { raw, example: "", ..self };
        Some(items.iter().filter_map(|raw| read(value(raw))).collect())
    }

    /// A list in which nothing stands twice.
    pub(crate) fn set<T: PartialEq>(self, read: impl Fn(Self) -> Option<T>) -> Option<Vec<T>> {
        let mut unique: Vec<(T, Range<usize>)> = Vec::new();
        for (value, span) in self.list(|item| Some((read(item)?, item.span())))? {
            match unique.iter().find(|(other, _)| *other == value) {
                Some((_, first)) => {
                    let problem = self.reading.at(span, format!("`{}` names the same thing twice", self.name));
                    let problem = problem.label("the second time").remark(first.clone(), "the first time");
                    self.reading.report::<()>(problem.help("remove one of the two"));
                }
                None => unique.push((value, span)),
            }
        }
        Some(unique.into_iter().map(|(value, _)| value).collect())
    }

    /// A table whose keys are free; all entries are read, whichever of them are wrong.
    pub(crate) fn map<T>(self, read: impl Fn(Self) -> Option<T>) -> Option<BTreeMap<String, T>> {
        let DeValue::Table(entries) = self.raw() else {
            return self.wrong_type("a table");
        };
        let read = |(key, raw): (&'a Spanned<std::borrow::Cow<'a, str>>, _)| {
            let value = Self { name: key.get_ref(), key_span: Span::of(&key.span()), raw, example: "", ..self };
            Some((key.get_ref().to_string(), read(value)?))
        };
        Some(entries.iter().filter_map(read).collect())
    }

    /// Whether the table has braces or a header of its own, and did not come about by dots in keys.
    pub(crate) fn is_written_as_table(self) -> bool {
        let written = self.reading.source.text.get(self.span()).unwrap_or_default();
        written.starts_with(['{', '['])
    }

    /// The name of a step whose kind goes without saying.
    pub(crate) fn step_of(self, kind: Kind) -> Option<String> {
        let text = self.string()?;
        match text.parse::<StepId>() {
            Ok(id) if id.kind == kind => {
                let message = format!("only steps of the kind {} can stand here, so it is left out", kind.word());
                self.reading.report(self.problem(message).label("has a kind").help(format!("write \"{}\"", id.name)))
            }
            Ok(id) => {
                let message = format!("`{id}` is not a step of the kind {}", kind.word());
                self.reading.report(self.problem(message).label("another kind of step"))
            }
            Err(_) => Some(self.text::<StepName>()?.0),
        }
    }

    /// The list of steps that come before this one.
    pub(crate) fn steps(self) -> Option<Vec<StepId>> {
        self.set(|item| {
            let step = item.text::<StepId>()?;
            item.reading.mention(Target::Step(step.clone()), Why::After, item.span());
            Some(step)
        })
    }

    /// A table of declared keys.
    pub(crate) fn table<T>(self, read: impl FnOnce(&Table<'a>) -> Option<T>) -> Option<T> {
        let DeValue::Table(raw) = self.raw() else {
            return self.wrong_type("a table");
        };
        let table = Table::new(self.reading, raw, self.name, self.span());
        let value = read(&table);
        table.finish();
        value
    }
}
