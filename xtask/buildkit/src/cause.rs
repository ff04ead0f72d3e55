//! Reads out of the daemon's words which kind of failure it was.
//!
//! BuildKit says it in one sentence, put together from the outside in, that has changed from version to version; the
//! examples in the tests are of docker 20.10 and of 23 and later. What is not recognised is passed on as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dockerfile::Dockerfile;
use crate::error::{BaseImageProblem, Error};
use crate::progress::FailedVertex;

/// What the words are about.
pub(crate) struct Subject<'a> {
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) target: Option<&'a str>,
    pub(crate) build_args: &'a BTreeMap<String, String>,
}

/// The error behind `message`, with which the build ended, and the vertex to blame, if there is one.
pub(crate) fn classify(message: &str, subject: &Subject<'_>, failed: Option<FailedVertex>) -> Error {
    let message = without_wrapping(message);
    let vertex = failed.as_ref().map(|failed| Arc::clone(&failed.name)).unwrap_or_default();
    let vertex = vertex.as_ref();
    let line = failed.as_ref().and_then(|failed| failed.line);
    if let Some(error) = syntax(message, subject) {
        return error;
    }
    if let (Some(target), true) = (subject.target, message.contains("could not be found")) {
        return Error::UnknownTarget { target: target.to_owned(), stages: subject.dockerfile.stage_names() };
    }
    if let Some(image) = image_of(vertex) {
        let line = line.or_else(|| subject.dockerfile.line_naming(image, subject.build_args));
        let problem = base_image_problem(message);
        return Error::BaseImage { image: image.to_owned(), problem, message: message.to_owned(), line };
    }
    let command = vertex.split_once("] ").map_or(vertex, |(_, command)| command);
    let not_found = message.strip_suffix(": not found");
    if let (Some(what), "COPY" | "ADD") = (not_found, command.split(' ').next().unwrap_or_default()) {
        let what = what.strip_suffix(" not found").unwrap_or(what);
        if let Some(path) = what.strip_suffix('"').and_then(|what| what.rsplit_once('"')).map(|(_, path)| path) {
            return Error::MissingSource { path: path.trim_start_matches('/').to_owned(), line };
        }
    }
    if let Some(id) = not_found.and_then(|what| what.strip_prefix("secret ")) {
        return Error::MissingSecret { id: id.strip_suffix(" not found").unwrap_or(id).to_owned(), line };
    }
    match failed {
        Some(failed) => Error::Instruction {
            command: command.to_owned(),
            vertex: failed.name.to_string(),
            exit_code: exit_code(&failed.message),
            last_lines: failed.last_lines,
            line: failed.line,
            message: failed.message,
        },
        None => Error::Failed { message: message.to_owned() },
    }
}

/// Takes off what only says through which parts of BuildKit the error came.
fn without_wrapping(message: &str) -> &str {
    const WRAPPINGS: [&str; 8] = [
        "failed to solve: ",
        "failed to solve with frontend ",
        "dockerfile.v0: ",
        "gateway.v0: ",
        "failed to create LLB definition: ",
        "failed to compute cache key: ",
        "failed to load cache key: ",
        "rpc error: code = Unknown desc = ",
    ];
    let mut rest = message.trim();
    while let Some(inner) = WRAPPINGS.iter().find_map(|wrapping| rest.strip_prefix(wrapping)) {
        rest = inner;
    }
    rest
}

fn syntax(message: &str, subject: &Subject<'_>) -> Option<Error> {
    if let Some((_, details)) = message.split_once("dockerfile parse error ") {
        let details = details.strip_prefix("on ").unwrap_or(details);
        let numbered = details.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
        let (line, message) = match numbered {
            Some((line, message)) => (line.parse().ok(), message),
            None => (None, details),
        };
        return Some(Error::Syntax { line, message: message.to_owned() });
    }
    const SAID_OF_THE_WHOLE: [&str; 4] =
        ["the Dockerfile cannot be empty", "file with no instructions", "failed to parse stage name", "base name ("];
    if !SAID_OF_THE_WHOLE.iter().any(|words| message.starts_with(words)) {
        return None;
    }
    let named = |base: &str| [format!("\"{base}\""), format!("({base})")].iter().any(|name| message.contains(name));
    let stage = subject.dockerfile.stages.iter().find(|stage| named(&stage.base));
    Some(Error::Syntax { line: stage.map(|stage| stage.instructions[0].line), message: message.to_owned() })
}

/// The image that a vertex was about to fetch.
fn image_of(vertex: &str) -> Option<&str> {
    const FETCHING: [&str; 3] = ["[internal] load metadata for ", "resolve image config for ", "FROM "];
    let command = vertex.split_once("] FROM ").map(|(_, image)| image);
    let image = command.or_else(|| FETCHING.iter().find_map(|words| vertex.strip_prefix(words)))?;
    Some(image.strip_prefix("docker-image://").unwrap_or(image))
}

