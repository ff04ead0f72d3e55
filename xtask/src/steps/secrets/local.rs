//! The local file with secret values: a map somewhere in a YAML file, read into values that do not print, and edited
//! as text, because a file that a person keeps has comments and an order.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use std::collections::BTreeMap;

use engine::failure::Failure;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::world::helm::values;
use crate::world::kube::rendered;

/// The text of the file, and the map in it.
pub struct Local {
    text: SecretString,
    /// The path of the map inside the file; empty when the whole file is the map.
    key: Vec<String>,
    values: BTreeMap<String, SecretString>,
}

impl Local {
    /// Reads the file; `None` when it is not there.
    ///
    /// # Errors
    /// When it cannot be read, is no YAML, or has something else than a map of texts at `key`.
    pub fn read(path: &Path, shown: &Path, key: &[String]) -> Result<Option<Self>, Failure> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(text, shown, key).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io("read", path, &error)),
        }
    }

    /// Takes a file's text; `shown` is its path for people.
    ///
    /// # Errors
    /// When it is no YAML, or has something else than a map of texts at `key`.
    pub fn parse(text: String, shown: &Path, key: &[String]) -> Result<Self, Failure> {
        let shown = shown.display();
        // The parser's own message may quote a line, and with it a value.
        let parsed = rendered::parse(&text).map_err(|error| {
            let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
            Failure::usage(format!("{shown}{place} is not valid YAML"))
                .help("each line is `KEY: \"value\"`, indented below its map")
        })?;
        let mut root = parsed.unwrap_or_default();
        let map = if key.is_empty() { Some(root) } else { values::take(&mut root, key) };
        let place = if key.is_empty() { shown.to_string() } else { format!("`{}` in {shown}", key.join(".")) };
        let mut found = BTreeMap::new();
        match map {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => {
                for (name, value) in map {
                    let text_of = match value {
                        Value::Null => String::new(),
                        Value::String(text) => text,
                        Value::Bool(_) | Value::Number(_) => value.to_string(),
                        Value::Array(_) | Value::Object(_) => {
                            let line =
                                line_of(&text, key, &name).map_or(String::new(), |line| format!(":{}", line.number));
                            return Err(Failure::usage(format!("{name} in {shown}{line} is no text")).help(
                                "a secret value is one text; write it in quotes, or behind `|` when it has lines",
                            ));
                        }
                    };
                    found.insert(name, SecretString::from(text_of));
                }
            }
            Some(_) => return Err(Failure::usage(format!("{place} is no map of secret values"))),
        }
        Ok(Self { text: SecretString::from(text), key: key.to_vec(), values: found })
    }

    /// The values, empty ones included.
    pub fn values(&self) -> &BTreeMap<String, SecretString> {
        &self.values
    }

    /// Whether `name` has no value.
    pub fn is_empty(&self, name: &str) -> bool {
        self.values.get(name).is_none_or(|value| value.expose_secret().is_empty())
    }

    /// The line on which `name` stands, counted from 1.
    pub fn line(&self, name: &str) -> Option<usize> {
        line_of(self.text.expose_secret(), &self.key, name).map(|line| line.number)
    }

    /// The file with `name` set to `value`, every other byte as it was.
    ///
    /// # Errors
    /// When the file is written in a way that this cannot edit: the person has to.
    pub fn with(&self, name: &str, value: &SecretString, shown: &Path) -> Result<Self, Failure> {
        let text = edited(self.text.expose_secret(), &self.key, name, value.expose_secret());
        let edited = text.and_then(|text| Self::parse(text, shown, &self.key).ok());
        // Read back, and nothing else changed: then the edit was right, however the file is written.
        let right = |edited: &Self| {
            let set = edited.values.get(name).is_some_and(|set| set.expose_secret() == value.expose_secret());
            let others = |values: &BTreeMap<String, SecretString>| {
                let others = values.iter().filter(|(other, _)| *other != name);
                others.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect::<Vec<_>>()
            };
            set && others(&edited.values) == others(&self.values)
        };
        edited.filter(right).ok_or_else(|| {
            Failure::usage(format!("could not write a value for {name} into {}", shown.display()))
                .because("its map is written in a way that cannot be edited line by line")
                .help(format!("write a line of its own: {name}: \"\""))
        })
    }

    /// Writes the file with mode 0600, so that a crash leaves either the old one or the new one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = folder.join(format!(".{name}.{}", std::process::id()));
        // What an earlier process of this number may have left.
        let _ = fs::remove_file(&temporary);
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(self.text.expose_secret().as_bytes())?;
            fs::rename(&temporary, path)
        };
        write().map_err(|error| {
            // Best effort: the write's own error is the one to tell.
            let _ = fs::remove_file(&temporary);
            Failure::io("write", path, &error)
        })
    }
}

