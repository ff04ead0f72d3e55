//! What goes wrong, as people need to read it: what was being done, on what, why it failed, what to type next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which kind of thing failed; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A step did not succeed: exit 1.
    Step,
    /// The command line or the graph file is wrong: exit 2.
    Usage,
    /// The machine lacks something: exit 3.
    Environment,
    /// The cluster that answers is not the one declared: exit 4.
    Cluster,
    /// Ctrl-C or SIGTERM: exit 130.
    Interrupted,
}

impl Class {
    /// The process's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Step => 1,
            Self::Usage => 2,
            Self::Environment => 3,
            Self::Cluster => 4,
            Self::Interrupted => 130,
        }
    }
}

/// Lines of somebody else's output (a build, a container, helm), shown in a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The lines, already redacted.
    pub lines: Vec<String>,
    /// Where they come from: `frontend/Dockerfile:18`, `pod todo-backend-7c9 container app`.
    pub origin: String,
}

/// An error with everything a person needs to go on.
///
/// ```
/// use engine::failure::{Class, Failure};
///
/// let failure = Failure::new(Class::Environment, "no docker daemon answers at /var/run/docker.sock")
///     .because("No such file or directory")
///     .help("start it with `sudo systemctl start docker`");
/// assert_eq!(failure.class.exit_code(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of thing failed.
    pub class: Class,
    /// What did not work, with the path, command or object: one line, no full stop.
    pub message: String,
    /// Why, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Others' output that shows the cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excerpts: Vec<Excerpt>,
    /// What to do next, most likely first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub help: Vec<String>,
}

impl Failure {
    /// A failure of `class`; `message` names the path, command or object.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), causes: Vec::new(), excerpts: Vec::new(), help: Vec::new() }
    }

    /// A step that did not succeed.
    pub fn step(message: impl Into<String>) -> Self {
        Self::new(Class::Step, message)
    }

    /// Something the machine lacks.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Class::Environment, message)
    }

    /// A wrong command line or graph file.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// The run was told to stop.
    pub fn interrupted() -> Self {
        Self::new(Class::Interrupted, "interrupted")
    }

    /// `could not {doing} {path}` for an error of the operating system, with help for the usual causes.
    pub fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let failure = Self::environment(format!("could not {doing} {}", path.display())).because(error.to_string());
        match error.kind() {
            std::io::ErrorKind::StorageFull => failure.help("free some disk space, then run the same command again"),
            std::io::ErrorKind::ReadOnlyFilesystem => {
                failure.help("make the file system writable, or work in a copy of the checkout that is")
            }
            std::io::ErrorKind::PermissionDenied => {
                failure.help("give this user access to it, or run as the user who owns it")
            }
            _ => failure,
        }
    }

    /// Adds a cause behind those there are.
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an error with all its sources as causes.
    pub fn because_of(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many libraries repeat the source in their own text.
            if self.causes.last().is_none_or(|last| !last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds lines of output.
    pub fn excerpt(mut self, origin: impl Into<String>, lines: Vec<String>) -> Self {
        self.excerpts.push(Excerpt { lines, origin: origin.into() });
        self
    }

    /// Adds a next step.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl std::error::Error for Failure {}
