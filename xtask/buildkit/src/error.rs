//! What can go wrong with a build, one variant for each thing that a person would do something different about.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a base image could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseImageProblem {
    /// The registry answered: there is no such image, or this user may not have it.
    NotFound,
    /// The registry did not answer at all.
    Unreachable,
    /// There is an image of that name, but not for the platform that was asked for.
    WrongPlatform,
}

/// A build that did not end with an image.
#[derive(Debug)]
pub enum Error {
    /// Nothing accepts connections at the endpoint, or not from this user.
    Connect {
        /// The endpoint, as people write it: `unix:///var/run/docker.sock`.
        endpoint: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A certificate or key is unreadable, or the daemon's certificate is not signed by the given CA.
    Tls {
        /// The file, or the endpoint.
        subject: String,
        /// What is wrong with it.
        message: String,
    },
    /// The daemon has no BuildKit, or has it switched off.
    NoBuildKit {
        /// What the daemon answered to the request for a session.
        message: String,
    },
    /// The daemon refused the request as a whole.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The daemon's words.
        message: String,
    },
    /// The connection broke in the middle: usually a daemon that was stopped.
    Broken {
        /// What was being done.
        doing: &'static str,
        /// What the connection reported.
        message: String,
    },
    /// The list of context entries makes no sense: an absolute path, a file below a file, a path listed twice.
    Context {
        /// The path in the context.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file of the context could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file of the context no longer is what it was listed as.
    ChangedDuringBuild {
        /// The path in the context.
        path: String,
    },
    /// The Dockerfile does not parse.
    Syntax {
        /// The line, from 1, where the parser says one.
        line: Option<usize>,
        /// The parser's words.
        message: String,
    },
    /// The Dockerfile has no stage of the target's name.
    UnknownTarget {
        /// The target.
        target: String,
        /// The stages that there are.
        stages: Vec<String>,
    },
    /// A `COPY` or `ADD` names something that the context (or the other stage) does not have.
    MissingSource {
        /// The path, from the context's root.
        path: String,
        /// The line of the Dockerfile, from 1.
        line: Option<usize>,
    },
    /// A `RUN --mount=type=secret` requires a secret that was not given.
    MissingSecret {
        /// The secret's id.
        id: String,
        /// The line of the Dockerfile, from 1.
        line: Option<usize>,
    },
    /// A base image is neither in the daemon nor to be had from its registry.
    BaseImage {
        /// The image's full name.
        image: String,
        /// In which way.
        problem: BaseImageProblem,
        /// The daemon's words.
        message: String,
        /// The line of the Dockerfile, from 1.
        line: Option<usize>,
    },
    /// An instruction failed.
    Instruction {
        /// BuildKit's name of the step: `[builder 3/7] RUN make`.
        vertex: String,
        /// The instruction: `RUN make`.
        command: String,
        /// The command's exit code, if it was a command that ran and failed.
        exit_code: Option<i32>,
        /// The last lines that it wrote, oldest first.
        last_lines: Vec<String>,
        /// The line of the Dockerfile, from 1.
        line: Option<usize>,
        /// BuildKit's words.
        message: String,
    },
    /// Anything else that the daemon said in the end.
    Failed {
        /// The daemon's words.
        message: String,
    },
    /// The daemon ended the build with neither an image nor an error.
    NoImage,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { endpoint, source } => write!(f, "no docker daemon answers at {endpoint}: {source}"),
            Self::Tls { subject, message } => write!(f, "{subject}: {message}"),
            Self::NoBuildKit { message } => write!(f, "the docker daemon offers no BuildKit: {message}"),
            Self::Refused { status, message } => write!(f, "the docker daemon refused ({status}): {message}"),
            Self::Broken { doing, message } => {
                write!(f, "the connection to the docker daemon broke {doing}: {message}")
            }
            Self::Context { path, reason } => write!(f, "`{path}` in the build context {reason}"),
            Self::Read { path, source } => write!(f, "could not read {}: {source}", path.display()),
            Self::ChangedDuringBuild { path } => write!(f, "`{path}` changed during the build"),
            Self::Syntax { line: Some(line), message } => write!(f, "the Dockerfile's line {line}: {message}"),
            Self::Syntax { line: None, message } => write!(f, "the Dockerfile: {message}"),
            Self::UnknownTarget { target, stages } => {
                write!(f, "the Dockerfile has no stage `{target}`")?;
                if stages.is_empty() { Ok(()) } else { write!(f, ", only {}", stages.join(", ")) }
            }
            Self::MissingSource { path, .. } => write!(f, "`{path}` is not in the build context"),
            Self::MissingSecret { id, .. } => write!(f, "the build secret `{id}` was not given"),
            Self::BaseImage { image, problem, .. } => match problem {
                BaseImageProblem::NotFound => write!(f, "the base image {image} does not exist, or needs a login"),
                BaseImageProblem::Unreachable => {
                    write!(f, "the base image {image} is not in the daemon, and its registry cannot be reached")
                }
                BaseImageProblem::WrongPlatform => write!(f, "the base image {image} does not exist for that platform"),
            },
            Self::Instruction { command, exit_code: Some(code), .. } => write!(f, "{command}: exit {code}"),
            Self::Instruction { command, message, .. } => write!(f, "{command}: {message}"),
            Self::Failed { message } => f.write_str(message),
            Self::NoImage => f.write_str("the docker daemon ended the build without an image and without an error"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect { source, .. } | Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}
