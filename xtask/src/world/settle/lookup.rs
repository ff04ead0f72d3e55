//! Looks up what a diagnosis wants: logs, keys of Secrets (never their values), nodes, claims.

use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Pod, Secret};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client};

use super::feed::LINES;
use crate::diagnose::evidence::{ContainerOf, Findings, Reference, Want};

/// Looks up each of `wants`. What cannot be had stays unknown: a diagnosis is better without it than not at all.
pub async fn look_up(client: &Client, wants: &[Want], findings: &mut Findings) {
    for want in wants {
        match want {
            Want::Log(container) => {
                if let Ok(lines) = log(client, container).await {
                    findings.logs.insert(container.clone(), lines);
                }
            }
            Want::Keys(reference) => {
                if let Ok(keys) = keys(client, reference).await {
                    findings.keys.insert(reference.clone(), keys);
                }
            }
            Want::Capacity => capacity(client, findings).await,
            Want::Claim { namespace, name } => {
                let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
                if let Ok(claim) = claims.get_opt(name).await {
                    findings.claims.insert((namespace.clone(), name.clone()), claim);
                }
            }
        }
    }
}

async fn log(client: &Client, container: &ContainerOf) -> kube::Result<Vec<String>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &container.namespace);
    let params =
        LogParams { container: Some(container.container.clone()), tail_lines: Some(LINES), ..LogParams::default() };
    let text = pods.logs(&container.pod, &params).await?;
    Ok(text.lines().map(str::to_owned).collect())
}

async fn keys(client: &Client, reference: &Reference) -> kube::Result<Option<std::collections::BTreeSet<String>>> {
    if reference.kind == "Secret" {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &reference.namespace);
        let secret = secrets.get_opt(&reference.name).await?;
        Ok(secret.map(|secret| secret.data.into_iter().flatten().map(|(key, _)| key).collect()))
    } else {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &reference.namespace);
        let map = maps.get_opt(&reference.name).await?;
        Ok(map.map(|map| {
            let text = map.data.into_iter().flatten().map(|(key, _)| key);
            text.chain(map.binary_data.into_iter().flatten().map(|(key, _)| key)).collect()
        }))
    }
}

async fn capacity(client: &Client, findings: &mut Findings) {
    let nodes: Api<Node> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client.clone());
    let (all, bound) = (ListParams::default(), ListParams::default().fields("spec.nodeName!="));
    if let (Ok(nodes), Ok(bound)) = tokio::join!(nodes.list(&all), pods.list(&bound)) {
        findings.nodes = Some(nodes.items);
        findings.bound = bound.items;
    }
}
