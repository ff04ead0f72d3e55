use serde_json::{Value, json};

use super::{Context, differences};

/// The differences that `live` has from `rendered`; `wanted` as the API server would answer.
fn found(kind: &str, autoscaled: bool, rendered: &Value, wanted: &Value, live: &Value) -> Vec<String> {
    let context = Context { kind, autoscaled, complete: true };
    differences(rendered, wanted, live, context).iter().map(ToString::to_string).collect()
}

/// A Deployment with `spec` beside a template of one container with `container`'s fields.
fn deployment(spec: &Value, container: &Value) -> Value {
    let mut spec = spec.clone();
    spec["template"] = json!({
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [container], "dnsPolicy": "ClusterFirst"},
    });
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "labels": {"app": "a"}}, "spec": spec})
}

#[test]
fn edits_by_hand_are_named_by_their_path() {
    let container = json!({"name": "app", "image": "a:1", "env": [{"name": "MODE", "value": "x"}]});
    let wanted = deployment(&json!({"replicas": 2}), &container);
    let check = |live: Value, expected: &[&str]| {
        assert_eq!(found("Deployment", false, &wanted, &wanted, &live), expected);
    };
    let edited = |pointer: &str, value: Value| {
        let mut live = wanted.clone();
        *live.pointer_mut(pointer).unwrap() = value;
        live
    };
    check(wanted.clone(), &[]);
    check(edited("/spec/replicas", json!(5)), &["spec.replicas changed by hand: 2 → 5"]);
    check(
        edited("/spec/template/spec/containers/0/image", json!("b:1")),
        &["spec.template.spec.containers[app].image changed by hand: a:1 → b:1"],
    );
    check(
        edited(
            "/spec/template/spec/containers/0/env",
            json!([{"name": "MODE", "value": "x"}, {"name": "DEBUG", "value": "1"}]),
        ),
        &["spec.template.spec.containers[app].env[DEBUG] added by hand"],
    );
    check(
        edited("/spec/template/spec/containers/0/env/0/value", json!("secret")),
        &["spec.template.spec.containers[app].env[MODE].value changed by hand"],
    );
    check(
        edited("/spec/template/spec/containers/0/env", json!([])),
        &["spec.template.spec.containers[app].env removed by hand"],
    );
    check(
        edited(
            "/spec/template/spec",
            json!({"containers": [container, {"name": "b"}], "dnsPolicy": "ClusterFirst", "hostNetwork": true}),
        ),
        &["spec.template.spec.containers[b] added by hand", "spec.template.spec.hostNetwork added by hand"],
    );
    check(edited("/metadata/labels", json!({"app": "b", "mine": "1"})), &["metadata.labels.app changed by hand"]);
    check(
        edited("/spec/template/metadata", json!({"labels": {"app": "a", "mine": "1"}})),
        &["spec.template.metadata.labels.mine added by hand"],
    );
}

#[test]
fn what_others_may_decide_is_no_drift() {
    let container = json!({"name": "app", "image": "a:1"});
    let wanted = deployment(&json!({"replicas": 2}), &container);
    let mut live = wanted.clone();
    live["spec"]["replicas"] = json!(5);
    assert!(found("Deployment", true, &wanted, &wanted, &live).is_empty(), "an autoscaler decides on replicas");

    let mut live = wanted.clone();
    live["spec"]["template"]["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"});
    live["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "3"});
    live["spec"]["progressDeadlineSeconds"] = json!(600);
    live["status"] = json!({"replicas": 2});
    // The annotations map itself is new, so its one entry that counts for nothing is all that it has.
    assert_eq!(found("Deployment", false, &wanted, &wanted, &live), [] as [&str; 0]);
}

#[test]
fn a_service_keeps_what_it_was_given() {
    let rendered = json!({"spec": {"type": "NodePort", "selector": {"app": "a"}, "ports": [{"name": "http", "port": 80, "targetPort": 8000}]}});
    let port = |node_port: u32| json!({"name": "http", "port": 80, "targetPort": 8000, "protocol": "TCP", "nodePort": node_port});
    let stored = |ports: &[Value]| json!({"spec": {"type": "NodePort", "selector": {"app": "a"}, "ports": ports, "clusterIP": "10.0.0.1"}});
    let check = |live: &[Value], expected: &[&str]| {
        assert_eq!(found("Service", false, &rendered, &stored(&[port(30001)]), &stored(live)), expected);
    };
    check(&[port(30001)], &[]);
    check(&[port(31999)], &[]);
    check(&[port(30001), json!({"name": "debug", "port": 81, "protocol": "TCP"})], &["spec.ports[81] added by hand"]);
    check(
        &[json!({"name": "http", "port": 81, "protocol": "TCP"})],
        &["spec.ports[81] added by hand", "spec.ports[80] removed by hand"],
    );
    check(
        &[json!({"name": "http", "port": 80, "targetPort": 9, "protocol": "TCP", "nodePort": 30001})],
        &["spec.ports[80].targetPort changed by hand: 8000 → 9"],
    );
}

