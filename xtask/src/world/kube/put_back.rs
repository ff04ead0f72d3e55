//! Gives the fields that were changed by hand the values that their manifest asks for, and leaves all others alone.

use engine::failure::Failure;
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world::kube::compare::{Change, Difference};
use crate::world::kube::drift::value;
use crate::world::kube::identity::Address;
use crate::world::kube::{MANAGER, error};

/// The annotation of a Deployment that is paused until another change of its pods has arrived: the two then make one
/// rollout.
pub const HELD_BACK: &str = "xtask/held-back";

/// Whether putting `differences` back would roll the pods of an object that can be held back.
pub fn rolls_pods(address: &Address, live: &DynamicObject, differences: &[Difference]) -> bool {
    let paused = live.data.pointer("/spec/paused").is_some();
    let template = |difference: &Difference| difference.pointer.starts_with("/spec/template/");
    address.resource.kind == "Deployment" && !paused && differences.iter().any(template)
}

/// Puts `differences` of `live` back. The write is refused when somebody has written since `live` was read. A Deployment
/// that is to be `held` rolls nothing out before [`resume`].
pub async fn put_back(
    client: &Client,
    address: &Address,
    live: &DynamicObject,
    differences: &[Difference],
    held: bool,
) -> Result<(), Failure> {
    let mut object = value(live)?;
    repair(&mut object, differences);
    hold(&mut object, held);
    let object: DynamicObject = serde_json::from_value(object)
        .map_err(|error| Failure::step(format!("could not repair {}", address.title())).because(error))?;
    let params = PostParams { dry_run: false, field_manager: Some(MANAGER.to_owned()) };
    match address.api(client).replace(&address.name, &params, &object).await {
        Ok(_) => Ok(()),
        Err(found) => Err(refused(address, differences, &found)),
    }
}

fn refused(address: &Address, differences: &[Difference], answer: &kube::Error) -> Failure {
    let paths: Vec<_> = differences.iter().map(|difference| difference.path.as_str()).collect();
    let mut failure =
        error::failed(&address.doing("put back"), answer).because(format!("changed by hand: {}", paths.join(", ")));
    if error::is_conflict(answer) {
        return failure;
    }
    if error::is_invalid(answer) {
        // What is live cannot become what the file says, and nothing is wrong with that.
        failure.help.clear();
    }
    failure.help(format!(
        "remove it, and the next deploy makes it anew: kubectl{} delete {} {}",
        flag(address),
        address.resource.plural,
        address.name
    ))
}

/// Lets a Deployment that was held back go on.
pub async fn resume(client: &Client, address: &Address) -> Result<(), Failure> {
    let patch = json!({"metadata": {"annotations": {HELD_BACK: null}}, "spec": {"paused": null}});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match address.api(client).patch(&address.name, &params, &Patch::Merge(patch)).await {
        // A chart that has it no more: helm has removed it.
        Err(found) if !error::is_missing(&found) => Err(error::failed(&address.doing("resume"), &found)),
        _ => Ok(()),
    }
}

/// Marks `object` as held back, or takes away what a run that was killed has left of such a mark.
fn hold(object: &mut Value, held: bool) {
    if held {
        object["spec"]["paused"] = true.into();
        object["metadata"]["annotations"][HELD_BACK] = "until helm has run".into();
    } else if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
        annotations.shift_remove(HELD_BACK);
    }
}

fn flag(address: &Address) -> String {
    address.namespace.as_ref().map(|namespace| format!(" --namespace {namespace}")).unwrap_or_default()
}

/// The pure part: `object` with the differences undone.
fn repair(object: &mut Value, differences: &[Difference]) {
    let value = |difference: &Difference| match &difference.change {
        Change::Changed { wanted, .. } => Some(wanted.clone()),
        Change::Added | Change::Removed(_) => None,
    };
    for difference in differences {
        if let (Some(wanted), Some(place)) = (value(difference), object.pointer_mut(&difference.pointer)) {
            *place = wanted;
        }
    }
    for difference in differences {
        if let Change::Removed(wanted) = &difference.change {
            add(object, &difference.pointer, wanted.clone());
        }
    }
    // Last, because the pointers count items as they were, and from the back for the same reason.
    for difference in differences.iter().rev().filter(|difference| difference.change == Change::Added) {
        remove(object, &difference.pointer);
    }
}

fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.shift_remove(&unescaped(name));
        }
        Some(Value::Array(list)) => {
            if let Some(index) = name.parse().ok().filter(|index| *index < list.len()) {
                list.remove(index);
            }
        }
        _ => {}
    }
}

fn add(object: &mut Value, pointer: &str, wanted: Value) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.insert(unescaped(name), wanted);
        }
        Some(Value::Array(list)) => list.push(wanted),
        _ => {}
    }
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::{Value, json};

    use super::{HELD_BACK, hold, refused, repair};
    use crate::world::kube::compare::{Context, differences};
    use crate::world::kube::identity::Address;
    use crate::world::kube::kinds;

    #[test]
    fn what_cannot_be_put_back_is_removed_and_no_file_is_blamed() {
        let address = Address {
            resource: kinds::known("v1", "Service").unwrap(),
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
        };
        let check = |code: u16, expected: &[&str]| {
            let answer = kube::Error::Api(Box::new(Status::failure("because", "Reason").with_code(code)));
            let helps = refused(&address, &[], &answer).help;
            assert_eq!(helps.len(), expected.len(), "{code}: {helps:?}");
            assert!(helps.iter().zip(expected).all(|(help, words)| help.contains(words)), "{code}: {helps:?}");
        };
        let removal = "kubectl --namespace shop delete services web";
        check(422, &[removal]);
        check(409, &["somebody writes to it"]);
        check(403, &["ask for the right", removal]);
    }

    #[test]
    fn what_was_held_back_keeps_no_trace_of_it() {
        let mut object = json!({"metadata": {"name": "a"}, "spec": {"replicas": 2}});
        hold(&mut object, true);
        assert_eq!(object["spec"]["paused"], true);
        assert!(object["metadata"]["annotations"][HELD_BACK].is_string());
        // The next run finds it paused, which its manifest does not want, and puts that back.
        hold(&mut object, false);
        assert_eq!(object["metadata"]["annotations"], json!({}));
    }

    #[test]
    fn what_is_put_back_has_no_differences_left() {
        let wanted = json!({
            "metadata": {"name": "a", "annotations": {"example.org/a": "1"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "app", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "args": ["x"]},
            ]}}},
        });
        let check = |live: Value| {
            let context = Context { kind: "Deployment", autoscaled: false, complete: true };
            let found = differences(&wanted, &wanted, &live, context);
            assert!(!found.is_empty());
            let mut repaired = live.clone();
            repair(&mut repaired, &found);
            assert_eq!(differences(&wanted, &wanted, &repaired, context), [], "{live} became {repaired}");
            assert_eq!(repaired.get("mine"), live.get("mine"), "nothing else is touched");
        };
        let with = |spec: Value| json!({"metadata": {"annotations": {"example.org/a": "2"}}, "spec": spec, "mine": 1});
        check(with(json!({"replicas": 3, "template": {"spec": {"containers": [{"name": "app"}], "hostPID": true}}})));
        check(with(json!({"replicas": 2, "template": {"spec": {"containers": [
            {"name": "x"},
            {"name": "app", "env": [{"name": "C"}, {"name": "B", "value": "9"}, {"name": "D"}], "args": ["x", "y"]},
            {"name": "y"},
        ]}}})));
        check(with(json!({"replicas": 2})));
    }
}
