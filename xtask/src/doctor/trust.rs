//! Which roots are trusted: the system's, or those that variables name.

use std::collections::BTreeMap;
use std::path::Path;

use super::Finding;

/// Variables that programs take a bundle of roots from.
const VARIABLES: [&str; 4] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE"];

/// Where systems keep theirs: Debian's and its kin's, Fedora's, Alpine's and macOS's.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

pub(super) fn look() -> Finding {
    let set = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    judge(&set.filter(|(_, path)| !path.is_empty()).collect(), &|path| Path::new(path).is_file())
}

fn judge(set: &BTreeMap<&str, String>, is_file: &dyn Fn(&str) -> bool) -> Finding {
    if let Some((name, path)) = set.iter().find(|(_, path)| !is_file(path)) {
        return Finding::short("trusted roots", format!("{name} names {path}, which is not there"), "the environment")
            .mend(format!("unset {name}"));
    }
    if let Some((name, path)) = set.iter().next() {
        return Finding::good("trusted roots", format!("{path}, by {name}; images get it too"), "the environment");
    }
    match SYSTEM.iter().find(|path| is_file(path)) {
        Some(path) => Finding::good("trusted roots", "the system's", *path),
        None => Finding::note("trusted roots", "no bundle where systems keep theirs", SYSTEM.join(", "))
            .mend("sudo apt-get install ca-certificates"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn a_variable_that_leads_nowhere_falls_short() {
        let there = |path: &str| path == "/roots.pem" || path == "/etc/ssl/certs/ca-certificates.crt";
        let check = |set: &[(&'static str, &str)], expected| {
            let set: BTreeMap<_, _> = set.iter().map(|(name, path)| (*name, (*path).to_owned())).collect();
            assert_eq!(judge(&set, &there).standing, expected, "{set:?}");
        };
        check(&[], Standing::Good);
        check(&[("SSL_CERT_FILE", "/roots.pem")], Standing::Good);
        check(&[("NODE_EXTRA_CA_CERTS", "/gone.pem"), ("SSL_CERT_FILE", "/roots.pem")], Standing::Short);
        assert_eq!(judge(&BTreeMap::new(), &|_| false).standing, Standing::Note);
    }
}
