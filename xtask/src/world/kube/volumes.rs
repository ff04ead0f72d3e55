//! Volume claims: whether there is data in a namespace, and having it outlive what has asked for it.

use std::time::Duration;

use engine::failure::Failure;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use crate::world::kube::{MANAGER, claims, error};

/// Whether any volume is claimed in `namespace`, those left out that are being removed.
pub async fn any(client: &Client, namespace: &str) -> Result<bool, Failure> {
    Ok(!claims::all(client, namespace).await?.is_empty())
}

/// The names of the volume claims that the StatefulSet `name` has had made, whose body is `set`.
pub async fn claims_of_set(client: &Client, namespace: &str, name: &str, set: &Value) -> Result<Vec<String>, Failure> {
    let prefixes = prefixes(name, set);
    if prefixes.is_empty() {
        return Ok(Vec::new());
    }
    let claims = claims::all(client, namespace).await?.into_iter().map(|claim| claim.name);
    Ok(claims.filter(|claim| is_of_set(claim, &prefixes)).collect())
}

/// Whether the StatefulSet `name`, whose body is `set`, has had a claim of this name made.
pub fn is_made_for(claim: &str, name: &str, set: &Value) -> bool {
    is_of_set(claim, &prefixes(name, set))
}

/// How the names of its claims begin: before the number of the pod.
fn prefixes(name: &str, set: &Value) -> Vec<String> {
    let templates = set.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let names = templates.into_iter().flatten().filter_map(|one| one.pointer("/metadata/name")?.as_str());
    names.map(|claim| format!("{claim}-{name}-")).collect()
}

fn is_of_set(claim: &str, prefixes: &[String]) -> bool {
    let ordinal = prefixes.iter().find_map(|prefix| claim.strip_prefix(prefix.as_str()));
    ordinal.is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
}

/// How long the controller of StatefulSets may take to see a change of one.
const SEEN: Duration = Duration::from_secs(60);

/// How often a claim is written again that somebody else has written meanwhile.
const ATTEMPTS: usize = 5;

/// Has `claims` stay when the StatefulSet `name` is removed, whatever it says of them: they are its own until then if
/// its `persistentVolumeClaimRetentionPolicy` is to delete them, and Kubernetes removes what nobody owns any more.
///
/// # Errors
/// When its controller does not take notice, or a claim cannot be written.
pub async fn outlive(client: &Client, namespace: &str, name: &str, claims: &[String]) -> Result<(), Failure> {
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let doing = |verb: &str| format!("{verb} StatefulSet {name} in namespace {namespace}");
    let found = sets.get_opt(name).await.map_err(|found| error::failed(&doing("read"), &found))?;
    let Some(uid) = found.as_ref().and_then(|set| set.metadata.uid.clone()) else { return Ok(()) };
    if found.as_ref().is_some_and(deletes_claims) {
        // First the policy: while it is to delete, the controller makes itself the owner again.
        let policy = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched = sets.patch(name, &params, &Patch::Merge(policy)).await;
        let patched = patched.map_err(|found| error::failed(&doing("have volumes kept by"), &found))?;
        let seen = |set: Option<&StatefulSet>| {
            let seen = |set: &StatefulSet| set.status.as_ref().and_then(|status| status.observed_generation);
            set.is_none_or(|set| seen(set) >= patched.metadata.generation)
        };
        if !matches!(tokio::time::timeout(SEEN, await_condition(sets, name, seen)).await, Ok(Ok(_))) {
            return Err(Failure::step(format!("could not {}", doing("have volumes kept by")))
                .because(format!("its controller has not seen within {} s that they are to stay", SEEN.as_secs()))
                .help("look at the controllers: kubectl --namespace kube-system get pods")
                .help("or have the data removed, too: cargo xtask teardown --data"));
        }
    }
    for claim in claims {
        disown(client, namespace, claim, &uid).await?;
    }
    Ok(())
}

fn deletes_claims(set: &StatefulSet) -> bool {
    let policy = set.spec.persistent_volume_claim_retention_policy.as_ref();
    policy.is_some_and(|policy| {
        [&policy.when_deleted, &policy.when_scaled].into_iter().flatten().any(|it| it == "Delete")
    })
}

/// Whether an owner takes a claim with it when the StatefulSet with the uid `set` goes.
fn goes_with(owner: &OwnerReference, set: &str) -> bool {
    // A claim that goes when the set is scaled down belongs to its pod.
    owner.uid == set || owner.kind == "Pod"
}

/// Takes a claim from the StatefulSet with the uid `set`, and from its pods.
async fn disown(client: &Client, namespace: &str, name: &str, set: &str) -> Result<(), Failure> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let failed = |found: &kube::Error| {
        error::failed(&format!("have the volume claim {name} in namespace {namespace} kept"), found)
    };
    let mut attempts = 0;
    loop {
        let found = claims.get_metadata_opt(name).await.map_err(|found| failed(&found))?;
        let Some(metadata) = found.map(|claim| claim.metadata) else { return Ok(()) };
        let owners = metadata.owner_references.unwrap_or_default();
        if !owners.iter().any(|owner| goes_with(owner, set)) {
            return Ok(());
        }
        let others: Vec<_> = owners.into_iter().filter(|owner| !goes_with(owner, set)).collect();
        // With the version that was read: an owner that came meanwhile is not lost.
        let patch = json!({"metadata": {"ownerReferences": others, "resourceVersion": metadata.resource_version}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        attempts += 1;
        match claims.patch_metadata(name, &params, &Patch::Merge(patch)).await {
            Err(found) if error::is_conflict(&found) && attempts < ATTEMPTS => {}
            Err(found) if !error::is_missing(&found) => return Err(failed(&found)),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSet;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use serde_json::{Value, json};

    use super::{deletes_claims, goes_with, is_of_set, prefixes};

    #[test]
    fn claims_of_a_set_are_known_by_their_names() {
        let set = json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}});
        let prefixes = prefixes("db", &set);
        for (claim, expected) in [
            ("data-db-0", true),
            ("data-db-12", true),
            ("data-db-x", false),
            ("data-db-other-0", false),
            ("data", false),
        ] {
            assert_eq!(is_of_set(claim, &prefixes), expected, "{claim}");
        }
        assert_eq!(super::prefixes("db", &json!({"spec": {}})), Vec::<String>::new());
    }

    #[test]
    fn a_policy_that_deletes_claims_is_seen() {
        let check = |policy: Value, expected: bool| {
            let set: StatefulSet = serde_json::from_value(json!({"spec": {
                "selector": {}, "serviceName": "", "template": {}, "persistentVolumeClaimRetentionPolicy": policy,
            }}))
            .unwrap();
            assert_eq!(deletes_claims(&set), expected, "{policy}");
        };
        check(Value::Null, false);
        check(json!({"whenDeleted": "Retain", "whenScaled": "Retain"}), false);
        check(json!({"whenDeleted": "Delete"}), true);
        check(json!({"whenDeleted": "Retain", "whenScaled": "Delete"}), true);
    }

    #[test]
    fn only_owners_that_go_with_the_set_are_taken_away() {
        let check = |kind: &str, uid: &str, expected: bool| {
            let owner = OwnerReference { kind: kind.into(), uid: uid.into(), ..OwnerReference::default() };
            assert_eq!(goes_with(&owner, "set"), expected, "{kind} {uid}");
        };
        check("StatefulSet", "set", true);
        check("StatefulSet", "other", false);
        check("Pod", "any", true);
        check("Database", "any", false);
    }
}