fn base_image_problem(message: &str) -> BaseImageProblem {
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&["no match for platform"]) {
        BaseImageProblem::WrongPlatform
    } else if says(&["failed to do request", "dial tcp", "failed to authorize", "failed to fetch"]) {
        BaseImageProblem::Unreachable
    } else if says(&["not found", "denied", "unauthorized", "manifest unknown"]) {
        BaseImageProblem::NotFound
    } else {
        BaseImageProblem::Unreachable
    }
}

fn exit_code(message: &str) -> Option<i32> {
    let (_, code) = message.rsplit_once("exit code: ")?;
    code.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Subject, classify};
    use crate::dockerfile::Dockerfile;
    use crate::progress::FailedVertex;

    const TEXT: &str = "ARG V=1\nFROM debian:$V AS a\nCOPY x /\nRUN make\nFROM $NOPE\n";

    /// The error for a message and the name of the failed vertex, as text with the line in front.
    fn check(message: &str, vertex: &str, expected: &str) {
        let dockerfile = Dockerfile::parse(TEXT);
        let subject = Subject { dockerfile: &dockerfile, target: Some("z"), build_args: &BTreeMap::new() };
        let failed = (!vertex.is_empty()).then(|| FailedVertex {
            name: vertex.into(),
            line: dockerfile.line_of(vertex),
            message: message.to_owned(),
            last_lines: vec!["last".to_owned()],
        });
        let error = format!("{:?}", classify(message, &subject, failed));
        assert_eq!(error, expected, "{message}");
    }

    #[test]
    fn the_daemons_words_become_errors() {
        const OLD: &str = "failed to solve with frontend dockerfile.v0: failed to create LLB definition: ";
        let rows = [
            (
                format!("{OLD}dockerfile parse error line 2: unknown instruction: FOO"),
                "",
                "Syntax { line: Some(2), message: \"unknown instruction: FOO\" }",
            ),
            (
                "dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)".to_owned(),
                "",
                "Syntax { line: Some(2), message: \"unknown instruction: FOO (did you mean FROM?)\" }",
            ),
            (
                format!("{OLD}the Dockerfile cannot be empty"),
                "",
                "Syntax { line: None, message: \"the Dockerfile cannot be empty\" }",
            ),
            (
                format!("{OLD}base name ($NOPE) should not be blank"),
                "",
                "Syntax { line: Some(5), message: \"base name ($NOPE) should not be blank\" }",
            ),
            (
                format!("{OLD}target stage z could not be found"),
                "",
                "UnknownTarget { target: \"z\", stages: [\"a\"] }",
            ),
            (
                "failed to compute cache key: \"/x\" not found: not found".to_owned(),
                "[a 2/3] COPY x /",
                "MissingSource { path: \"x\", line: Some(3) }",
            ),
            (
                "failed to solve: failed to compute cache key: failed to calculate checksum of ref k::m: \"/x\": not found"
                    .to_owned(),
                "[a 2/3] COPY x /",
                "MissingSource { path: \"x\", line: Some(3) }",
            ),
            (
                "secret tok not found: not found".to_owned(),
                "[a 3/3] RUN make",
                "MissingSecret { id: \"tok\", line: Some(4) }",
            ),
            (
                "failed to solve: secret tok: not found".to_owned(),
                "[a 3/3] RUN make",
                "MissingSecret { id: \"tok\", line: Some(4) }",
            ),
            (
                format!("{OLD}pull access denied, repository does not exist or may require authorization"),
                "[internal] load metadata for docker.io/library/debian:1",
                "BaseImage { image: \"docker.io/library/debian:1\", problem: NotFound, message: \"pull access denied, \
                 repository does not exist or may require authorization\", line: Some(2) }",
            ),
            (
                "failed to load cache key: failed to do request: Head \"https://r/\": no such host".to_owned(),
                "FROM docker.io/library/other:latest",
                "BaseImage { image: \"docker.io/library/other:latest\", problem: Unreachable, message: \"failed to do \
                 request: Head \\\"https://r/\\\": no such host\", line: None }",
            ),
            (
                "executor failed running [/bin/sh -c make]: exit code: 3".to_owned(),
                "[a 3/3] RUN make",
                "Instruction { vertex: \"[a 3/3] RUN make\", command: \"RUN make\", exit_code: Some(3), last_lines: \
                 [\"last\"], line: Some(4), message: \"executor failed running [/bin/sh -c make]: exit code: 3\" }",
            ),
            ("something else".to_owned(), "", "Failed { message: \"something else\" }"),
        ];
        for (message, vertex, expected) in rows {
            check(&message, vertex, expected);
        }
    }
}
