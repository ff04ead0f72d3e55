//! Turns an answer of the API server into an error that people can act on.

use engine::failure::Failure;

/// What brings a cluster of our own back: the one command that starts one, whichever has found it silent.
pub const STARTS: &str = "start it, if it is a minikube cluster of this project: `cargo xtask deploy cluster`";

/// `could not {doing}` for an error of the client; `doing` names the object and the namespace.
pub fn failed(doing: &str, error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => refused(doing, status.code, &status.message),
        other => Failure::environment(format!("could not {doing}: the API server does not answer"))
            .because_of(other)
            .help(STARTS)
            .help("or, if the cluster is somebody else's, see that it runs and that this machine reaches it"),
    }
}

fn refused(doing: &str, code: u16, message: &str) -> Failure {
    let failure = Failure::step(format!("could not {doing}")).because(message);
    match code {
        401 => failure.help("log in to the cluster again: its credentials in the kubeconfig are no longer accepted"),
        403 => failure.help("ask for the right to do this in the cluster, or use a context that has it"),
        404 => match missing_namespace(message) {
            Some(name) => failure
                .help(format!("there is no namespace {name}: add a Namespace object for it, or correct its name"))
                .help("or, if somebody has just removed it, run the same command again"),
            None => failure.help("somebody has removed it, or its namespace: run the same command again"),
        },
        409 => failure.help("somebody writes to it right now: run the same command again"),
        400 | 422 => {
            failure.help("correct what the answer names, in the file or the template that the object comes from")
        }
        429 | 500.. => failure.help("run the same command again; if this repeats, the API server's own log says more"),
        _ => failure,
    }
}

/// The namespace that the API server says is not there.
fn missing_namespace(message: &str) -> Option<&str> {
    Some(message.split_once("namespaces \"")?.1.split_once("\" not found")?.0)
}

/// Whether the object that was asked for is not there.
pub fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether this user may not do what was asked for.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether the API server takes the object for none that there can be.
pub fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 422))
}

/// Whether somebody else wrote the object between our reading and our writing it.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::failed;

    /// What the API server answers with `code`.
    fn answer(code: u16) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure("because", "Reason").with_code(code)))
    }

    #[test]
    fn a_namespace_that_is_not_there_is_named_with_what_to_write() {
        let helps = |message: &str| {
            let answer = kube::Error::Api(Box::new(Status::failure(message, "NotFound").with_code(404)));
            failed("apply ConfigMap a in namespace shop", &answer).help.join("\n")
        };
        let said = helps("namespaces \"shop\" not found");
        assert!(
            said.contains("there is no namespace shop: add a Namespace object") && said.contains("correct"),
            "{said}"
        );
        let said = helps("configmaps \"shop\" not found");
        assert!(said.contains("somebody has removed it") && !said.contains("Namespace object"), "{said}");
    }

    #[test]
    fn an_answer_that_ends_a_command_says_what_to_do() {
        let silent = kube::Error::Service("connection refused".into());
        for (error, words) in [
            (silent, "cargo xtask deploy cluster"),
            (answer(401), "log in"),
            (answer(403), "ask for the right"),
            (answer(404), "somebody has removed it"),
            (answer(409), "somebody writes to it"),
            (answer(400), "correct what the answer names"),
            (answer(422), "correct what the answer names"),
            (answer(500), "same command again"),
            (answer(503), "same command again"),
            (answer(429), "same command again"),
        ] {
            let failure = failed("list the pods", &error);
            assert!(failure.message.starts_with("could not list the pods"), "{failure:?}");
            assert!(failure.help.iter().any(|help| help.contains(words)), "{error}: {failure:?}");
        }
    }
}
