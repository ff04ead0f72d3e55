//! The ports of this machine that the graph file gives to the cluster's node: free, the node's already, or somebody's.

use engine::config::PortMapping;

use super::{Finding, Wanted};
use crate::world::daemon::Daemon;
use crate::world::port_holder::{self, Holder};

pub(super) async fn look(wanted: &Wanted<'_>) -> Vec<Finding> {
    let Some(cluster) = wanted.minikube() else { return Vec::new() };
    let mut findings = Vec::new();
    for mapping in &cluster.ports {
        let holder = if port_holder::is_free(mapping.host_ip, mapping.host) {
            None
        } else {
            // Without a daemon there are still processes to find.
            let host = Daemon::of_host().unwrap_or_else(|_| Daemon::Socket("/var/run/docker.sock".into()));
            Some(port_holder::holder(&host, mapping.host).await)
        };
        findings.push(judge(mapping, &cluster.profile, holder));
    }
    findings
}

fn judge(mapping: &PortMapping, profile: &str, holder: Option<Holder>) -> Finding {
    let need = format!("port {}", mapping.host);
    let source = "the table [cluster] of the graph file";
    let port = mapping.host;
    match holder {
        None => Finding::good(&need, "free", source),
        Some(Holder::Container(name)) if name == profile => Finding::good(&need, "leads to the cluster's node", source),
        Some(Holder::Container(name)) => {
            Finding::short(&need, format!("the container `{name}` has it"), source).mend(format!("docker stop {name}"))
        }
        Some(Holder::Process { pid, name }) => {
            Finding::short(&need, format!("`{name}`, process {pid}, has it"), source).mend(format!("kill {pid}"))
        }
        Some(Holder::Unknown) => {
            Finding::short(&need, "somebody has it", source).mend(format!("sudo lsof -nP -iTCP:{port} -sTCP:LISTEN"))
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::config::PortMapping;

    use super::judge;
    use crate::doctor::Standing;
    use crate::world::port_holder::Holder;

    #[test]
    fn whoever_else_has_the_port_is_named() {
        let mapping = PortMapping { host_ip: [127, 0, 0, 1].into(), host: 30080, node: 30080 };
        let check = |holder, standing, mend: Option<&str>| {
            let finding = judge(&mapping, "lab", holder);
            assert_eq!((finding.standing, finding.mend.as_deref()), (standing, mend));
        };
        check(None, Standing::Good, None);
        check(Some(Holder::Container("lab".to_owned())), Standing::Good, None);
        check(Some(Holder::Container("web".to_owned())), Standing::Short, Some("docker stop web"));
        check(Some(Holder::Process { pid: 7, name: "node".to_owned() }), Standing::Short, Some("kill 7"));
        check(Some(Holder::Unknown), Standing::Short, Some("sudo lsof -nP -iTCP:30080 -sTCP:LISTEN"));
    }
}
