//! One pattern of a `.dockerignore`, with exactly the meaning that docker's own matcher gives it.
//!
//! That matcher looks at a pattern in three ways one after the other: it cleans it as a path, checks it as a shell
//! glob, and translates it into a regular expression (or a plain comparison where nothing in it is special).
//! The corners where the three disagree are part of what docker does, so they are kept.
//! Lists of patterns, negation and files are the business of [`super::dockerignore`].

use regex_automata::meta::Regex;

use super::expression;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `!` with nothing behind it.
    NothingNegated,
    /// A class that does not end, an empty one, or a backslash with nothing behind it.
    Syntax,
    /// Fine as a glob, but the regular expression that docker makes of it is none: the build would fail.
    Expression,
}

impl Fault {
    /// The reason in words.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NothingNegated => "`!` has no pattern behind it",
            Self::Syntax => "a `[` without its `]`, an empty class, or a `\\` with nothing behind it",
            Self::Expression => "docker cannot make a regular expression of it",
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
    Expression(Box<Regex>),
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

/// Checks the syntax of a shell glob: classes closed and not empty, nothing missing behind a backslash.
fn check_glob(text: &str) -> Result<(), Fault> {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next().ok_or(Fault::Syntax)?;
            }
            '[' => {
                chars.next_if_eq(&'^');
                check_class(&mut chars)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<(), Fault> {
    let mut ranges = 0;
    loop {
        if ranges > 0 && chars.next_if_eq(&']').is_some() {
            return Ok(());
        }
        check_class_char(chars)?;
        if chars.next_if_eq(&'-').is_some() {
            check_class_char(chars)?;
        }
        ranges += 1;
    }
}

fn check_class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<(), Fault> {
    match chars.next() {
        None | Some('-' | ']') => return Err(Fault::Syntax),
        Some('\\') => {
            chars.next().ok_or(Fault::Syntax)?;
        }
        Some(_) => {}
    }
    // A class character is never the last character: the class still has to end.
    chars.peek().map(|_| ()).ok_or(Fault::Syntax)
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
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => expression.extend(['\\', c]),
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
            Matcher::Expression(Box::new(expression::compile(&expression).ok_or(Fault::Expression)?))
        }
    })
}
