//! Whether objects are still as their manifest asks for, found by reading them: the slow path behind `identity`.

use engine::failure::Failure;
use futures_util::future::try_join_all;
use kube::Client;
use kube::api::ListParams;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::world::kube::canonical::canonical;
use crate::world::kube::compare::{Context, Difference, differences};
use crate::world::kube::error;
use crate::world::kube::identity::{Address, Identity};
use crate::world::kube::kinds;
use crate::world::kube::rendered::Rendered;

/// An object that a manifest asks for, as it is now.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// Which one.
    pub address: Address,
    /// What is there.
    pub found: Found,
}

/// What was found in the place of an object.
#[derive(Debug, Clone)]
pub enum Found {
    /// Nothing, and that is no surprise: a finished Job with a time to live, or an object that helm keeps out of it.
    RightlyGone,
    /// Nothing.
    Missing,
    /// The object, with the fields that are not as they should be.
    There {
        /// Its metadata in short.
        identity: Identity,
        /// Where it differs; empty when all is well.
        differences: Vec<Difference>,
        /// The whole object, for putting it back.
        live: Box<DynamicObject>,
    },
}

impl Inspected {
    /// The object's name with each difference: `Deployment todo-backend spec.replicas changed by hand: 2 → 5`.
    pub fn sentences(&self) -> Vec<String> {
        let title = self.address.title();
        match &self.found {
            Found::RightlyGone => Vec::new(),
            Found::Missing => vec![format!("{title} is gone")],
            Found::There { differences, .. } => {
                differences.iter().map(|difference| format!("{title} {difference}")).collect()
            }
        }
    }
}

/// Inspects objects side by side.
pub async fn inspect(client: &Client, objects: &[(Address, &Rendered)]) -> Result<Vec<Inspected>, Failure> {
    try_join_all(objects.iter().map(|(address, rendered)| inspect_one(client, address, rendered))).await
}

async fn inspect_one(client: &Client, address: &Address, rendered: &Rendered) -> Result<Inspected, Failure> {
    let found = match address.read(client).await? {
        None if may_be_gone(rendered) => Found::RightlyGone,
        None => Found::Missing,
        Some(live) => {
            let identity = Identity::of(&live.metadata);
            let differences = against(client, address, rendered, &live).await?;
            Found::There { identity, differences, live: Box::new(live) }
        }
    };
    Ok(Inspected { address: address.clone(), found })
}

async fn against(
    client: &Client,
    address: &Address,
    rendered: &Rendered,
    live: &DynamicObject,
) -> Result<Vec<Difference>, Failure> {
    let live = value(live)?;
    let body = with_data(&rendered.body);
    let complete = canonical(client, address, &body).await;
    let mut context = Context { kind: &rendered.kind, autoscaled: false, complete: complete.is_some() };
    let wanted = complete.as_ref().unwrap_or(&body);
    let found = differences(&body, wanted, &live, context);
    if found.iter().any(|difference| difference.pointer == "/spec/replicas") && is_autoscaled(client, address).await? {
        context.autoscaled = true;
        return Ok(differences(&body, wanted, &live, context));
    }
    Ok(found)
}

/// Whether its absence means nothing: Kubernetes removes finished Jobs that have a time to live, and helm leaves
/// alone what asks to be kept, so a person may have removed it.
pub fn may_be_gone(rendered: &Rendered) -> bool {
    let finished_job = rendered.kind == "Job" && rendered.body.pointer("/spec/ttlSecondsAfterFinished").is_some();
    finished_job || rendered.asks_to_be_kept()
}

/// Whether any HorizontalPodAutoscaler of the namespace, a chart's or a person's, scales the object.
async fn is_autoscaled(client: &Client, address: &Address) -> Result<bool, Failure> {
    let Some(resource) = kinds::known("autoscaling/v2", "HorizontalPodAutoscaler") else { return Ok(false) };
    let scalers = Address { resource, namespace: address.namespace.clone(), name: String::new() };
    let list = scalers.api(client).list(&ListParams::default()).await;
    let list = list.map_err(|found| error::failed("list the HorizontalPodAutoscalers", &found))?;
    Ok(list.items.iter().any(|scaler| {
        let target =
            |name: &str| scaler.data.pointer("/spec/scaleTargetRef").and_then(|target| target.get(name)?.as_str());
        target("kind") == Some(&address.resource.kind) && target("name") == Some(&address.name)
    }))
}

/// A Secret's `stringData` is `data` once it is stored.
fn with_data(body: &Value) -> Value {
    let mut body = body.clone();
    let text = if body["kind"] == "Secret" {
        body.as_object_mut().and_then(|body| body.shift_remove("stringData"))
    } else {
        None
    };
    if let Some(Value::Object(text)) = text {
        for (key, value) in text {
            let value = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
            body["data"][key] = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value).into();
        }
    }
    body
}

/// An object as plain JSON.
pub fn value(object: &DynamicObject) -> Result<Value, Failure> {
    serde_json::to_value(object)
        .map_err(|error| Failure::step("could not read an object of the API server").because(error))
}

#[cfg(test)]
mod tests {
    use super::{may_be_gone, with_data};
    use crate::world::kube::rendered::objects;

    #[test]
    fn only_what_may_go_by_itself_is_never_missing() {
        let check = |text: &str, expected: bool| {
            let objects = objects(text, "test").unwrap();
            assert_eq!(may_be_gone(&objects[0]), expected, "{text}");
        };
        check("{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {ttlSecondsAfterFinished: 0}}", true);
        check("{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {}}", false);
        check(
            "{apiVersion: v1, kind: Secret, metadata: {name: a, annotations: {helm.sh/resource-policy: keep}}}",
            true,
        );
        check("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}", false);
    }

    #[test]
    fn a_secrets_text_is_compared_as_it_is_stored() {
        let body = serde_json::json!({"kind": "Secret", "data": {"a": "YQ=="}, "stringData": {"b": "b"}});
        assert_eq!(with_data(&body), serde_json::json!({"kind": "Secret", "data": {"a": "YQ==", "b": "Yg=="}}));
    }
}
