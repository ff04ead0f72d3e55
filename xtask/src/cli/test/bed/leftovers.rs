//! What a run that was killed has left in the tests' cluster. It would be in the way of this one: pods that keep the
//! processors busy, releases where a test expects none.

use engine::failure::Failure;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::report::style::{WARNING, verb};
use crate::world::kube::{error, namespaces};

/// The namespaces of every cluster. Tests make others for all that they deploy.
const OF_KUBERNETES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Whether a namespace of the tests' own cluster is there because a run did not come to its end.
pub fn is_one(namespace: &str) -> bool {
    !OF_KUBERNETES.contains(&namespace)
}

/// Removes the namespaces that `is_one` picks, and waits until they are gone. `show` is told of them before.
///
/// # Errors
/// When the cluster does not answer, or one of them does not go, with what holds it.
pub async fn remove(
    client: &Client,
    is_one: impl Fn(&str) -> bool,
    show: &(dyn Fn(&str) + Sync),
) -> Result<(), Failure> {
    let found = Api::<Namespace>::all(client.clone()).list_metadata(&ListParams::default()).await;
    let found = found.map_err(|found| error::failed("list the namespaces of the tests' cluster", &found))?;
    let found = found.items.into_iter().filter_map(|namespace| namespace.metadata.name.zip(namespace.metadata.uid));
    let (names, uids): (Vec<String>, Vec<String>) = found.filter(|(name, _)| is_one(name)).unzip();
    if names.is_empty() {
        return Ok(());
    }
    let (verb, list) = (verb(WARNING, "Removing"), names.join(", "));
    show(&format!("{verb}what a run that did not end has left in the tests' cluster: {list}"));
    for (name, uid) in names.iter().zip(&uids) {
        namespaces::delete(client, name, uid).await?;
    }
    for name in &names {
        namespaces::until_free(client, name, |_| {}).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_one;

    #[test]
    fn what_every_cluster_has_is_left_by_nobody() {
        let there =
            ["default", "kube-node-lease", "kube-public", "kube-system", "system-test", "settle-replaced-21241"];
        let left: Vec<_> = there.into_iter().filter(|name| is_one(name)).collect();
        assert_eq!(left, ["system-test", "settle-replaced-21241"]);
    }
}

#[cfg(test)]
mod cluster_tests {
    use std::sync::Mutex;

    use crate::cli::test::bed::CONTEXT;
    use crate::world::kube::namespaces;
    use crate::world::kube_client;

    #[tokio::test]
    async fn what_is_picked_is_told_and_gone_and_all_else_stays() {
        let context = std::env::var(CONTEXT).expect("XTASK_TEST_CONTEXT names the tests' cluster");
        let client = kube_client::client(&context).await.unwrap();
        for namespace in ["left-by-one", "left-by-two", "of-another"] {
            namespaces::until_free(&client, namespace, |_| {}).await.unwrap();
            namespaces::ensure(&client, namespace, "leftovers-test").await.unwrap();
        }
        let told = Mutex::new(Vec::new());
        let show = |line: &str| told.lock().unwrap().push(line.to_owned());
        let picked = |name: &str| name.starts_with("left-by-");
        super::remove(&client, picked, &show).await.unwrap();
        assert!(!namespaces::is_there(&client, "left-by-one").await.unwrap());
        assert!(!namespaces::is_there(&client, "left-by-two").await.unwrap());
        assert!(namespaces::is_there(&client, "of-another").await.unwrap());
        super::remove(&client, picked, &show).await.unwrap();
        let told = told.into_inner().unwrap();
        assert!(told.len() == 1 && told[0].ends_with(": left-by-one, left-by-two"), "{told:?}");
        assert!(namespaces::remove(&client, "of-another", "leftovers-test").await.unwrap());
    }
}
