//! A table of declared keys: what is asked for is what is known.
//!
//! A table is read by asking for its keys, each with an example and the function that reads its value. Everything
//! else in the table is an unknown key. So the code that reads a key is its only declaration. serde's derive cannot do
//! this: it stops at the first mistake and loses the places of values inside tagged enums.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::diagnostic::Diagnostic;
use super::mention::{Target, Why};
use super::nearest::{listed, nearest};
use super::reading::Reading;
use super::value::Value;
use crate::step::StepId;

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
        Some(self.value_of(name)?.like(example))
    }

    /// The value of a key that was or will be asked for.
    pub(crate) fn value_of(&self, name: &str) -> Option<Value<'a>> {
        let (key, raw) = self.raw.get_key_value(name)?;
        Some(Value::new(self.reading, key, raw))
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
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        let mut meant = Vec::new();
        for (key, span) in self.strangers() {
            let label =
                if self.name.is_empty() { "not known at the top of the file" } else { "not a key of this table" };
            let problem = self.reading.at(span, format!("unknown key `{key}`")).label(label);
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
            let problem = problem.label(format!("`{name}` is missing")).help(format!("add {name} = {example}"));
            self.reading.report::<()>(problem);
        }
    }
}
