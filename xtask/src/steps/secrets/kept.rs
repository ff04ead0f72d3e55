//! What the cluster has of generated values that are lost here: those of the step's Secret, or those that helm was given,
//! and data that was made with them. Knows nothing of the file that they are to be in.

use std::collections::{BTreeMap, BTreeSet};

use engine::config::As;
use engine::failure::Failure;
use kube::Client;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{SecretsStep, User};
use crate::context::Context;
use crate::world::helm::record;
use crate::world::kube::claims::{self, Claim, Whose};
use crate::world::kube::rendered::{self, Rendered};
use crate::world::kube::secret::{self, Values};
use crate::world::kube::{namespaces, volumes};

/// See the module.
#[derive(Default)]
pub struct Kept {
    /// Values that are there, each with where it is.
    pub values: BTreeMap<String, (SecretString, String)>,
    /// Data that was kept.
    pub data: Vec<Data>,
    /// There is no Secret and no release: nothing tells the values that `data` was made with.
    pub is_alone: bool,
}

/// Data that was kept in a namespace.
pub struct Data {
    /// The namespace.
    pub namespace: String,
    /// The volume claims that it is in.
    pub claims: Vec<String>,
    /// Those of them that belong to releases which use the step's values.
    pub of_users: BTreeSet<String>,
    /// The namespace was made for this project, and so was what is in it.
    pub is_ours: bool,
}

impl Data {
    /// The names of the users' claims in one text.
    pub fn names_of_users(&self, between: &str) -> String {
        self.of_users.iter().map(String::as_str).collect::<Vec<_>>().join(between)
    }
}

impl Kept {
    /// Looks. Changes nothing.
    ///
    /// # Errors
    /// When the cluster does not answer, or a record of helm cannot be read.
    pub async fn look(cx: &Context, step: &SecretsStep, client: &Client) -> Result<Self, Failure> {
        let mut kept = Self { is_alone: true, ..Self::default() };
        match step.definition.r#as {
            As::Object => {
                let object = &step.definition.object;
                for namespace in step.targets() {
                    if let Some(live) = secret::read(client, namespace, object).await? {
                        kept.add(secret::text_values(&live), object);
                    }
                }
            }
            As::Values => {
                for User { namespace, release, .. } in &step.users {
                    if let Some(head) = record::newest(client, namespace, release).await? {
                        let record = record::read(client, namespace, &head).await?;
                        let place = format!("helm's record of {release} in namespace {namespace}");
                        kept.add(values_below(&record.config, &step.origin.key), &place);
                    }
                }
            }
        }
        for namespace in step.namespaces() {
            let found = claims::all(client, namespace).await?;
            if found.is_empty() {
                continue;
            }
            let is_ours = namespaces::is_ours(client, namespace, &cx.project).await?;
            let mut of_users = BTreeSet::new();
            for user in step.users.iter().filter(|user| kept.is_alone && user.namespace == namespace) {
                let stem = user.step.file_stem();
                let whose = Whose { project: &cx.project, step: &stem, namespace, release: &user.release };
                let installed = Installed::look(client, namespace, &user.release).await?;
                of_users.extend(data_of(&whose, installed.as_ref(), &step.definition.object, &found));
            }
            let claims = found.into_iter().map(|claim| claim.name).collect();
            kept.data.push(Data { namespace: namespace.to_owned(), claims, of_users, is_ours });
        }
        Ok(kept)
    }

    /// The data that whatever is made up now would not open. What others have beside it was made without these values.
    pub fn locked_up(&self) -> Vec<&Data> {
        self.data.iter().filter(|data| self.is_alone && data.is_ours && !data.of_users.is_empty()).collect()
    }

    /// Whether there is other data than that which belongs to the releases that use the step's values.
    pub fn has_data_of_others(&self) -> bool {
        self.data.iter().any(|data| data.claims.len() > data.of_users.len())
    }

    fn add(&mut self, values: Values, place: &str) {
        self.is_alone = false;
        for (key, value) in values.into_iter().filter(|(_, value)| !value.expose_secret().is_empty()) {
            self.values.entry(key).or_insert_with(|| (value, place.to_owned()));
        }
    }
}

/// What helm's newest record says of a release.
struct Installed {
    objects: Vec<Rendered>,
    config: Value,
}

impl Installed {
    /// Reads it; `None` where there is none.
    async fn look(client: &Client, namespace: &str, release: &str) -> Result<Option<Self>, Failure> {
        let Some(head) = record::newest(client, namespace, release).await? else { return Ok(None) };
        let record = record::read(client, namespace, &head).await?;
        let mut objects = rendered::objects(&record.manifest, &format!("revision {} of {release}", head.revision))?;
        for hook in &record.hooks {
            objects.extend(rendered::objects(&hook.manifest, &format!("the hook {}", hook.name))?);
        }
        Ok(Some(Self { objects, config: record.config }))
    }

    /// Whether it was given the name of this Secret, or has an object that names it.
    fn names(&self, secret: &str) -> bool {
        self.objects.iter().map(|object| &object.body).chain([&self.config]).any(|value| has(value, None, secret))
    }

    /// Whether the claim is among its objects, was made for one of them or is used by one.
    fn uses(&self, claim: &str) -> bool {
        self.objects.iter().any(|object| match object.kind.as_str() {
            "PersistentVolumeClaim" => object.name == claim,
            "StatefulSet" if volumes::is_made_for(claim, &object.name, &object.body) => true,
            _ => has(&object.body, Some("claimName"), claim),
        })
    }
}

