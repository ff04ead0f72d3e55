//! The small part of Go's regular expressions that a `.dockerignore` pattern can turn into, read as Go reads it.
//!
//! It knows nothing of patterns or paths; matching is the business of [`super::automaton`].

use std::iter::Peekable;
use std::str::Chars;

use super::automaton::{Automaton, Node, Set};

/// Compiles `text`; `None` when Go would refuse it, or when it uses an escape that has no place in a path
/// (`\Q`, `\p`, `\x`, octal numbers, word boundaries).
pub(super) fn compile(text: &str) -> Option<Automaton> {
    let mut chars = text.chars().peekable();
    let expression = alternatives(&mut chars)?;
    // A `)` that nothing opened ends the alternatives early.
    chars.next().is_none().then(|| Automaton::new(&expression))
}

/// Sequences with `|` between them, up to the end or to a `)`.
fn alternatives(chars: &mut Peekable<Chars<'_>>) -> Option<Node> {
    let mut all = vec![sequence(chars)?];
    while chars.next_if_eq(&'|').is_some() {
        all.push(sequence(chars)?);
    }
    Some(Node::Alternatives(all))
}

fn sequence(chars: &mut Peekable<Chars<'_>>) -> Option<Node> {
    let mut parts = Vec::new();
    // A repetition of a repetition is an error, and so is one of nothing.
    let mut repeatable = false;
    while let Some(c) = chars.next_if(|c| !matches!(c, ')' | '|')) {
        let times = match c {
            '*' => Some((0, None)),
            '?' => Some((0, Some(1))),
            '{' => times(chars)?,
            _ => None,
        };
        if let Some((min, max)) = times {
            let node = Box::new(parts.pop().filter(|_| repeatable)?);
            parts.push(Node::Repeat { node, min, max });
            repeatable = false;
            continue;
        }
        repeatable = true;
        parts.push(match c {
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Set(Set::new(&[('\n', '\n')]).complement()),
            '(' => {
                let inner = alternatives(chars)?;
                chars.next_if_eq(&')')?;
                inner
            }
            '[' => class(chars)?,
            '\\' => match escape(chars.next()?)? {
                Escape::Char(c) => literal(c),
                Escape::Set(set) => Node::Set(set),
            },
            c => literal(c),
        });
    }
    Some(Node::Sequence(parts))
}

/// A least and a greatest number of times; no greatest is any number.
type Times = (u32, Option<u32>);

/// The `2}`, `2,}` or `2,5}` behind a `{`. `Some(None)`: it is none of them, and the `{` is itself.
/// `None`: more than 1000 times, or a range that ends before it begins.
fn times(chars: &mut Peekable<Chars<'_>>) -> Option<Option<Times>> {
    fn number(chars: &mut Peekable<Chars<'_>>) -> Option<u32> {
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let plain = !digits.is_empty() && (digits == "0" || !digits.starts_with('0'));
        plain.then(|| digits.parse().unwrap_or(u32::MAX))
    }
    fn read(chars: &mut Peekable<Chars<'_>>) -> Option<Times> {
        let min = number(chars)?;
        let max = match chars.next_if_eq(&',') {
            None => Some(min),
            Some(_) if chars.peek() == Some(&'}') => None,
            Some(_) => Some(number(chars)?),
        };
        chars.next_if_eq(&'}').map(|_| (min, max))
    }
    let mut ahead = chars.clone();
    let Some((min, max)) = read(&mut ahead) else { return Some(None) };
    *chars = ahead;
    let allowed = min <= 1000 && max.is_none_or(|max| min <= max && max <= 1000);
    allowed.then_some(Some((min, max)))
}

fn literal(c: char) -> Node {
    Node::Set(Set::new(&[(c, c)]))
}

enum Escape {
    Char(char),
    Set(Set),
}

/// What `\c` stands for.
fn escape(c: char) -> Option<Escape> {
    const DIGIT: &[(char, char)] = &[('0', '9')];
    const SPACE: &[(char, char)] = &[('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')];
    const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
    let of = |ranges, negated: bool| {
        let set = Set::new(ranges);
        Escape::Set(if negated { set.complement() } else { set })
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
fn class(chars: &mut Peekable<Chars<'_>>) -> Option<Node> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut class = Set::default();
    let mut first = true;
    while first || chars.peek() != Some(&']') {
        first = false;
        if let Some(named) = named_class(chars) {
            class.add_set(named?);
            continue;
        }
        let low = match class_char(chars)? {
            Escape::Set(set) => {
                class.add_set(set);
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
        class.add_range(low, high);
    }
    chars.next();
    Some(Node::Set(if negated { class.complement() } else { class }))
}

fn class_char(chars: &mut Peekable<Chars<'_>>) -> Option<Escape> {
    match chars.next()? {
        '\\' => escape(chars.next()?),
        c => Some(Escape::Char(c)),
    }
}

/// `[:alpha:]` inside a class. `None`: no such thing here; `Some(None)`: it looks like one and is none.
fn named_class(chars: &mut Peekable<Chars<'_>>) -> Option<Option<Set>> {
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
    let class = Set::new(ranges);
    Some(Some(if negated { class.complement() } else { class }))
}
