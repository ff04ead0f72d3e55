//! The small part of Go's regular expressions that a `.dockerignore` pattern can turn into.
//!
//! Rust's syntax is near enough to look the same and differs inside classes (`[a[b]`, `[a&&b]`), so the text is read
//! here and only the matching is left to the regex engine. It knows nothing of patterns or paths.

use std::iter::Peekable;
use std::str::Chars;

use regex_automata::meta::Regex;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};

/// Compiles `text`; `None` when Go would refuse it, or when it uses an escape that has no place in a path
/// (`\Q`, `\p`, `\x`, octal numbers, word boundaries).
pub fn compile(text: &str) -> Option<Regex> {
    let mut chars = text.chars().peekable();
    let expression = sequence(&mut chars)?;
    // A `)` that nothing opened ends the sequence early.
    if chars.next().is_some() {
        return None;
    }
    Regex::builder().build_from_hir(&expression).ok()
}

fn sequence(chars: &mut Peekable<Chars<'_>>) -> Option<Hir> {
    let mut parts = Vec::new();
    while let Some(c) = chars.next_if(|c| *c != ')') {
        let atom = match c {
            '^' => Hir::look(Look::Start),
            '$' => Hir::look(Look::End),
            '.' => negated(&[('\n', '\n')]),
            '(' => {
                let inner = sequence(chars)?;
                chars.next_if_eq(&')')?;
                inner
            }
            '[' => class(chars)?,
            '\\' => match escape(chars.next()?)? {
                Escape::Char(c) => literal(c),
                Escape::Set(set) => Hir::class(Class::Unicode(set)),
            },
            c => literal(c),
        };
        let max = match chars.peek() {
            Some('*') => None,
            Some('?') => Some(1),
            _ => {
                parts.push(atom);
                continue;
            }
        };
        chars.next();
        parts.push(Hir::repetition(Repetition { min: 0, max, greedy: true, sub: Box::new(atom) }));
    }
    Some(Hir::concat(parts))
}

fn literal(c: char) -> Hir {
    Hir::literal(c.encode_utf8(&mut [0; 4]).as_bytes())
}

fn set(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(low, high)| ClassUnicodeRange::new(*low, *high)))
}

fn negated(ranges: &[(char, char)]) -> Hir {
    let mut set = set(ranges);
    set.negate();
    Hir::class(Class::Unicode(set))
}

enum Escape {
    Char(char),
    Set(ClassUnicode),
}

/// What `\c` stands for.
fn escape(c: char) -> Option<Escape> {
    const DIGIT: &[(char, char)] = &[('0', '9')];
    const SPACE: &[(char, char)] = &[('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')];
    const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
    let of = |ranges, negated: bool| {
        let mut set = set(ranges);
        if negated {
            set.negate();
        }
        Escape::Set(set)
    };
    Some(match c {
        'd' | 'D' => of(DIGIT, c == 'D'),
        's' | 'S' => of(SPACE, c == 'S'),
        'w' | 'W' => of(WORD, c == 'W'),
        'a' => Escape::Char('\u{7}'),
        'f' => Escape::Char('\u{c}'),
        'n' => Escape::Char('\n'),
        'r' => Escape::Char('\r'),
        't' => Escape::Char('\t'),
        'v' => Escape::Char('\u{b}'),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Escape::Char(c),
        _ => return None,
    })
}

/// The class behind a `[`, up to and with its `]`.
fn class(chars: &mut Peekable<Chars<'_>>) -> Option<Hir> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut class = ClassUnicode::empty();
    let mut first = true;
    while first || chars.peek() != Some(&']') {
        first = false;
        if let Some(named) = named_class(chars) {
            class.union(&named?);
            continue;
        }
        let low = match class_char(chars)? {
            Escape::Set(set) => {
                class.union(&set);
                continue;
            }
            Escape::Char(c) => c,
        };
        let mut high = low;
        let mut ahead = chars.clone();
        if ahead.next() == Some('-') && ahead.peek().is_some_and(|c| *c != ']') {
            chars.next();
            high = match class_char(chars)? {
                Escape::Char(c) if c >= low => c,
                _ => return None,
            };
        }
        class.push(ClassUnicodeRange::new(low, high));
    }
    chars.next();
    if negated {
        class.negate();
    }
    Some(Hir::class(Class::Unicode(class)))
}

fn class_char(chars: &mut Peekable<Chars<'_>>) -> Option<Escape> {
    match chars.next()? {
        '\\' => escape(chars.next()?),
        c => Some(Escape::Char(c)),
    }
}

/// `[:alpha:]` inside a class. `None`: no such thing here; `Some(None)`: it looks like one and is none.
fn named_class(chars: &mut Peekable<Chars<'_>>) -> Option<Option<ClassUnicode>> {
    let mut ahead = chars.clone();
    if ahead.next() != Some('[') || ahead.next() != Some(':') {
        return None;
    }
    let rest: String = ahead.collect();
    let (name, _) = rest.split_once(":]")?;
    let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let ranges: &[(char, char)] = match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\u{7f}')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return Some(None),
    };
    // `[:`, the name with its `^`, `:]`
    for _ in 0..name.chars().count() + usize::from(negated) + 4 {
        chars.next();
    }
    let mut class = set(ranges);
    if negated {
        class.negate();
    }
    Some(Some(class))
}
