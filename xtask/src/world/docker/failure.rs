//! A build's errors as people need to read them.

use buildkit::{BaseImageProblem, Error};
use engine::failure::Failure;

use crate::world::daemon::Daemon;
use crate::world::process::Redact;

/// How many of a failed command's last lines an error shows; the log has them all.
const SHOWN: usize = 20;

/// What a failed build was of, for its error.
pub(super) struct Subject<'a> {
    /// `image:backend`.
    pub(super) what: &'a str,
    /// The Dockerfile, as people know it: `backend/Dockerfile`.
    pub(super) dockerfile: &'a str,
    pub(super) redact: &'a Redact,
}

/// The error for a build that did not end with an image.
pub(super) fn of_build(subject: &Subject<'_>, daemon: &Daemon, error: Error) -> Failure {
    let Subject { what, dockerfile, redact } = subject;
    let at = |line: Option<usize>| line.map_or_else(|| (*dockerfile).to_owned(), |line| format!("{dockerfile}:{line}"));
    let failed = Failure::step(format!("{what} did not build"));
    match error {
        Error::Connect { .. } | Error::Tls { .. } | Error::Broken { .. } | Error::NoBuildKit { .. } => {
            daemon.failure("build", error)
        }
        Error::ChangedDuringBuild { path } => Failure::step(format!("{what}: {path} changed during the build"))
            .because("an image of half old and half new files would be worth nothing")
            .help("run the same command again; if something writes that file all the time, ignore it"),
        Error::Read { path, source } => Failure::io("read", &path, &source),
        Error::Syntax { line, message } => failed.because(format!("{}: {message}", at(line))),
        Error::UnknownTarget { target, stages } if stages.is_empty() => failed
            .because(format!("{dockerfile} has no stage `{target}`, nor any other with a name"))
            .help(format!("write `AS {target}` behind the FROM that is meant, or leave out `target`")),
        Error::UnknownTarget { target, stages } => {
            failed.because(format!("{dockerfile} has no stage `{target}`, only {}", stages.join(", ")))
        }
        Error::MissingSource { path, line } => failed
            .because(format!("{}: `{path}` is not there", at(line)))
            .help("the path counts from the image's context folder; see also whether .dockerignore leaves it out"),
        Error::MissingSecret { id, line } => failed
            .because(format!("{}: the build secret `{id}` was not given", at(line)))
            .help(format!("declare it in the graph file: build-secrets = {{ {id} = … }}")),
        Error::BaseImage { image, problem, message, line } => {
            // That its registry is not reached says nothing of the image.
            let failed = match problem {
                BaseImageProblem::Unreachable => Failure::environment(failed.message),
                BaseImageProblem::NotFound | BaseImageProblem::WrongPlatform => failed,
            };
            let failed = failed.because(format!("{}: {}", at(line), base_image(&image, problem)));
            failed.because(redact(&message)).help(match problem {
                BaseImageProblem::Unreachable => format!(
                    "get the image into this daemon while its registry can be reached, or from a file: \
                     `docker pull {image}`, `docker load`"
                ),
                BaseImageProblem::NotFound => "check its name and tag; what needs a login has to be pulled by hand, \
                                               with `docker login` and `docker pull`"
                    .to_owned(),
                BaseImageProblem::WrongPlatform => "choose another base, or another `platform`".to_owned(),
            })
        }
        Error::Instruction { command, exit_code, last_lines, line, message, .. } => {
            let failed = match exit_code {
                Some(code) => failed.because(format!("exit {code}")),
                None => failed.because(redact(&message)),
            };
            let skipped = last_lines.len().saturating_sub(SHOWN);
            let lines = [command].into_iter().chain(last_lines.into_iter().skip(skipped));
            failed.excerpt(at(line), lines.map(|line| redact(&line)).collect())
        }
        other => failed.because(redact(&other.to_string())),
    }
}

fn base_image(image: &str, problem: BaseImageProblem) -> String {
    match problem {
        BaseImageProblem::NotFound => format!("the base image {image} does not exist, or needs a login"),
        BaseImageProblem::Unreachable => {
            format!("the base image {image} is not in the daemon, and its registry did not give it")
        }
        BaseImageProblem::WrongPlatform => format!("there is no base image {image} for that platform"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use buildkit::{BaseImageProblem, Error};
    use engine::failure::Class;

    use super::{Subject, of_build};
    use crate::world::daemon::Daemon;
    use crate::world::process::Redact;

    #[test]
    fn a_registry_that_does_not_answer_is_no_fault_of_the_image() {
        let redact: Redact = Arc::new(str::to_owned);
        let subject = Subject { what: "image:a", dockerfile: "a/Dockerfile", redact: &redact };
        let daemon = Daemon::of_host().unwrap();
        for (problem, expected) in [
            (BaseImageProblem::Unreachable, Class::Environment),
            (BaseImageProblem::NotFound, Class::Step),
            (BaseImageProblem::WrongPlatform, Class::Step),
        ] {
            let error = Error::BaseImage { image: "x:1".to_owned(), problem, message: "no".to_owned(), line: Some(1) };
            let failure = of_build(&subject, &daemon, error);
            assert_eq!((failure.class, failure.message.as_str()), (expected, "image:a did not build"));
        }
    }
}
