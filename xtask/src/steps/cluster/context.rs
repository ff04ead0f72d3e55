//! A cluster that is there already: recognised, never changed.
//!
//! The first deploy to it needs a person's yes or the graph file's word; from then on any other cluster that answers
//! under the same name ends the run with nothing touched.

use engine::failure::{Class, Failure};

use super::{Facts, Found, Observed};
use crate::world::kube_client::{Identity, Target, Unknown};

/// Asks the cluster who it is.
pub(super) async fn identity(target: Target) -> Result<Identity, Failure> {
    target.identity().await.map_err(Unknown::failure)
}

/// The cluster behind `context`, if it is the one that is meant.
pub(super) async fn recognise(
    target: Target,
    context: &str,
    declared: Option<&str>,
    accepted: Option<&str>,
    previous: Option<&Observed>,
) -> Result<Found, Failure> {
    let identity = identity(target).await?;
    admit(context, &identity, declared, accepted, previous)?;
    let summary = format!("{context}: uid {} at {}", identity.uid, identity.server);
    let facts = Facts {
        context: context.to_owned(),
        profile: None,
        uid: identity.uid.clone(),
        kubernetes: None,
        daemon_api: None,
        assembled: Vec::new(),
        ports: Vec::new(),
    };
    let observed = Observed { context: context.to_owned(), identity, kubernetes: None };
    Ok(Found { facts, observed, summary, node: None })
}

fn admit(
    context: &str,
    found: &Identity,
    declared: Option<&str>,
    accepted: Option<&str>,
    previous: Option<&Observed>,
) -> Result<(), Failure> {
    let refuse = |message: String| {
        Failure::new(Class::Cluster, message)
            .because(format!("it is {} with the uid {}", found.server, found.uid))
            .because("nothing was touched")
    };
    if let Some(declared) = declared {
        return if declared == found.uid {
            Ok(())
        } else {
            Err(refuse(format!("the cluster behind the context `{context}` is not the one declared, {declared}"))
                .help("check where the context leads: `kubectl config get-contexts`")
                .help(format!("or, if this cluster is meant: identity = \"{}\" in the table [cluster]", found.uid)))
        };
    }
    match previous {
        // Whoever was shown this cluster has said yes to it, whatever another checkout has deployed to before.
        _ if accepted == Some(found.uid.as_str()) => Ok(()),
        Some(previous) if previous.identity.is_same_cluster(found) => Ok(()),
        Some(previous) => Err(refuse(format!(
            "the cluster behind the context `{context}` is not the one deployed to before, {}",
            previous.identity.uid
        ))
        .help("check where the context leads: `kubectl config get-contexts`")
        .help(format!("or, if this cluster is meant: identity = \"{}\" in the table [cluster]", found.uid))),
        None => Err(refuse(format!("this would be the first deploy to the cluster behind the context `{context}`"))
            .help(format!("if it is meant, write identity = \"{}\" in the table [cluster]", found.uid))
            .help("or deploy from a terminal, where you are asked")),
    }
}

#[cfg(test)]
mod tests {
    use engine::failure::Class;

    use super::{Identity, Observed, admit};

    fn identity(uid: &str) -> Identity {
        Identity { uid: uid.into(), ca: None, server: "https://a".into() }
    }

    #[test]
    fn only_the_cluster_that_is_meant_is_touched() {
        let observed = |uid: &str| Observed { context: "c".into(), identity: identity(uid), kubernetes: None };
        let (one, two) = (observed("one"), observed("two"));
        let rows = [
            // declared, accepted, previous, admitted
            (None, None, None, false),
            (None, Some("one"), None, true),
            (None, Some("two"), None, false),
            (None, None, Some(&one), true),
            (None, None, Some(&two), false),
            (None, Some("one"), Some(&two), true),
            (None, Some("two"), Some(&two), false),
            (Some("one"), None, None, true),
            (Some("one"), None, Some(&two), true),
            (Some("two"), Some("one"), Some(&one), false),
        ];
        for (declared, accepted, previous, admitted) in rows {
            let answer = admit("c", &identity("one"), declared, accepted, previous);
            assert_eq!(answer.is_ok(), admitted, "{declared:?} {accepted:?} {previous:?}");
            if let Err(failure) = answer {
                assert_eq!(failure.class, Class::Cluster);
                assert!(failure.help.iter().any(|help| help.contains("identity = \"one\"")), "{failure:?}");
            }
        }
    }
}
