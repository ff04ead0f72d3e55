//! What a line of a log says: its level, its message, its fields. Many programs write a JSON object on each line.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For those who look for a fault.
    Debug,
    /// What happens.
    Info,
    /// What should not.
    Warn,
    /// What went wrong.
    Error,
}

impl FromStr for Level {
    type Err = String;

    /// By any of the names that programs give levels.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "trace" | "silly" | "verbose" => Self::Trace,
            "debug" => Self::Debug,
            "info" | "information" | "notice" | "log" | "statement" | "detail" | "hint" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "err" | "critical" | "crit" | "fatal" | "panic" | "alert" | "emerg" | "emergency" => Self::Error,
            _ => return Err("the levels are trace, debug, info, warn and error".to_owned()),
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

/// A line that is a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How grave it is, if it says so.
    pub level: Option<Level>,
    /// What it says.
    pub message: String,
    /// The rest in the order in which it is written, less the time, which the line has already.
    pub fields: Vec<(String, String)>,
}

const LEVELS: [&str; 5] = ["level", "severity", "levelname", "lvl", "log.level"];
const MESSAGES: [&str; 4] = ["message", "msg", "event", "text"];
const TIMES: [&str; 6] = ["time", "timestamp", "ts", "@timestamp", "asctime", "datetime"];

impl Record {
    /// Takes a line apart; `None` if it is not a JSON object with a message in it.
    pub fn of(text: &str) -> Option<Self> {
        if !text.starts_with('{') {
            return None;
        }
        let mut object: Map<String, Value> = serde_json::from_str(text).ok()?;
        let message = MESSAGES.iter().find_map(|key| match object.get(*key) {
            Some(Value::String(_)) => object.shift_remove(*key),
            _ => None,
        });
        let message = shown(message?);
        let level = LEVELS.iter().find_map(|key| {
            let level = level_of_value(object.get(*key)?)?;
            object.shift_remove(*key);
            Some(level)
        });
        object.retain(|key, _| !TIMES.contains(&key.as_str()));
        Some(Self { level, message, fields: object.into_iter().map(|(key, value)| (key, shown(value))).collect() })
    }
}

fn shown(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn level_of_value(value: &Value) -> Option<Level> {
    match value {
        Value::String(name) => name.parse().ok(),
        // As pino and bunyan count.
        Value::Number(number) => Some(match number.as_u64()? {
            0..20 => Level::Trace,
            20..30 => Level::Debug,
            30..40 => Level::Info,
            40..50 => Level::Warn,
            50.. => Level::Error,
        }),
        _ => None,
    }
}

/// How many words of a line are looked at for a level.
const WORDS: usize = 8;

/// The level that a line of plain text says it has: `ERROR:`, `[warn]`, `level=info`, `LOG:  ready`.
pub fn level_of(text: &str) -> Option<Level> {
    text.split_whitespace().take(WORDS).find_map(|word| {
        if let Some((_, level)) = word.split_once("level=") {
            return level.trim_matches('"').parse().ok();
        }
        let marked = word.ends_with(':') || word.starts_with('[');
        let name = word.trim_matches(|char: char| !char.is_ascii_alphabetic());
        let loud = name.len() > 2 && name.chars().all(|char| char.is_ascii_uppercase());
        // An ordinary word may be the name of a level; one that is marked or loud is meant to be.
        if marked || loud { name.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::{Level, Record, level_of};

    #[test]
    fn json_lines_are_taken_apart() {
        let check = |text: &str, level: Option<Level>, message: &str, fields: &[(&str, &str)]| {
            let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(Record::of(text), Some(Record { level, message: message.to_owned(), fields }), "{text}");
        };
        check(
            r#"{"time": "2026-01-01T00:00:00", "level": "warning", "logger": "app", "message": "slow", "took": 3.5}"#,
            Some(Level::Warn),
            "slow",
            &[("logger", "app"), ("took", "3.5")],
        );
        check(r#"{"level":50,"time":1,"msg":"no"}"#, Some(Level::Error), "no", &[]);
        let nested = r#"{"severity":"NOTICE","message":"a","b":{"c":[1]}}"#;
        check(nested, Some(Level::Info), "a", &[("b", r#"{"c":[1]}"#)]);
        check(r#"{"event":"started"}"#, None, "started", &[]);
        check(r#"{"level":"loud","message":"x"}"#, None, "x", &[("level", "loud")]);
        for text in [r#"{"status": 200}"#, r#"{"message": 7}"#, "{not json}", "plain", r#"["message"]"#] {
            assert_eq!(Record::of(text), None, "{text}");
        }
    }

    #[test]
    fn plain_lines_say_their_level_in_many_ways() {
        for (text, expected) in [
            ("INFO:     127.0.0.1:3 - \"GET / HTTP/1.1\" 200 OK", Some(Level::Info)),
            ("2026-11-21 20:00:00.000 UTC [1] LOG:  database system is ready", Some(Level::Info)),
            ("2026-11-21 20:00:00.000 UTC [1] FATAL:  no", Some(Level::Error)),
            ("time=\"2026\" level=warning msg=\"a b\"", Some(Level::Warn)),
            ("[error] it broke", Some(Level::Error)),
            ("[Warn]: it may break", Some(Level::Warn)),
            ("Error: connect ECONNREFUSED", Some(Level::Error)),
            ("there was an error somewhere", None),
            ("INFORMATIONAL text", None),
            ("a b c d e f g h ERROR", None),
            ("", None),
        ] {
            assert_eq!(level_of(text), expected, "{text}");
        }
    }
}
