//! The shared deployment with two replicas each, at the address that `minikube service --url` prints; and what became of
//! its containers meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use crate::project::Project;

/// The frontend's port on the node.
const PORT: u16 = 31_080;

/// How often each container was started again, by its pod's uid and its own name.
pub type Ends = BTreeMap<(String, String), u64>;

impl Project {
    /// The shared deployment with two replicas of frontend and backend, and the frontend on a port of the node.
    pub fn deployed_twice() -> Self {
        let project = Self::deployed();
        let service = format!("service = {{ type = \"NodePort\", nodePort = {PORT} }}");
        project.edit("xtask.toml", "service = { type = \"ClusterIP\" }", &service);
        for _ in ["frontend", "backend"] {
            project.edit("xtask.toml", "replicas = 1", "replicas = 2");
        }
        project.run(&["deploy"]).expect_success();
        project
    }

    /// Where the frontend answers: the address of the node's container.
    pub fn frontend(&self) -> SocketAddr {
        let node = r#"jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}"#;
        let address = self.cluster.kubectl(&["get", "nodes", "--output", node]);
        SocketAddr::new(address.parse().expect("a node has an address"), PORT)
    }

    /// How often the containers of the namespace's pods were started again, those that come before the others included.
    pub fn ends(&self) -> Ends {
        containers(&self.cluster.get(&["pods"])).map(|(of, status)| (of, restarts(&status))).collect()
    }

    /// None was started again since then, and none ever ended for want of memory.
    #[track_caller]
    pub fn expect_no_end_since(&self, before: &Ends) {
        for (container, status) in containers(&self.cluster.get(&["pods"])) {
            let earlier = before.get(&container).copied().unwrap_or_default();
            assert_eq!(restarts(&status), earlier, "{container:?} was started again: {status}");
            let ended = ["state", "lastState"].map(|state| &status[state]["terminated"]["reason"]);
            assert!(
                !ended.iter().any(|reason| **reason == "OOMKilled"),
                "{container:?} had too little memory: {status}"
            );
        }
    }
}

/// The status of each container in a list of pods.
fn containers(pods: &Value) -> impl Iterator<Item = ((String, String), Value)> {
    let text = |value: &Value| value.as_str().expect("it is there").to_owned();
    let pods = pods["items"].as_array().expect("a list").iter();
    pods.flat_map(move |pod| {
        let kinds = ["initContainerStatuses", "containerStatuses"];
        let statuses = kinds.into_iter().flat_map(|kind| pod["status"][kind].as_array().into_iter().flatten());
        statuses.map(move |status| ((text(&pod["metadata"]["uid"]), text(&status["name"])), status.clone()))
    })
}

fn restarts(status: &Value) -> u64 {
    status["restartCount"].as_u64().expect("a count")
}