#[test]
fn a_switch_that_stops_an_object_counts_unless_the_manifest_sets_it() {
    let check = |kind: &str, rendered: Value, wanted: Value, live: Value, expected: &[&str]| {
        let of = |spec: Value| json!({"spec": spec});
        assert_eq!(found(kind, false, &of(rendered), &of(wanted), &of(live)), expected, "{kind}");
    };
    let none = || json!({});
    check("Deployment", none(), none(), json!({"paused": true}), &["spec.paused added by hand"]);
    check("Deployment", none(), none(), json!({"paused": false}), &[]);
    check("Deployment", json!({"paused": true}), json!({"paused": true}), json!({"paused": true}), &[]);
    check("Deployment", json!({"paused": false}), none(), json!({"paused": true}), &["spec.paused added by hand"]);
    let default = || json!({"suspend": false});
    check("CronJob", none(), default(), json!({"suspend": true}), &["spec.suspend changed by hand: false → true"]);
    check("CronJob", none(), default(), default(), &[]);
    check("Job", none(), default(), json!({"suspend": true}), &[]);
}

#[test]
fn a_map_that_means_something_only_as_a_whole_is_compared_as_a_whole() {
    let check = |kind: &str, complete: bool, rendered: Value, live: Value, expected: &[&str]| {
        let (rendered, live) = (json!({"spec": rendered}), json!({"spec": live}));
        let context = Context { kind, autoscaled: false, complete };
        let found = differences(&rendered, &rendered, &live, context);
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(said, expected, "{kind}");
    };
    let service = |selector: Value| json!({"selector": selector, "ports": [{"port": 80}]});
    for complete in [true, false] {
        check("Service", complete, service(json!({"app": "a"})), service(json!({"app": "a"})), &[]);
        check(
            "Service",
            complete,
            service(json!({"app": "a"})),
            service(json!({"app": "a", "by-hand": "1"})),
            &["spec.selector.by-hand added by hand"],
        );
        check(
            "NetworkPolicy",
            complete,
            json!({"podSelector": {"matchLabels": {"app": "a"}}}),
            json!({"podSelector": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}}),
            &["spec.podSelector.matchExpressions added by hand"],
        );
        check(
            "PodDisruptionBudget",
            complete,
            json!({"selector": {}, "minAvailable": 1}),
            json!({"selector": {"matchLabels": {"app": "a"}}, "minAvailable": 1}),
            &["spec.selector changed by hand"],
        );
        // Of a kind that is not Kubernetes' own.
        check(
            "ServiceMonitor",
            complete,
            json!({"selector": {"matchLabels": {"app": "a"}}}),
            json!({"selector": {"matchLabels": {"app": "a", "b": "c"}}}),
            &["spec.selector.matchLabels.b added by hand"],
        );
    }
    let backend = |port: Value| json!({"defaultBackend": {"service": {"name": "a", "port": port}}});
    check(
        "Ingress",
        true,
        backend(json!({"number": 80})),
        backend(json!({"name": "http"})),
        &[
            "spec.defaultBackend.service.port.number removed by hand",
            "spec.defaultBackend.service.port.name added by hand",
        ],
    );
    // What the manifest does not set at all is not its business.
    check("PersistentVolumeClaim", true, json!({}), json!({"selector": {"matchLabels": {"a": "b"}}}), &[]);
}

#[test]
fn a_manifest_alone_stands_in_for_defaults() {
    let context = Context { kind: "Deployment", autoscaled: false, complete: false };
    let rendered = deployment(
        &json!({"replicas": 1}),
        &json!({"name": "app", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}, "env": []}),
    );
    let live = deployment(
        &json!({"replicas": 1, "minReadySeconds": 5}),
        &json!({"name": "app", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}, "imagePullPolicy": "Always"}),
    );
    assert_eq!(differences(&rendered, &rendered, &live, context), []);
}

#[test]
fn quantities_are_compared_by_their_value() {
    let check = |one: &str, other: &str, same: bool| {
        assert_eq!(super::same(&json!(one), &json!(other)), same, "{one} and {other}");
    };
    check("0.5", "500m", true);
    check("1Gi", "1024Mi", true);
    check("1G", "1Gi", false);
    check("3.10.1", "3.10.1", true);
    check("3.10", "3.1", true);
    check("a", "b", false);
    assert!(super::same(&json!(1), &json!("1")));
}
