//! A Secret of ours: its values written by server-side apply, with a version number per key in an annotation.
//!
//! A version is raised whenever the value that is there is found to be another than the one that should be. Versions
//! of keys that have gone stay, so that a key that comes back is not taken for the one it was.

use std::collections::BTreeMap;

use engine::failure::Failure;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::world::kube::{MANAGED_BY, MANAGER, PROJECT, STEP, error};

/// The annotation with the version of each key.
const ANNOTATION: &str = "xtask/versions";

/// How often a write is tried again when somebody else has written in between.
const ATTEMPTS: u32 = 5;

/// The values of a Secret by key.
pub type Values = BTreeMap<String, SecretString>;

/// A Secret object as far as pod templates are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Another uid means that nothing is known of what pods have read before.
    pub uid: String,
    /// Each key's version, raised whenever its value was found different.
    pub keys: BTreeMap<String, u64>,
}

/// Which Secret, and whose.
#[derive(Debug, Clone)]
pub struct Owned<'a> {
    /// Where it is.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The project, for its label.
    pub project: &'a str,
    /// The step, for its label.
    pub step: &'a str,
}

/// What an apply has done.
#[derive(Debug, PartialEq, Eq)]
pub struct Applied {
    /// The Secret as pod templates are told of it.
    pub versions: Versions,
    /// Keys that were there and are not ours; they have been removed.
    pub strangers: Vec<String>,
    /// Whether anything had to be written.
    pub written: bool,
}

/// How a live Secret stands to the values that it should have.
#[derive(Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The versions that it should have.
    pub versions: BTreeMap<String, u64>,
    /// Keys whose value is another, or is not there.
    pub different: Vec<String>,
    /// Keys that should not be there.
    pub strangers: Vec<String>,
}

/// The versions that the Secret's annotation tells; `None` when there are none that can be read.
pub fn versions(live: &Secret) -> Option<BTreeMap<String, u64>> {
    serde_json::from_str(live.metadata.annotations.as_ref()?.get(ANNOTATION)?).ok()
}

/// Holds the live Secret, if there is one, against `values`.
pub fn compare(live: Option<&Secret>, values: &Values) -> Comparison {
    let known = live.and_then(versions);
    // Versions that were lost must not begin anew under the same uid: pods would be taken for those of back then.
    // The resource version is a number that no key's version has reached.
    let lost = known.is_none() && live.is_some_and(|live| label(live, MANAGED_BY) == Some(MANAGER));
    let number = live.and_then(|live| live.metadata.resource_version.as_ref()?.parse().ok()).unwrap_or(0);
    let floor: u64 = if lost { number } else { 0 };
    let data = live.and_then(|live| live.data.as_ref());
    let data = |key: &str| data.and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    let mut found = Comparison { versions: known.unwrap_or_default(), different: Vec::new(), strangers: Vec::new() };
    for (key, value) in values {
        let version = found.versions.entry(key.clone()).or_insert(floor);
        if data(key) != Some(value.expose_secret().as_bytes()) {
            *version += 1;
            found.different.push(key.clone());
        } else if *version == 0 {
            *version = 1;
        }
    }
    let live_keys = live.and_then(|live| live.data.as_ref()).into_iter().flat_map(BTreeMap::keys);
    for key in live_keys.filter(|key| !values.contains_key(*key)) {
        *found.versions.entry(key.clone()).or_insert(floor) += 1;
        found.strangers.push(key.clone());
    }
    found
}

/// Reads the Secret, if it is there.
pub async fn read(client: &Client, namespace: &str, name: &str) -> Result<Option<Secret>, Failure> {
    let found = api(client, namespace).get_opt(name).await;
    found.map_err(|found| error::failed(&format!("read Secret {name} in namespace {namespace}"), &found))
}

/// Makes the Secret hold exactly `values`.
pub async fn apply(client: &Client, owned: &Owned<'_>, values: &Values) -> Result<Applied, Failure> {
    let mut attempt = 1;
    loop {
        match try_apply(client, owned, values).await {
            Err(found) if error::is_conflict(&found) && attempt < ATTEMPTS => attempt += 1,
            Err(found) => {
                let failure =
                    error::failed(&format!("write Secret {} in namespace {}", owned.name, owned.namespace), &found);
                let immutable = failure.causes.iter().any(|cause| cause.contains("immutable"));
                let delete = format!("kubectl --namespace {} delete secret {}", owned.namespace, owned.name);
                return Err(if immutable {
                    failure.help(format!("it was made immutable; remove it: {delete}"))
                } else {
                    failure
                });
            }
            Ok(applied) => return Ok(applied),
        }
    }
}

async fn try_apply(client: &Client, owned: &Owned<'_>, values: &Values) -> Result<Applied, kube::Error> {
    let api = api(client, owned.namespace);
    let live = api.get_opt(owned.name).await?;
    let Comparison { versions, different, strangers } = compare(live.as_ref(), values);
    let annotation = json!(versions).to_string();
    if let Some(live) = &live
        && different.is_empty()
        && strangers.is_empty()
        && is_ours(live, owned)
        && live.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION)) == Some(&annotation)
    {
        let uid = live.metadata.uid.clone().unwrap_or_default();
        return Ok(Applied { versions: Versions { uid, keys: versions }, strangers, written: false });
    }
    let encoded: BTreeMap<&String, String> =
        values.iter().map(|(key, value)| (key, base64(value.expose_secret().as_bytes()))).collect();
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": owned.name,
            "labels": {MANAGED_BY: MANAGER, PROJECT: owned.project, STEP: owned.step},
            "annotations": {ANNOTATION: annotation},
        },
        "type": "Opaque",
        "data": encoded,
    });
    if let Some(live) = &live {
        // Refused when somebody has written since: the versions would be wrong.
        object["metadata"]["resourceVersion"] = json!(live.metadata.resource_version);
        object["metadata"]["uid"] = json!(live.metadata.uid);
        // A Secret's type cannot be changed.
        object["type"] = json!(live.type_);
    }
    let written = api.patch(owned.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await?;
    if !strangers.is_empty() {
        let gone: BTreeMap<&String, Option<&str>> = strangers.iter().map(|key| (key, None)).collect();
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        api.patch(owned.name, &params, &Patch::Merge(json!({"data": gone}))).await?;
    }
    let uid = written.metadata.uid.unwrap_or_default();
    Ok(Applied { versions: Versions { uid, keys: versions }, strangers, written: true })
}

