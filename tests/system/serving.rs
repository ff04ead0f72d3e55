//! Pods that serve: those that are ready and not about to go, and how long it took them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::Cluster;

/// What is wanted of the application, in seconds.
const TARGETS: &str = include_str!("../../bench/targets.json");

impl Cluster {
    /// A component's pods that serve, by name, with the seconds from their making until they were found ready.
    pub fn serving(&self, component: &str) -> BTreeMap<String, i64> {
        let list = self.get(&["pods", "--selector", &format!("app.kubernetes.io/component={component}")]);
        let pods = list["items"].as_array().into_iter().flatten();
        let staying = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let served = staying.filter_map(|pod| {
            let conditions = pod["status"]["conditions"].as_array()?;
            let ready = conditions.iter().find(|one| one["type"] == "Ready" && one["status"] == "True")?;
            let about = &pod["metadata"];
            let took = moment(&ready["lastTransitionTime"]) - moment(&about["creationTimestamp"]);
            Some((about["name"].as_str().expect("a pod has a name").to_owned(), took))
        });
        served.collect()
    }

    /// The pods that serve now became ready as soon as is wanted.
    #[track_caller]
    pub fn expect_ready_in_time(&self) {
        let targets: Value = serde_json::from_str(TARGETS).expect("it is JSON");
        for component in ["frontend", "backend"] {
            let wanted = &targets["longest"][format!("pods of {component}: ready").as_str()];
            let wanted = wanted.as_i64().expect("whole seconds");
            let serving = self.serving(component);
            assert_eq!(serving.len(), 2, "{serving:?}");
            assert!(serving.values().all(|took| *took <= wanted), "wanted are {wanted} s at most: {serving:?}");
        }
    }
}

/// In seconds, of which Kubernetes writes whole ones.
fn moment(text: &Value) -> i64 {
    let moment: Timestamp = text.as_str().and_then(|text| text.parse().ok()).expect("a moment");
    moment.as_second()
}
