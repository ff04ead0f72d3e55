//! Whether the pods of a workload are as many and as well as they should be, by the workload's own status. Pure.

use serde_json::Value;

/// Whether objects of `kind` run pods for as long as they are there.
pub fn has_pods(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet")
}

/// What is wrong with the pods of an object of `kind` whose fields, metadata aside, are `object`.
pub fn trouble(kind: &str, object: &Value) -> Option<String> {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let (wanted, ready) = match kind {
        "Deployment" => (number("/spec/replicas").unwrap_or(1), number("/status/availableReplicas")),
        "StatefulSet" => (number("/spec/replicas").unwrap_or(1), number("/status/readyReplicas")),
        "DaemonSet" => (number("/status/desiredNumberScheduled").unwrap_or(0), number("/status/numberAvailable")),
        _ => return None,
    };
    let ready = ready.unwrap_or(0);
    (ready < wanted).then(|| match wanted {
        1 => "its pod is not ready".to_owned(),
        _ => format!("{ready} of {wanted} pods are ready"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::trouble;

    #[test]
    fn a_workload_is_well_when_as_many_pods_are_ready_as_it_wants() {
        let check = |kind: &str, object: Value, expected: Option<&str>| {
            assert_eq!(trouble(kind, &object).as_deref(), expected, "{object}");
        };
        check("Deployment", json!({"spec": {"replicas": 2}, "status": {"availableReplicas": 2}}), None);
        check(
            "Deployment",
            json!({"spec": {"replicas": 2}, "status": {"availableReplicas": 1}}),
            Some("1 of 2 pods are ready"),
        );
        check("Deployment", json!({"spec": {"replicas": 0}, "status": {}}), None);
        check("StatefulSet", json!({"spec": {}, "status": {"replicas": 1}}), Some("its pod is not ready"));
        check("DaemonSet", json!({"status": {"desiredNumberScheduled": 3, "numberAvailable": 3}}), None);
        check("Service", json!({}), None);
    }
}