/// Takes the rights of group and others away; says whether there were any.
///
/// # Errors
/// When the file is somebody else's.
pub fn make_private(path: &Path) -> Result<bool, Failure> {
    let mode = fs::metadata(path).map_err(|error| Failure::io("look at", path, &error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(false);
    }
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, private).map_err(|error| Failure::io("make private", path, &error))?;
    Ok(true)
}

/// A line `key: value` of a block map.
struct Line<'a> {
    /// Counted from 1.
    number: usize,
    /// Where the line begins, in bytes.
    start: usize,
    indent: usize,
    /// What is behind the colon.
    rest: &'a str,
}

/// The line of `name` in the map at `path`.
fn line_of<'a>(text: &'a str, path: &[String], name: &str) -> Option<Line<'a>> {
    let mut above: Vec<(usize, String)> = Vec::new();
    for (line, key) in lines(text) {
        above.retain(|(indent, _)| *indent < line.indent);
        let is_here = above.iter().map(|(_, key)| key).eq(path);
        if is_here && key == name {
            return Some(line);
        }
        above.push((line.indent, key));
    }
    None
}

/// All lines `key: value`, those inside of block texts left out.
fn lines(text: &str) -> impl Iterator<Item = (Line<'_>, String)> {
    let mut start = 0;
    let mut block: Option<usize> = None;
    text.split_inclusive('\n').enumerate().filter_map(move |(index, line)| {
        let begin = start;
        start += line.len();
        let content = line.trim_end();
        let indent = content.len() - content.trim_start().len();
        if content.is_empty() || block.is_some_and(|block| indent > block) {
            return None;
        }
        block = None;
        let (key, rest) =
            content.trim_start().split_once(':').filter(|(_, rest)| rest.is_empty() || rest.starts_with(' '))?;
        let key = key.trim_end().trim_matches(['"', '\'']);
        if key.starts_with(['#', '-', '{', '[']) {
            return None;
        }
        if rest.trim_start().starts_with(['|', '>']) {
            block = Some(indent);
        }
        Some((Line { number: index + 1, start: begin, indent, rest }, key.to_owned()))
    })
}

