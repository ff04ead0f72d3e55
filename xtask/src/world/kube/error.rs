//! Turns an answer of the API server into an error that people can act on.

use engine::failure::Failure;

/// `could not {doing}` for an error of the client; `doing` names the object and the namespace.
pub fn failed(doing: &str, error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => refused(doing, status.code, &status.message),
        other => Failure::environment(format!("could not {doing}: the API server does not answer"))
            .because_of(other)
            .help("run the same command again: it starts or repairs a cluster of our own first"),
    }
}

fn refused(doing: &str, code: u16, message: &str) -> Failure {
    let failure = Failure::step(format!("could not {doing}")).because(message);
    match code {
        401 => failure.help("log in to the cluster again: its credentials in the kubeconfig are no longer accepted"),
        403 => failure.help("ask for the right to do this in the cluster, or use a context that has it"),
        _ => failure,
    }
}

/// Whether the object that was asked for is not there.
pub fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether somebody else wrote the object between our reading and our writing it.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
