//! From a Service and a port of it to the pods that serve it and the port that they serve it on.
//!
//! EndpointSlices have done the work already: they hold the ready pods, and target ports by number even where the
//! Service names them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use engine::failure::Failure;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};

use super::Trouble;

/// Which port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// The only one.
    Only,
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// Which port of it.
    pub port: Port,
}

impl At {
    /// `SERVICE` or `SERVICE:PORT`, the port by number or by name.
    pub fn parse(namespace: impl Into<String>, text: &str) -> Self {
        let (service, port) = match text.split_once(':') {
            Some((service, port)) => {
                (service, u16::from_str(port).map_or_else(|_| Port::Name(port.to_owned()), Port::Number))
            }
            None => (text, Port::Only),
        };
        Self { namespace: namespace.into(), service: service.to_owned(), port }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            Port::Only => write!(f, "service {}", self.service),
            Port::Number(number) => write!(f, "service {}:{number}", self.service),
            Port::Name(name) => write!(f, "service {}:{name}", self.service),
        }
    }
}

/// Where a Service's port leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The pod.
    pub pod: String,
    /// Its port.
    pub port: u16,
}

/// The ready pods behind `at`, by name.
///
/// # Errors
/// When there is no such Service or port, or no ready pod.
pub async fn resolve(client: &Client, at: &At) -> Result<Vec<Target>, Trouble> {
    let services: Api<Service> = Api::namespaced(client.clone(), &at.namespace);
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &at.namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={}", at.service));
    let (service, slices) = tokio::try_join!(services.get_opt(&at.service), slices.list(&of_service))
        .map_err(|error| Trouble::NotYet(unanswered(at, &error)))?;
    targets_of(at, service.as_ref(), &slices.items)
}

/// The ready pods behind `at`, by name, by what is known of it.
///
/// # Errors
/// When there is no such Service or port, or no ready pod.
pub fn targets_of<'a>(
    at: &At,
    service: Option<&Service>,
    slices: impl IntoIterator<Item = &'a EndpointSlice> + Clone,
) -> Result<Vec<Target>, Trouble> {
    let spec = service.ok_or_else(|| Trouble::Never(no_service(at)))?.spec.as_ref();
    let port = port(at, spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default()).map_err(Trouble::Never)?;
    let targets = targets(port.name.as_deref(), slices.clone());
    if targets.is_empty() {
        let waiting = waiting(slices);
        let failure = Failure::step(format!("no ready pod is behind {at}"));
        return Err(Trouble::NotYet(if waiting.is_empty() {
            failure.because("its selector matches no pod").help(format!(
                "kubectl --namespace {} get service {} -o wide shows the selector",
                at.namespace, at.service
            ))
        } else {
            failure.because(format!("not ready: {}", waiting.into_iter().collect::<Vec<_>>().join(", ")))
        }));
    }
    Ok(targets)
}

/// The number of the Service's port that `at` means.
///
/// # Errors
/// As [`resolve`], but for pods.
pub async fn number(client: &Client, at: &At) -> Result<u16, Failure> {
    let services: Api<Service> = Api::namespaced(client.clone(), &at.namespace);
    let service = services.get_opt(&at.service).await.map_err(|error| unanswered(at, &error))?;
    let service = service.ok_or_else(|| no_service(at))?;
    let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
    let port = port(at, &ports)?.port;
    u16::try_from(port).map_err(|_| Failure::step(format!("{at} has the port {port}, which is none")))
}

fn unanswered(at: &At, error: &kube::Error) -> Failure {
    Failure::environment(format!("could not look up {at}")).because_of(error)
}

fn no_service(at: &At) -> Failure {
    Failure::step(format!("there is no service {} in namespace {}", at.service, at.namespace))
        .help(format!("kubectl --namespace {} get services", at.namespace))
}

fn port<'a>(at: &At, ports: &'a [ServicePort]) -> Result<&'a ServicePort, Failure> {
    let found = match &at.port {
        Port::Only if ports.len() == 1 => ports.first(),
        Port::Only => None,
        Port::Number(number) => ports.iter().find(|port| port.port == i32::from(*number)),
        Port::Name(name) => ports.iter().find(|port| port.name.as_ref() == Some(name)),
    };
    found.ok_or_else(|| {
        let there: Vec<String> = ports
            .iter()
            .map(|port| {
                port.name.as_ref().map_or_else(|| port.port.to_string(), |name| format!("{name} ({})", port.port))
            })
            .collect();
        let failure = match at.port {
            Port::Only if !ports.is_empty() => Failure::usage(format!("{at} has several ports")),
            _ => Failure::step(format!("there is no {at}")),
        };
        failure.help(format!("its ports are: {}", there.join(", ")))
    })
}

