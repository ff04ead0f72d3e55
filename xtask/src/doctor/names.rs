//! Whether names of hosts are found out.

use tokio::time::timeout;

use super::{Finding, PATIENCE, read};

/// A name that everybody who builds images needs.
const NAME: &str = "registry-1.docker.io";

pub(super) async fn look() -> Finding {
    let found = timeout(PATIENCE, tokio::net::lookup_host((NAME, 443))).await;
    let known = found.ok().and_then(Result::ok).is_some_and(|mut addresses| addresses.next().is_some());
    judge(known, has_proxy(), &read("/etc/resolv.conf"))
}

fn has_proxy() -> bool {
    ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].iter().any(|name| std::env::var_os(name).is_some())
}

fn judge(known: bool, proxy: bool, resolvers: &str) -> Finding {
    let servers = resolvers.lines().filter_map(|line| line.strip_prefix("nameserver")).map(str::trim);
    let servers = servers.collect::<Vec<_>>().join(", ");
    let source =
        if servers.is_empty() { "/etc/resolv.conf".to_owned() } else { format!("/etc/resolv.conf: {servers}") };
    match (known, proxy) {
        (true, _) => Finding::good("DNS", format!("{NAME} is known"), source),
        (false, true) => Finding::note("DNS", format!("{NAME} is not known; the proxy has to know it"), source),
        // What is there already needs no name, so this is no reason for a deploy to fail.
        (false, false) => {
            Finding::note("DNS", format!("{NAME} is not known"), source).mend(format!("getent hosts {NAME}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn an_unknown_name_is_told_with_the_servers_that_were_asked() {
        let resolvers = "search example\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n";
        assert_eq!(judge(true, false, resolvers).standing, Standing::Good);
        let unknown = judge(false, false, resolvers);
        assert_eq!(unknown.standing, Standing::Note);
        assert_eq!(unknown.source, "/etc/resolv.conf: 10.0.0.2, 10.0.0.3");
        assert!(judge(false, true, "").found.contains("proxy"));
    }
}
