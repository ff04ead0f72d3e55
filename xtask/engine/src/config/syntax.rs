//! Mistakes in the TOML itself, in words that help.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::diagnostic::Diagnostic;
use super::reader::Reading;

/// The parser's words, what to say instead, and what to do.
const WORDS: &[(&str, &str, &str)] = &[
    ("string values must be quoted", "a string needs quotes", "write it as \"...\""),
    ("unclosed table", "a table's header is not closed", "close it with `]`"),
    ("unclosed array", "a list is not closed", "close it with `]`"),
    ("unclosed inline table", "a table is not closed", "close it with `}`"),
    ("key with no value", "a key without a value", "write KEY = VALUE"),
    ("invalid basic string", "a string is not closed", "close it with `\"` on the same line"),
    ("invalid literal string", "a string is not closed", "close it with `'` on the same line"),
    ("invalid multi-line basic string", "a string is not closed", "close it with `\"\"\"`"),
    ("invalid multi-line literal string", "a string is not closed", "close it with `'''`"),
    ("unquoted keys cannot be empty", "a key is missing", "write KEY = VALUE"),
    ("missing comma between array elements", "a comma is missing", "put `,` between the items"),
    ("missing value escape", "an unfinished escape", "write `\\\\` for a backslash"),
];

/// Reports what the parser found; whether the rest of the document can be trusted.
pub(crate) fn report(reading: &Reading<'_>, document: &Spanned<DeTable<'_>>, errors: Vec<Error>) -> bool {
    let mut sound = true;
    for error in errors {
        let span = error.span().unwrap_or_default();
        if error.message() == "duplicate key" {
            reading.report::<()>(duplicate(reading, document.get_ref(), span));
            continue;
        }
        sound = false;
        let (message, detail) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
        let known = WORDS.iter().find(|(theirs, _, _)| *theirs == message);
        let is_empty = reading.source.text.get(span.clone()).is_some_and(str::is_empty);
        let problem = match known {
            Some(("string values must be quoted", ..)) if is_empty => {
                reading.at(span, "a key without a value").help("write KEY = VALUE")
            }
            Some((_, ours, help)) => reading.at(span, *ours).help(*help),
            None => reading.at(span, message),
        };
        let known = known.is_some();
        reading.report::<()>(if detail.is_empty() || known {
            problem.label("not TOML")
        } else {
            problem.label(format!("expected {detail}"))
        });
    }
    sound
}

/// The same key, or the same table, twice.
fn duplicate(reading: &Reading<'_>, document: &DeTable<'_>, span: Range<usize>) -> Diagnostic {
    let text = reading.source.text.as_str();
    let key = text.get(span.clone()).unwrap_or_default();
    let line_start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    if line.trim_start().starts_with('[') {
        let header = line.split('#').next().unwrap_or_default().trim();
        let problem = reading.at(span, format!("the table {header} is there twice")).label("the second time");
        let earlier = lines(text).take_while(|(start, _)| *start < line_start);
        let same = |(_, line): &(usize, &str)| line.split('#').next().is_some_and(|line| line.trim() == header);
        let problem = match earlier.into_iter().find(same) {
            Some((start, line)) => problem.remark(start..start + line.len(), "the first time"),
            None => problem,
        };
        return problem.help("give it another name, or put its keys into one table");
    }
    let problem = reading.at(span.clone(), format!("`{key}` is set twice")).label("the second time");
    // The first one stands in the same table, so behind the last header.
    let table_start = lines(text).take_while(|(start, _)| *start < line_start);
    let table_start = table_start.filter(|(_, line)| line.trim_start().starts_with('[')).last();
    let table_start = table_start.map_or(0, |(start, _)| start);
    let mut first = None;
    keys(document, &mut |candidate, place| {
        if candidate == key && (table_start..span.start).contains(&place.start) {
            first = Some(place);
        }
    });
    match first {
        Some(first) => problem.remark(first, "the first time").help("remove one of the two"),
        None => problem.help("remove one of the two"),
    }
}

/// Each line with its offset.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = start;
        start += line.len();
        (at, line.trim_end())
    })
}

/// Shows every key of the document to `visit`.
fn keys(table: &DeTable<'_>, visit: &mut dyn FnMut(&str, Range<usize>)) {
    for (key, value) in table {
        visit(key.get_ref(), key.span());
        if let DeValue::Table(inner) = value.get_ref() {
            keys(inner, visit);
        }
    }
}
