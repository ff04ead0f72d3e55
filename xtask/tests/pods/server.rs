//! Pods that serve, and Services in front of them.

use serde_json::{Value, json};

use crate::support::SHELL;

/// A pod that runs `server.py` and is ready as soon as that listens. It serves on while it is told to go.
pub fn server() -> Value {
    json!({
        "terminationGracePeriodSeconds": 10,
        "containers": [{
            "name": "app", "image": SHELL, "imagePullPolicy": "Never",
            "command": ["python3", "-c", include_str!("server.py")],
            "ports": [{"name": "web", "containerPort": 8000}, {"name": "count", "containerPort": 9000}],
            "readinessProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1},
            "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
            "resources": {"requests": {"cpu": "10m"}},
        }],
    })
}

/// A Service with one port, in front of the Deployment by the same name.
pub fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port, "targetPort": "web"}]},
    })
}

/// As [`service`], and a port that counts bytes.
pub fn service_that_counts(name: &str) -> Value {
    let mut service = service(name, 80);
    let count = json!({"name": "count", "port": 9000, "targetPort": "count"});
    service["spec"]["ports"].as_array_mut().expect("it has ports").push(count);
    service
}