/// Whether `text` is somewhere in `value`, behind `key` if one is named.
fn has(value: &Value, key: Option<&str>, text: &str) -> bool {
    match value {
        Value::String(found) => key.is_none() && found == text,
        Value::Array(items) => items.iter().any(|item| has(item, key, text)),
        Value::Object(map) => map.iter().any(|(name, value)| {
            let below = key.filter(|key| *key != name.as_str() || !value.is_string());
            has(value, below, text)
        }),
        _ => false,
    }
}

/// The names of those of `claims` that are data of a release which uses the values in the Secret `object`. One that is
/// installed and does not know of the Secret has made its data without it.
fn data_of(whose: &Whose<'_>, installed: Option<&Installed>, object: &str, claims: &[Claim]) -> BTreeSet<String> {
    if installed.is_some_and(|installed| !installed.names(object)) {
        return BTreeSet::new();
    }
    let is_its = |claim: &&Claim| {
        claim.is_of(whose) == Some(true) || installed.is_some_and(|installed| installed.uses(&claim.name))
    };
    claims.iter().filter(is_its).map(|claim| claim.name.clone()).collect()
}

/// The texts in the map that is at `key` among the values that helm was given.
fn values_below(config: &Value, key: &[String]) -> Values {
    let map = key.iter().try_fold(config, |map, name| map.get(name)).and_then(Value::as_object);
    let texts = map.into_iter().flatten();
    texts.filter_map(|(name, value)| Some((name.clone(), SecretString::from(value.as_str()?)))).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::{Value, json};

    use super::{Data, Installed, Kept, data_of, values_below};
    use crate::world::kube::claims::{Claim, Whose};
    use crate::world::kube::rendered;

    #[test]
    fn values_are_found_below_their_key_and_nowhere_else() {
        let config = json!({"auth": {"deep": {"token": "t"}, "password": "p", "size": 3}, "image": "i"});
        let check = |key: &[&str], expected: &[(&str, &str)]| {
            let key: Vec<String> = key.iter().map(|&name| name.to_owned()).collect();
            let found = values_below(&config, &key);
            let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
            assert_eq!(found, expected, "{key:?}");
        };
        check(&["auth"], &[("password", "p")]);
        check(&["auth", "deep"], &[("token", "t")]);
        check(&[], &[("image", "i")]);
        check(&["other"], &[]);
        check(&["image"], &[]);
    }

    #[test]
    fn data_is_locked_up_where_nothing_tells_what_it_was_made_with_and_it_is_ours() {
        let check = |is_alone: bool, is_ours: bool, of_users: &[&str], expected: usize, others: bool| {
            let of_users = of_users.iter().map(|&claim| claim.to_owned()).collect();
            let claims = vec!["data".into(), "more".into()];
            let kept = Kept {
                data: vec![Data { namespace: "todo".into(), claims, of_users, is_ours }],
                is_alone,
                ..Kept::default()
            };
            assert_eq!(kept.locked_up().len(), expected, "alone: {is_alone}, ours: {is_ours}");
            assert_eq!(kept.has_data_of_others(), others);
        };
        check(true, true, &["data", "more"], 1, false);
        check(true, true, &["data"], 1, true);
        check(true, false, &["data", "more"], 0, false);
        check(false, true, &["data", "more"], 0, false);
        check(true, true, &[], 0, true);
    }

    #[test]
    fn data_is_of_the_values_that_a_release_with_it_uses_and_of_no_others() {
        const MANIFEST: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec:
  template:
    spec:
      containers:
        - env: [{ name: PASSWORD, valueFrom: { secretKeyRef: { name: todo-secrets, key: PASSWORD } } }]
      volumes: [{ name: more, persistentVolumeClaim: { claimName: by-hand } }]
  volumeClaimTemplates: [{ metadata: { name: data } }]
";
        let claim = |name: &str, annotations: Value| {
            Claim::of(serde_json::from_value(json!({"name": name, "annotations": annotations})).unwrap()).unwrap()
        };
        let of =
            |release: &str| json!({"meta.helm.sh/release-namespace": "todo", "meta.helm.sh/release-name": release});
        let claims = [
            claim("data-db-0", json!({})),
            claim("by-hand", json!({})),
            claim("own", of("todo")),
            claim("more", of("b")),
        ];
        let installed = |config: Value| Installed { objects: rendered::objects(MANIFEST, "test").unwrap(), config };
        let check = |release: &str, installed: Option<&Installed>, object: &str, expected: &[&str]| {
            let step = format!("release-{release}");
            let whose = Whose { project: "shop", step: &step, namespace: "todo", release };
            let found = data_of(&whose, installed, object, &claims);
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{release} {object}");
        };
        let todo = installed(json!({}));
        check("todo", Some(&todo), "todo-secrets", &["by-hand", "data-db-0", "own"]);
        // A step that is new: for a release that was made without its values, and for one that is not there yet.
        check("todo", Some(&todo), "metrics-secrets", &[]);
        check("metrics", None, "metrics-secrets", &[]);
        // The chart may have the name from its values, and the release may have gone by hand.
        let named = installed(json!({"secrets": {"existingSecret": "metrics-secrets"}}));
        check("todo", Some(&named), "metrics-secrets", &["by-hand", "data-db-0", "own"]);
        check("todo", None, "todo-secrets", &["own"]);
    }
}
