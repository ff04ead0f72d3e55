//! Mistakes in the TOML itself, in words that help.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::diagnostic::Diagnostic;
use super::reading::Reading;

/// How a mistake is told: how the parser's message begins, then the title, the words at the caret, and the help.
struct Words(&'static str, &'static str, &'static str, &'static str);

const WORDS: &[Words] = &[
    Words("unclosed table", "a table's header is not closed", "a `]` is missing", "write [TABLE] or [TABLE.NAME]"),
    Words("unclosed array", "a list is not closed", "a `]` is missing", "write [\"ITEM\", \"ITEM\"]"),
    Words("unclosed inline table", "a table is not closed", "a `}` is missing", "write { KEY = VALUE, KEY = VALUE }"),
    Words("key with no value", "a key without a value", "a value is missing", "write KEY = VALUE"),
    Words(
        "invalid basic string",
        "a string is not closed",
        "a `\"` is missing",
        "strings end on the line they begin on",
    ),
    Words(
        "invalid literal string",
        "a string is not closed",
        "a `'` is missing",
        "strings end on the line they begin on",
    ),
    Words(
        "invalid multi-line basic string",
        "a string is not closed",
        "`\"\"\"` is missing",
        "it goes on to the end of the file",
    ),
    Words(
        "invalid multi-line literal string",
        "a string is not closed",
        "`'''` is missing",
        "it goes on to the end of the file",
    ),
    Words("unquoted keys cannot be empty", "a key is missing", "a key belongs here", "write KEY = VALUE"),
    Words("missing comma", "a comma is missing", "a `,` belongs before this", "items are separated by `,`"),
    Words("missing assignment operator", "a `=` is missing", "a `=` belongs here", "write KEY = VALUE"),
    Words("unexpected leading zero", "a number begins with a zero", "no use for a zero", "leave it out"),
    Words(
        "missing escaped value",
        "a backslash with nothing to escape",
        "not a letter that may follow it",
        "write `\\\\` for a backslash, and `/` between folders",
    ),
];

/// Reports what the parser found; whether the rest of the document can be trusted.
pub(crate) fn report(reading: &Reading<'_>, document: &Spanned<DeTable<'_>>, mut errors: Vec<Error>) -> bool {
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let mut sound = true;
    let mut told = None;
    for error in errors {
        let span = error.span().unwrap_or_default();
        if error.message() == "duplicate key" {
            reading.report::<()>(duplicate(reading, document.get_ref(), span));
            continue;
        }
        sound = false;
        // What follows on the same line mostly follows from the first.
        let line = reading.source.text.get(..span.start).map(|before| before.matches('\n').count());
        if told.replace(line) != Some(line) {
            reading.report::<()>(explained(reading, error.message(), span));
        }
    }
    sound
}

fn explained(reading: &Reading<'_>, message: &str, span: Range<usize>) -> Diagnostic {
    let text = reading.source.text.get(span.clone()).unwrap_or_default();
    let line = reading.source.text[span.start..].lines().next().unwrap_or_default();
    let at = |message: &str| reading.at(span.clone(), message);
    if line.starts_with(':') {
        return at("a key and its value are joined by `=`").label("not `:`").help("write KEY = VALUE");
    }
    // The parser tries what a value could be and names what it tried last; a word without quotes is what it mostly is.
    let is_value =
        ["string values must be quoted", "invalid boolean", "invalid integer", "invalid float", "invalid number"];
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'));
    if is_value.iter().any(|begin| message.starts_with(begin)) {
        return match text {
            _ if is_number => at("neither a number nor a string").label("not a number").help("put strings in quotes"),
            "" => at("a key without a value").label("a value is missing").help("write KEY = VALUE"),
            word => at("a string needs quotes").label("no quotes").help(format!("write \"{word}\"")),
        };
    }
    if let Some(Words(_, title, label, help)) = WORDS.iter().find(|words| message.starts_with(words.0)) {
        return at(title).label(*label).help(*help);
    }
    match message.split_once(", expected ") {
        Some((message, expected)) => at(message).label(format!("expected {expected}")),
        None => at(message).label("not TOML"),
    }
}

/// The same key, or the same table, twice.
fn duplicate(reading: &Reading<'_>, document: &DeTable<'_>, span: Range<usize>) -> Diagnostic {
    let text = reading.source.text.as_str();
    let here = lines(text).take_while(|(start, _)| *start <= span.start).last();
    if let Some((start, line)) = here.filter(|(_, line)| line.trim_start().starts_with('[')) {
        let header = header(line);
        let problem = reading.at(start..start + header.len(), format!("the table {header} is there twice"));
        let problem = problem.label("the second time").help("give it another name, or put its keys into one table");
        let mut earlier = lines(text).take_while(|(other, _)| *other < start);
        return match earlier.find(|(_, line)| self::header(line) == header) {
            Some((first, _)) => problem.remark(first..first + header.len(), "the first time"),
            None => problem,
        };
    }
    let key = text.get(span.clone()).unwrap_or_default();
    let problem = reading.at(span.clone(), format!("`{key}` is set twice")).label("the second time");
    let problem = problem.help("remove one of the two");
    // The first one stands in the same table, so behind the last header.
    let headers = lines(text).take_while(|(start, _)| *start < span.start);
    let table = headers.filter(|(_, line)| line.trim_start().starts_with('[')).last().map_or(0, |(start, _)| start);
    let mut first = None;
    keys(document, &mut |candidate, place| {
        if candidate == key && (table..span.start).contains(&place.start) {
            first = Some(place);
        }
    });
    match first {
        Some(first) => problem.remark(first, "the first time"),
        None => problem,
    }
}

/// A line without its comment.
fn header(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
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
