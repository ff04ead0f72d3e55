//! The pods behind a check's Service: who answered, so that a change of who would answer now is seen.

use std::collections::BTreeMap;

use engine::failure::Failure;
use engine::verdict::Difference;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};
use serde::{Deserialize, Serialize};

use crate::diagnose::evidence::containers;
use crate::world::forward::At;

/// A pod behind a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Behind {
    name: String,
    restarts: i32,
    ready: bool,
}

/// The pods behind a Service, by uid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pods(BTreeMap<String, Behind>);

impl Pods {
    /// Asks for both lists side by side: one round trip.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn behind(client: &Client, at: &At) -> Result<Self, Failure> {
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &at.namespace);
        let pods: Api<Pod> = Api::namespaced(client.clone(), &at.namespace);
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={}", at.service));
        let (slices, pods) = tokio::try_join!(slices.list(&of_service), async {
            // What runs in the namespace, from the API server's cache: no read of its store.
            pods.list(&ListParams::default().match_any()).await
        })
        .map_err(|error| Failure::environment(format!("could not look at the pods behind {at}")).because_of(&error))?;
        Ok(Self::of(&slices.items, &pods.items))
    }

    fn of(slices: &[EndpointSlice], pods: &[Pod]) -> Self {
        let mut behind = BTreeMap::new();
        for endpoint in slices.iter().flat_map(|slice| slice.endpoints.iter().flatten()) {
            let Some(target) = endpoint.target_ref.as_ref() else { continue };
            let Some(uid) = target.uid.clone() else { continue };
            let pod = pods.iter().find(|pod| pod.metadata.uid.as_ref() == Some(&uid));
            // One that is about to go answers nobody any more, and says nothing about those that stay.
            if pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_some()) {
                continue;
            }
            let restarts = pod.map_or(0, |pod| containers(pod).map(|container| container.restart_count).sum());
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            behind.insert(uid, Behind { name: target.name.clone().unwrap_or_default(), restarts, ready });
        }
        Self(behind)
    }

    /// What is not as `before`: another pod answers, one was restarted, none is ready. A pod that ends leaves the
    /// same others.
    pub fn differences_to(&self, before: Option<&Self>, at: &At) -> Vec<Difference> {
        if self.0.is_empty() {
            return vec![Difference::Missing(format!("no pod is behind {at}"))];
        }
        let mut differences = Vec::new();
        for (uid, pod) in &self.0 {
            match before.and_then(|before| before.0.get(uid)) {
                None => differences.push(Difference::Altered(format!("pod {} is new", pod.name))),
                Some(old) if old.restarts != pod.restarts => {
                    differences.push(Difference::Altered(format!("pod {} was restarted", pod.name)));
                }
                Some(_) => {}
            }
            if !pod.ready {
                differences.push(Difference::Unhealthy(format!("pod {} is not ready", pod.name)));
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::json;

    use super::Pods;
    use crate::world::forward::At;

    fn pods(all: &[(&str, i32, bool)]) -> Pods {
        let endpoints: Vec<_> = all
            .iter()
            .map(|(name, _, ready)| {
                json!({
                    "addresses": ["10.0.0.1"], "conditions": {"ready": ready},
                    "targetRef": {"kind": "Pod", "name": name, "uid": format!("uid-{name}")},
                })
            })
            .collect();
        let slice: EndpointSlice =
            serde_json::from_value(json!({"addressType": "IPv4", "metadata": {}, "endpoints": endpoints})).unwrap();
        let pods: Vec<Pod> = all
            .iter()
            .map(|(name, restarts, _)| {
                let status =
                    json!({"name": "app", "image": "", "imageID": "", "ready": true, "restartCount": restarts});
                serde_json::from_value(json!({
                    "metadata": {"name": name, "uid": format!("uid-{name}")},
                    "status": {"containerStatuses": [status]},
                }))
                .unwrap()
            })
            .collect();
        Pods::of(&[slice], &pods)
    }

    #[test]
    fn a_check_is_stale_when_others_would_answer_it() {
        let check = |now: &[(&str, i32, bool)], expected: &[&str]| {
            let before = pods(&[("a", 0, true), ("b", 1, true)]);
            let differences = pods(now).differences_to(Some(&before), &At::parse("n", "s:80"));
            let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
            assert_eq!(texts, expected, "{now:?}");
        };
        check(&[("a", 0, true), ("b", 1, true)], &[]);
        check(&[("b", 1, true)], &[]);
        check(&[("a", 0, true), ("c", 0, true)], &["pod c is new"]);
        check(&[("a", 1, true), ("b", 1, true)], &["pod a was restarted"]);
        check(&[("a", 0, false), ("b", 1, true)], &["pod a is not ready"]);
        check(&[], &["no pod is behind service s:80"]);
    }
}