/// Whether the Secret carries our labels.
pub fn is_ours(live: &Secret, owned: &Owned<'_>) -> bool {
    let expected = [(MANAGED_BY, MANAGER), (PROJECT, owned.project), (STEP, owned.step)];
    expected.into_iter().all(|(name, value)| label(live, name) == Some(value))
}

fn label<'a>(live: &'a Secret, name: &str) -> Option<&'a str> {
    live.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// Removes the Secret if it is ours, or reduces it to `kept` of its keys when it has any of them.
pub async fn remove(client: &Client, owned: &Owned<'_>, kept: &[&str]) -> Result<(), Failure> {
    let Some(live) = read(client, owned.namespace, owned.name).await?.filter(|live| is_ours(live, owned)) else {
        return Ok(());
    };
    let values: Values = text_values(&live).into_iter().filter(|(key, _)| kept.contains(&key.as_str())).collect();
    if !values.is_empty() {
        return apply(client, owned, &values).await.map(drop);
    }
    let this =
        Preconditions { uid: live.metadata.uid.clone(), resource_version: live.metadata.resource_version.clone() };
    match api(client, owned.namespace).delete(owned.name, &DeleteParams::default().preconditions(this)).await {
        Err(found) if !error::is_missing(&found) => {
            Err(error::failed(&format!("remove Secret {} in namespace {}", owned.name, owned.namespace), &found))
        }
        _ => Ok(()),
    }
}

/// The values of a Secret that are text.
pub fn text_values(live: &Secret) -> Values {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(SecretString::from);
    live.data.iter().flatten().filter_map(|(key, bytes)| Some((key.clone(), text(&bytes.0)?))).collect()
}

fn api(client: &Client, namespace: &str) -> Api<Secret> {
    Api::namespaced(client.clone(), namespace)
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;
    use secrecy::SecretString;

    use super::{ANNOTATION, compare};
    use crate::world::kube::{MANAGED_BY, MANAGER};

    type Pairs = &'static [(&'static str, &'static str)];

    fn live(data: Pairs, versions: &str) -> Secret {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
        if !versions.is_empty() {
            secret.metadata.annotations = Some(BTreeMap::from([(ANNOTATION.to_owned(), versions.to_owned())]));
        }
        secret
    }

    #[test]
    fn versions_are_raised_by_what_is_found_different_and_by_nothing_else() {
        let check = |live: Option<Secret>, values: Pairs, versions: &[(&str, u64)], strangers: &[&str]| {
            let values = values.iter().map(|(key, value)| ((*key).to_owned(), SecretString::from(*value))).collect();
            let found = compare(live.as_ref(), &values);
            let expected: BTreeMap<_, _> =
                versions.iter().map(|(key, version)| ((*key).to_owned(), *version)).collect();
            assert_eq!(found.versions, expected);
            assert_eq!(found.strangers, strangers);
        };
        check(None, &[("a", "1"), ("b", "2")], &[("a", 1), ("b", 1)], &[]);
        check(
            Some(live(&[("a", "1"), ("b", "2")], r#"{"a":1,"b":4}"#)),
            &[("a", "1"), ("b", "2")],
            &[("a", 1), ("b", 4)],
            &[],
        );
        check(
            Some(live(&[("a", "1"), ("b", "2")], r#"{"a":1,"b":4}"#)),
            &[("a", "1"), ("b", "3")],
            &[("a", 1), ("b", 5)],
            &[],
        );
        // Somebody took a key away.
        check(Some(live(&[("a", "1")], r#"{"a":1,"b":4}"#)), &[("a", "1"), ("b", "2")], &[("a", 1), ("b", 5)], &[]);
        // A key that is no longer wanted keeps its version, and so does one that comes back.
        check(Some(live(&[("a", "1"), ("b", "2")], r#"{"a":1,"b":4}"#)), &[("a", "1")], &[("a", 1), ("b", 5)], &["b"]);
        check(Some(live(&[("a", "1")], r#"{"a":1,"b":5}"#)), &[("a", "1"), ("b", "2")], &[("a", 1), ("b", 6)], &[]);
        // Made by somebody else before us, with the same value.
        check(Some(live(&[("a", "1")], "")), &[("a", "1")], &[("a", 1)], &[]);
        check(Some(live(&[("a", "1"), ("x", "")], "")), &[("a", "2")], &[("a", 1), ("x", 1)], &["x"]);
        // Ours, but somebody took the versions away.
        let mut stripped = live(&[("a", "1")], "{");
        stripped.metadata.labels = Some(BTreeMap::from([(MANAGED_BY.to_owned(), MANAGER.to_owned())]));
        stripped.metadata.resource_version = Some("700".to_owned());
        check(Some(stripped), &[("a", "2"), ("b", "1")], &[("a", 701), ("b", 701)], &[]);
    }
}
