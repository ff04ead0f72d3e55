//! A value of the document with its key: read as a type, or reported as not being of that type.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::diagnostic::Diagnostic;
use super::nearest::{listed, nearest};
use super::reading::Reading;
use super::table::Table;
use super::text::Text;

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
    /// A right value in TOML, for who gets the type wrong; empty where there is none.
    example: &'static str,
    /// Whether it is one of a list.
    is_item: bool,
}

/// A key as it has to be written in TOML.
fn key_as_written(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.bytes().all(is_bare) { key.to_owned() } else { format!("\"{key}\"") }
}

impl<'a> Value<'a> {
    pub(crate) fn new(reading: &'a Reading<'a>, key: &'a Spanned<DeString<'a>>, raw: &'a Spanned<DeValue<'a>>) -> Self {
        Self { reading, name: key.get_ref(), key_span: Span::of(&key.span()), raw, example: "", is_item: false }
    }

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
        self.wrong_type_like(expected, self.example)
    }

    fn wrong_type_like<T>(self, expected: &str, example: &str) -> Option<T> {
        let found = match self.raw() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let what = if self.is_item { "an item of " } else { "" };
        let problem = self.problem(format!("{what}`{}` has the wrong type", self.name));
        let problem = problem.label(format!("expected {expected}, found {found}"));
        self.reading.report(match example {
            "" => problem,
            example if self.is_item => problem.help(format!("for example: {example}")),
            example => problem.help(format!("for example: {} = {example}", key_as_written(self.name))),
        })
    }

    /// The value with an example for who gets its type wrong.
    pub(crate) fn like(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    pub(crate) fn string(self) -> Option<&'a str> {
        match self.raw() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type("a string"),
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
        let DeValue::String(text) = self.raw() else {
            let example = format!("\"{}\"", T::EXAMPLE);
            return self.wrong_type_like(T::WHAT, if self.example.is_empty() { &example } else { self.example });
        };
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
                let message = flaw.message.unwrap_or_else(|| match text {
                    "" => format!("`{name}` is not {}", T::WHAT),
                    text => format!("`{text}` is not {}", T::WHAT),
                });
                let place = flaw.part.map_or_else(|| span.clone(), |part| self.within(&span, text, part));
                let problem = self.reading.at(place, message).label(flaw.label);
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
        let value = |raw| Self { raw, example: "", is_item: true, ..self };
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
        let read = |(key, raw): (&'a Spanned<DeString<'a>>, _)| {
            Some((key.get_ref().to_string(), read(Self::new(self.reading, key, raw))?))
        };
        Some(entries.iter().filter_map(read).collect())
    }

    /// Whether the table has braces or a header of its own, and did not come about by dots in keys.
    pub(crate) fn is_written_as_table(self) -> bool {
        let written = self.reading.source.text.get(self.span()).unwrap_or_default();
        written.starts_with(['{', '['])
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
