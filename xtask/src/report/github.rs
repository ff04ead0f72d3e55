//! What GitHub's runners read in a log: groups that fold, and failures as annotations of the line at fault.
//!
//! Text of others goes through [`escaped`]: a line of theirs must not become a command of the runner.

use std::path::Path;

use engine::failure::Failure;

/// The line that opens a group.
pub fn group(name: &str) -> String {
    format!("::group::{}", escaped(name))
}

/// The line that closes the group.
pub const END_OF_GROUP: &str = "::endgroup::";

/// The line that shows `failure` beside the file and line at fault, where the failure names one below `root`.
pub fn annotation(root: &Path, failure: &Failure) -> String {
    let place = failure.excerpts.iter().find_map(|excerpt| place(root, &excerpt.origin));
    let place = place.map(|(file, line)| format!("file={},line={line},", property(file))).unwrap_or_default();
    let text: Vec<&str> = failure.causes.iter().chain(&failure.help).map(String::as_str).collect();
    let text = if text.is_empty() { failure.message.clone() } else { text.join("\n") };
    format!("::error {place}title={}::{}", property(&failure.message), escaped(&text))
}

/// `frontend/Dockerfile:18`, if there is such a file.
fn place<'a>(root: &Path, origin: &'a str) -> Option<(&'a str, u32)> {
    let (file, line) = origin.rsplit_once(':')?;
    let line = line.parse().ok()?;
    root.join(file).is_file().then_some((file, line))
}

/// `text` as the message of a command: on one line.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// `text` as a property of a command.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use engine::failure::Failure;

    use super::{annotation, group};

    #[test]
    fn a_failure_stands_beside_the_line_at_fault() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        let check = |failure: Failure, expected: &str| assert_eq!(annotation(root.path(), &failure), expected);
        check(
            Failure::step("image:app did not build").because("exit code 1").excerpt("Dockerfile:18", vec![]),
            "::error file=Dockerfile,line=18,title=image%3Aapp did not build::exit code 1",
        );
        check(
            Failure::step("it broke").excerpt("pod app-1 container app", vec![]).excerpt("gone.rs:3", vec![]),
            "::error title=it broke::it broke",
        );
    }

    #[test]
    fn nothing_of_others_becomes_a_command() {
        let failure = Failure::step("a\n::set-env name=X::y").because("100%\r\n::stop-commands::z");
        let line = annotation(std::path::Path::new("/"), &failure);
        assert_eq!(line.lines().count(), 1, "{line}");
        assert_eq!(group("x\n::error::y").lines().count(), 1);
    }
}
