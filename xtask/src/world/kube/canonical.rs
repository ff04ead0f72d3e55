//! What the API server would store if a manifest were applied to an empty cluster: defaults filled in, quantities and
//! ports in its own spelling. Asked by a dry run under a name that nobody has, so nothing is written.

use kube::Client;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::world::kube::MANAGER;
use crate::world::kube::identity::Address;

/// A name that is valid for every kind and short enough for each.
const NOBODY: &str = "xtask-dry-run";

/// The complete object for `body`, or `None` where the API server does not answer a dry run for it: a kind whose
/// names follow a rule, a quota that is used up, a webhook that knows no dry runs.
pub async fn canonical(client: &Client, address: &Address, body: &Value) -> Option<Value> {
    let mut probe: DynamicObject = serde_json::from_value(body.clone()).ok()?;
    probe.metadata.name = Some(NOBODY.to_owned());
    probe.metadata.namespace.clone_from(&address.namespace);
    let given = take_allocated(&mut probe.data);
    let params = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
    let stored = address.api(client).create(&params, &probe).await.ok()?;
    let mut stored = serde_json::to_value(stored).ok()?;
    for (pointer, value) in given {
        give(&mut stored, &pointer, value);
    }
    Some(stored)
}

/// Takes out what only one object can have at a time, or the dry run would be refused; returns it by JSON pointer.
fn take_allocated(object: &mut Value) -> Vec<(String, Value)> {
    let mut taken = Vec::new();
    let Some(spec) = object.pointer_mut("/spec").and_then(Value::as_object_mut) else { return taken };
    let cluster_ips = ["clusterIP", "clusterIPs", "healthCheckNodePort"];
    for name in cluster_ips {
        // `None` asks for no address at all, which any number of Services can have.
        if spec.get(name).is_some_and(|value| value != "None" && value != &json!(["None"])) {
            taken.extend(spec.shift_remove(name).map(|value| (format!("/spec/{name}"), value)));
        }
    }
    for (index, port) in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        let value = port.as_object_mut().and_then(|port| port.shift_remove("nodePort"));
        taken.extend(value.map(|value| (format!("/spec/ports/{index}/nodePort"), value)));
    }
    taken
}

fn give(object: &mut Value, pointer: &str, value: Value) {
    if let Some((parent, name)) = pointer.rsplit_once('/')
        && let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut)
    {
        parent.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{give, take_allocated};

    #[test]
    fn what_only_one_object_can_have_is_left_out_of_the_dry_run() {
        let mut service =
            json!({"spec": {"clusterIP": "10.0.0.9", "ports": [{"port": 80, "nodePort": 30080}, {"port": 81}]}});
        let before = service.clone();
        let taken = take_allocated(&mut service);
        assert_eq!(service, json!({"spec": {"ports": [{"port": 80}, {"port": 81}]}}));
        for (pointer, value) in taken {
            give(&mut service, &pointer, value);
        }
        assert_eq!(service, before);

        let mut headless = json!({"spec": {"clusterIP": "None"}});
        assert!(take_allocated(&mut headless).is_empty());
    }
}