/// The ready pods of the slices and their number for the port that the Service calls `name`.
fn targets<'a>(name: Option<&str>, slices: impl IntoIterator<Item = &'a EndpointSlice>) -> Vec<Target> {
    let mut targets = Vec::new();
    for slice in slices {
        let port = slice
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_deref().unwrap_or_default() == name.unwrap_or_default());
        let Some(port) = port.and_then(|port| u16::try_from(port.port?).ok()) else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            // Unknown counts as ready: that is what the API says of an absent condition. A pod that is about to go is
            // not, unless the Service wants to have all of them.
            let conditions = endpoint.conditions.as_ref();
            let goes = conditions.and_then(|conditions| conditions.terminating).unwrap_or(false);
            let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true) && !goes;
            let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
            if let (true, Some(pod)) = (ready, pod.and_then(|pod| pod.name.clone())) {
                targets.push(Target { pod, port });
            }
        }
    }
    // A pod with addresses of both families is in two slices.
    targets.sort_by(|a, b| (&a.pod, a.port).cmp(&(&b.pod, b.port)));
    targets.dedup();
    targets
}

fn waiting<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> BTreeSet<String> {
    let endpoints = slices.into_iter().flat_map(|slice| slice.endpoints.iter().flatten());
    endpoints.filter_map(|endpoint| endpoint.target_ref.as_ref()?.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ServicePort;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::json;

    use super::{At, Port, Target, port, targets};

    #[test]
    fn a_port_is_found_by_number_by_name_or_because_it_is_the_only_one() {
        let one: Vec<ServicePort> = serde_json::from_value(json!([{"port": 80}])).unwrap();
        let two: Vec<ServicePort> =
            serde_json::from_value(json!([{"port": 80, "name": "http"}, {"port": 9090, "name": "metrics"}])).unwrap();
        let check = |text: &str, ports: &[ServicePort], expected: Result<i32, &str>| {
            let found = port(&At::parse("n", text), ports).map(|port| port.port).map_err(|failure| failure.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        };
        check("s", &one, Ok(80));
        check("s:80", &one, Ok(80));
        check("s", &two, Err("service s has several ports"));
        check("s:metrics", &two, Ok(9090));
        check("s:9090", &two, Ok(9090));
        check("s:grpc", &two, Err("there is no service s:grpc"));
        check("s:81", &one, Err("there is no service s:81"));
        assert_eq!(At::parse("n", "s:http").port, Port::Name("http".to_owned()));
    }

    #[test]
    fn only_ready_pods_serve_and_each_once() {
        let slice = |family: &str, ready: serde_json::Value| {
            json!({
                "addressType": family,
                "metadata": {"name": family.to_lowercase()},
                "ports": [{"name": "http", "port": 8000}, {"name": "metrics", "port": 9090}],
                "endpoints": [
                    {"addresses": ["a"], "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": "b"}},
                    {"addresses": ["a"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "a"}},
                    {"addresses": ["a"], "conditions": {"ready": true}},
                    {
                        "addresses": ["a"], "conditions": {"ready": true, "terminating": true},
                        "targetRef": {"kind": "Pod", "name": "goes"},
                    },
                ],
            })
        };
        let check = |ready: serde_json::Value, name: Option<&str>, expected: &[(&str, u16)]| {
            let slices = json!([slice("IPv4", ready.clone()), slice("IPv6", ready)]);
            let slices: Vec<EndpointSlice> = serde_json::from_value(slices).unwrap();
            let expected: Vec<Target> =
                expected.iter().map(|(pod, port)| Target { pod: (*pod).to_owned(), port: *port }).collect();
            assert_eq!(targets(name, &slices), expected);
        };
        check(json!(true), Some("http"), &[("b", 8000)]);
        check(json!(null), Some("metrics"), &[("b", 9090)]);
        check(json!(false), Some("http"), &[]);
        check(json!(true), None, &[]);
    }
}
