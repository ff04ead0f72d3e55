//! Proxies, and whether what is on this machine is left out of them.

use std::collections::BTreeMap;

use super::Finding;

const SOURCE: &str = "the environment";

/// Addresses of ours that no proxy can reach: this machine, and minikube's network for its nodes.
const OURS: [&str; 2] = ["127.0.0.1", "192.168.49.0/24"];

pub(super) fn look(minikube: bool) -> Option<Finding> {
    let proxies = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"].into_iter().filter_map(|name| Some((name, value(name)?)));
    judge(&proxies.collect(), &value("NO_PROXY").unwrap_or_default(), minikube)
}

fn value(name: &str) -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    set(name).or_else(|| set(&name.to_lowercase()))
}

fn judge(proxies: &BTreeMap<&str, String>, exceptions: &str, minikube: bool) -> Option<Finding> {
    let first = proxies.iter().next()?;
    let found = format!("{} is {}", first.0, without_password(first.1));
    let excepted = |address: &&&str| {
        let is = |entry: &str| entry.trim() == "*" || entry.trim() == **address;
        // A network is left out by its first address or by a wider one, too; only the plain forms are known here.
        exceptions.split(',').any(is)
    };
    let wanted = if minikube { &OURS[..] } else { &OURS[..1] };
    let missing: Vec<&str> = wanted.iter().filter(|address| !excepted(address)).copied().collect();
    Some(if missing.is_empty() {
        Finding::good("proxy", found, SOURCE)
    } else {
        let list = missing.join(",");
        Finding::note("proxy", format!("{found}, also for {list}"), SOURCE)
            .mend(format!("export NO_PROXY=\"${{NO_PROXY:+$NO_PROXY,}}localhost,{list}\""))
    })
}

/// A proxy's address without who logs in to it.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{judge, without_password};
    use crate::doctor::Standing;

    #[test]
    fn what_is_on_this_machine_must_not_go_through_a_proxy() {
        let proxies = BTreeMap::from([("HTTPS_PROXY", "http://proxy.example:3128".to_owned())]);
        let check = |exceptions: &str, minikube, expected| {
            let finding = judge(&proxies, exceptions, minikube).unwrap();
            assert_eq!(finding.standing, expected, "{exceptions} {minikube}");
        };
        check("localhost,127.0.0.1,192.168.49.0/24", true, Standing::Good);
        check("127.0.0.1", false, Standing::Good);
        check("127.0.0.1", true, Standing::Note);
        check("*", true, Standing::Good);
        check("", false, Standing::Note);
        assert_eq!(judge(&BTreeMap::new(), "", true), None, "without a proxy there is nothing to say");
    }

    #[test]
    fn a_password_is_not_shown() {
        for (url, expected) in [
            ("http://me:secret@proxy.example:3128", "http://proxy.example:3128"),
            ("me:s@cret@proxy.example:3128", "proxy.example:3128"),
            ("http://proxy.example", "http://proxy.example"),
        ] {
            assert_eq!(without_password(url), expected);
        }
    }
}