fn edited(text: &str, path: &[String], name: &str, value: &str) -> Option<String> {
    // JSON's strings are YAML's double-quoted ones.
    let quoted = Value::from(value).to_string();
    if let Some(line) = line_of(text, path, name) {
        let old = line.rest.trim_start();
        // Only an empty value is ever replaced, so nothing but quotes and a comment can be there.
        let comment = old.trim_start_matches(['"', '\'', '~']).trim_start();
        let comment = comment.strip_prefix("null").map_or(comment, str::trim_start);
        if !comment.is_empty() && !comment.starts_with('#') {
            return None;
        }
        let rest_at = line.start
            + text[line.start..]
                .find(line.rest)
                .filter(|_| !line.rest.is_empty())
                .unwrap_or_else(|| text[line.start..].find('\n').unwrap_or(text.len() - line.start));
        let (before, after) = (&text[..rest_at], &text[rest_at + line.rest.len()..]);
        let space = if comment.is_empty() { "" } else { " " };
        return Some(format!("{before} {quoted}{space}{comment}{after}"));
    }
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let Some((last, parents)) = path.split_last() else {
        return Some(format!("{text}{newline}{name}: {quoted}\n"));
    };
    // Right below its map's own line, indented as the map's other lines are.
    let map = line_of(text, parents, last)?;
    let end = text[map.start..].find('\n').map_or(text.len(), |at| map.start + at + 1);
    let first = lines(text).find(|(line, _)| line.start >= end && line.indent > map.indent);
    let indent = first.map_or(map.indent + 2, |(line, _)| line.indent);
    let newline = if text[..end].ends_with('\n') { "" } else { "\n" };
    // A map without a value yet may say so.
    let head = text[..end].to_owned();
    let head = if map.rest.trim() == "{}" { head.replacen(" {}", "", 1) } else { head };
    Some(format!("{head}{newline}{}{name}: {quoted}\n{}", " ".repeat(indent), &text[end..]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secrecy::{ExposeSecret as _, SecretString};

    use super::Local;

    fn parse(text: &str, key: &str) -> Local {
        let key: Vec<String> = key.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect();
        Local::parse(text.to_owned(), Path::new("values.yaml"), &key).unwrap()
    }

    #[test]
    fn a_value_is_written_where_the_person_would_write_it() {
        let check = |text: &str, key: &str, expected: &str| {
            let edited = parse(text, key)
                .with("A", &SecretString::from("x\"1"), Path::new("values.yaml"))
                .map(|local| local.text);
            assert_eq!(edited.unwrap().expose_secret(), expected);
        };
        check("A: \"\"\n", "", "A: \"x\\\"1\"\n");
        check("A:\nB: 1\n", "", "A: \"x\\\"1\"\nB: 1\n");
        check("A:", "", "A: \"x\\\"1\"");
        check("B: 1", "", "B: 1\nA: \"x\\\"1\"\n");
        check("", "", "A: \"x\\\"1\"\n");
        check(
            "# A: no\nA: 1\nsecrets:\n  # about it\n  A: ''   # openssl rand\n  B: |\n    A: no\nother:\n  A: 2\n",
            "secrets",
            "# A: no\nA: 1\nsecrets:\n  # about it\n  A: \"x\\\"1\" # openssl rand\n  B: |\n    A: no\nother:\n  A: 2\n",
        );
        check("x:\n  secrets:\n      B: 2\n", "x.secrets", "x:\n  secrets:\n      A: \"x\\\"1\"\n      B: 2\n");
        check("secrets:\n", "secrets", "secrets:\n  A: \"x\\\"1\"\n");
        check("secrets: {}\nb: 1\n", "secrets", "secrets:\n  A: \"x\\\"1\"\nb: 1\n");
    }

    #[test]
    fn what_cannot_be_edited_is_left_to_the_person() {
        for text in ["secrets: {A: \"\"}\n", "secrets: {A: \"\", B: 1}\n", "{secrets: {B: 1}}\n"] {
            let edited = parse(text, "secrets").with("A", &SecretString::from("x"), Path::new("values.yaml"));
            let failure = edited.err().unwrap();
            assert_eq!(failure.message, "could not write a value for A into values.yaml", "{text}");
        }
    }

    #[test]
    fn values_are_read_with_their_lines() {
        let local = parse("# c\nsecrets:\n  A: \"\"\n\n  B: 5432\n  C: |\n    one\n    two\n  D:\n", "secrets");
        let value = |name: &str| local.values()[name].expose_secret().to_owned();
        assert_eq!((value("B"), value("C"), value("D")), ("5432".to_owned(), "one\ntwo\n".to_owned(), String::new()));
        assert_eq!((local.line("A"), local.line("D"), local.line("E")), (Some(3), Some(9), None));
        assert!(local.is_empty("A") && local.is_empty("D") && local.is_empty("E") && !local.is_empty("B"));
        assert!(parse("other: 1\n", "secrets").values().is_empty());
    }

    #[test]
    fn what_is_no_map_of_texts_is_refused_without_a_word_of_its_content() {
        let check = |text: &str, expected: &str| {
            let failure =
                Local::parse(text.to_owned(), Path::new("values.yaml"), &["secrets".to_owned()]).err().unwrap();
            assert!(failure.message.starts_with(expected), "{failure:?}");
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        };
        check("secrets:\n  A: hunter2\n B: [\n", "values.yaml:");
        check("secrets:\n  A: [hunter2]\n", "A in values.yaml:2 is no text");
        check("secrets: hunter2\n", "`secrets` in values.yaml is no map of secret values");
    }
}
