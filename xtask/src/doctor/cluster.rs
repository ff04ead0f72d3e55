//! The cluster that the graph file declares: how it is, without anything being done about it.

use engine::config::Driver;
use engine::failure::Failure;
use tokio::time::timeout;

use super::{Finding, PATIENCE, Wanted};
use crate::world::daemon::Daemon;
use crate::world::kube_client::{Target, Unknown};
use crate::world::minikube::{Home, Look};

/// What a look at the cluster gives.
enum Seen {
    /// All is well; a few words.
    Well(String),
    /// A deploy makes it, or brings it back.
    Mendable(&'static str),
    /// Nothing of ours can do anything about it.
    Broken(Failure),
}

pub(super) async fn look(wanted: &Wanted<'_>) -> Option<Finding> {
    let cluster = wanted.cluster?;
    let context = cluster.kube_context();
    let seen = async {
        match cluster.driver {
            Driver::Minikube => profile(context).await,
            Driver::Context => there(context).await,
        }
    };
    let late = || Seen::Broken(Failure::environment(format!("the cluster `{context}` does not answer")));
    Some(judge(context, timeout(PATIENCE, seen).await.unwrap_or_else(|_| late())))
}

async fn profile(name: &str) -> Seen {
    let host = match Daemon::of_host() {
        Ok(host) => host,
        Err(failure) => return Seen::Broken(failure),
    };
    if host.api_version().await.is_err() {
        // That the engine is silent is told as its own need.
        return Seen::Mendable("cannot be seen without an engine");
    }
    match Look::at(&host, &Home::find(), name).await {
        Ok(Look::Ready(ready)) => Seen::Well(format!("Kubernetes {} runs", ready.profile.kubernetes)),
        Ok(look) => Seen::Mendable(look.trouble().unwrap_or("is not well")),
        Err(failure) => Seen::Broken(failure),
    }
}

async fn there(context: &str) -> Seen {
    let identity = async { Ok::<_, Failure>(Target::of(context).await?.identity().await) };
    match identity.await {
        Ok(Ok(identity)) => Seen::Well(format!("answers at {}", identity.server)),
        Ok(Err(Unknown::Silent(failure) | Unknown::Refused(failure))) | Err(failure) => Seen::Broken(failure),
    }
}

fn judge(context: &str, seen: Seen) -> Finding {
    let source = format!("kubeconfig context {context}");
    match seen {
        Seen::Well(found) => Finding::good("cluster", found, source),
        Seen::Mendable(trouble) => {
            Finding::note("cluster", format!("{trouble}; a deploy sees to it"), source).mend("cargo xtask deploy")
        }
        Seen::Broken(failure) => {
            let mend = failure.help.into_iter().next();
            let finding = Finding::short("cluster", failure.message, source);
            match mend {
                Some(mend) => finding.mend(mend),
                None => finding.mend(format!("kubectl --context {context} cluster-info")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::failure::Failure;

    use super::{Seen, judge};
    use crate::doctor::Standing;

    #[test]
    fn only_what_a_deploy_cannot_mend_is_short() {
        let check = |seen, expected| assert_eq!(judge("lab", seen).standing, expected);
        check(Seen::Well("Kubernetes v1.34.4 runs".to_owned()), Standing::Good);
        check(Seen::Mendable("is stopped"), Standing::Note);
        check(Seen::Broken(Failure::environment("it answers nothing")), Standing::Short);
        let named = judge("lab", Seen::Broken(Failure::environment("no").help("minikube delete --profile lab")));
        assert_eq!(named.mend.as_deref(), Some("minikube delete --profile lab"));
    }
}
