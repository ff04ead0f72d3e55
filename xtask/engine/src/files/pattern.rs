//! One pattern of a `.dockerignore`, with exactly the meaning that docker's own matcher gives it.
//!
//! That matcher looks at a pattern in three ways one after the other: it cleans it as a path, checks it as a shell
//! glob, and translates it into a regular expression (or a plain comparison where nothing in it is special).
//! The corners where the three disagree are part of what docker does, so they are kept.
//! Lists of patterns, negation and files are the business of [`super::dockerignore`].

use std::iter::Peekable;
use std::str::Chars;

use super::automaton::Automaton;
use super::expression;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `!` with nothing behind it.
    NothingNegated,
    /// A class that does not end, an empty one, or a backslash with nothing behind it.
    Syntax,
    /// Fine as a glob, but the regular expression that docker makes of it is none, so that the build would fail as soon
    /// as the pattern is tried; or it has an escape that we do not know.
    Expression,
}

impl Fault {
    /// The reason in words.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NothingNegated => "`!` has no pattern behind it",
            Self::Syntax => "a `[` without its `]`, an empty class, or a `\\` with nothing behind it",
            Self::Expression => {
                "the regular expression that docker makes of it is wrong, or has an escape like `\\x` that is not supported"
            }
        }
    }
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    negated: bool,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// The path is the text.
    Exact,
    /// The path begins with the text less its trailing `**`.
    Prefix,
    /// The path ends with the text less its leading `**`.
    Suffix,
    /// Everything else.
    Expression(Automaton),
}

impl Pattern {
    /// Reads one pattern; `None` when nothing but white space is in it.
    pub fn parse(text: &str) -> Result<Option<Self>, Fault> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        // The `!` takes part in the cleaning, as it does in docker: `!../a` stays what it is.
        let cleaned = clean(text);
        let (negated, text) = match cleaned.strip_prefix('!') {
            Some("") => return Err(Fault::NothingNegated),
            Some(rest) => (true, rest.to_owned()),
            None => (false, cleaned),
        };
        check_glob(&text)?;
        let matcher = translate(&text)?;
        Ok(Some(Self { text, negated, matcher }))
    }

    /// Whether the pattern brings back what earlier ones excluded.
    pub const fn negated(&self) -> bool {
        self.negated
    }

    /// The cleaned text, without the `!`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `path` (relative, with `/`) itself matches; parents are the caller's business.
    pub fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact => path == self.text,
            Matcher::Prefix => path.starts_with(&self.text[..self.text.len() - 2]),
            Matcher::Suffix => {
                let suffix = &self.text[2..];
                path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path)
            }
            Matcher::Expression(expression) => expression.is_match(path),
        }
    }

    /// The text when what it can match below a directory is known from its beginning alone, less a trailing `/**` or
    /// `/*`; `None` when it holds anything special.
    pub fn literal(&self) -> Option<&str> {
        let text = self.text.strip_suffix("/**").unwrap_or(&self.text);
        let text = text.strip_suffix("/*").unwrap_or(text);
        (!text.contains(['*', '[', ']', '?', '^', '\\'])).then_some(text)
    }
}

/// The shortest path that means the same, without a look at the disk: no `.`, no `..` but leading ones, no doubled or
/// trailing `/`; an empty path is `.`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Refuses what docker refuses as a shell glob. It finds out by matching the path `.`, which looks at a pattern only
/// as far as `.` can match it, so that a fault further on is left to the regular expression.
fn check_glob(text: &str) -> Result<(), Fault> {
    let mut dot_left = true;
    let mut rest = text;
    'chunks: while !rest.is_empty() {
        let after_stars = rest.trim_start_matches('*');
        let star = after_stars.len() < rest.len();
        let (chunk, after) = after_stars.split_at(chunk_length(after_stars));
        rest = after;
        if star && chunk.is_empty() {
            return Ok(());
        }
        // A star may take the dot.
        let starts = if star && dot_left { &[true, false][..] } else { &[dot_left] };
        for start in starts {
            if let Some(left) = match_chunk(chunk, *start)?.filter(|left| !left || !rest.is_empty()) {
                dot_left = left;
                continue 'chunks;
            }
        }
        return Ok(());
    }
    Ok(())
}

/// How many bytes there are before the next star outside a class.
fn chunk_length(text: &str) -> usize {
    let mut in_class = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '*' if !in_class => return at,
            _ => {}
        }
    }
    text.len()
}

/// Matches the beginning of `.`, or of nothing when there is no `dot`; whether the dot is left when it does.
fn match_chunk(chunk: &str, mut dot: bool) -> Result<Option<bool>, Fault> {
    let mut failed = false;
    let mut chars = chunk.chars().peekable();
    while let Some(c) = chars.next() {
        let takes_dot = match c {
            '[' => match_class(&mut chars)?,
            '?' => true,
            '\\' => chars.next().ok_or(Fault::Syntax)? == '.',
            c => c == '.',
        };
        failed |= !dot || !takes_dot;
        dot = false;
    }
    Ok((!failed).then_some(dot))
}

/// Whether the class behind a `[` holds the dot.
fn match_class(chars: &mut Peekable<Chars<'_>>) -> Result<bool, Fault> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut holds = false;
    let mut ranges = 0;
    while ranges == 0 || chars.next_if_eq(&']').is_none() {
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { class_char(chars)? } else { low };
        holds |= (low..=high).contains(&'.');
        ranges += 1;
    }
    Ok(holds != negated)
}

fn class_char(chars: &mut Peekable<Chars<'_>>) -> Result<char, Fault> {
    let c = match chars.next() {
        None | Some('-' | ']') => return Err(Fault::Syntax),
        Some('\\') => chars.next().ok_or(Fault::Syntax)?,
        Some(c) => c,
    };
    // The class still has to end.
    chars.peek().map(|_| c).ok_or(Fault::Syntax)
}

/// Finds the cheapest way to match `text`, building the regular expression on the way.
fn translate(text: &str) -> Result<Matcher, Fault> {
    #[derive(PartialEq)]
    enum Found {
        Exact,
        Prefix,
        Suffix,
        Expression,
    }
    let mut found = Found::Exact;
    let mut expression = String::from("^");
    // A byte order mark is not part of what docker translates.
    let mut chars = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                if chars.peek().is_some() {
                    expression.push_str("(.*/)?");
                    found = Found::Expression;
                } else if found == Found::Exact {
                    found = Found::Prefix;
                } else {
                    expression.push_str(".*");
                    found = Found::Expression;
                }
                if first {
                    found = Found::Suffix;
                }
            }
            '*' => {
                expression.push_str("[^/]*");
                found = Found::Expression;
            }
            '?' => {
                expression.push_str("[^/]");
                found = Found::Expression;
            }
            // Not `|`, `{` and `}`: docker means to escape them as well and does not, so beside a `*` they choose and
            // count.
            '.' | '+' | '(' | ')' | '$' => expression.extend(['\\', c]),
            '\\' => {
                // What follows is escaped for the *regular expression*: `\d` is any digit, as it is in docker.
                expression.push('\\');
                expression.extend(chars.next());
                found = Found::Expression;
            }
            '[' | ']' => {
                expression.push(c);
                found = Found::Expression;
            }
            c => expression.push(c),
        }
        first = false;
    }
    Ok(match found {
        Found::Exact => Matcher::Exact,
        Found::Prefix => Matcher::Prefix,
        Found::Suffix => Matcher::Suffix,
        Found::Expression => {
            expression.push('$');
            Matcher::Expression(expression::compile(&expression).ok_or(Fault::Expression)?)
        }
    })
}
