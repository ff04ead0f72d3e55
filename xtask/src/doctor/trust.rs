//! Which roots are trusted: the system's, or those that variables name.

use std::collections::BTreeMap;
use std::path::Path;

use super::Finding;

/// Variables that programs take a bundle of roots from.
const VARIABLES: [&str; 4] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE"];

/// The one of them whose bundle also goes into base images that are assembled.
const IMAGES_GET: &str = "SSL_CERT_FILE";

/// Where systems keep theirs: Debian's and its kin's, Fedora's, Alpine's and macOS's.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Where Debian and its kin take further roots from.
const OWN: &str = "/usr/local/share/ca-certificates";

pub(super) fn look() -> Finding {
    let set = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    let set = set.filter(|(_, path)| !path.is_empty()).collect();
    judge(&set, has_own_roots(Path::new(OWN)), &|path| Path::new(path).is_file())
}

/// Whether somebody has added roots to the system's.
fn has_own_roots(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => has_own_roots(&path),
        false => path.extension().is_some_and(|extension| extension == "crt"),
    })
}

fn judge(set: &BTreeMap<&str, String>, own: bool, is_file: &dyn Fn(&str) -> bool) -> Finding {
    if let Some((name, path)) = set.iter().find(|(_, path)| !is_file(path)) {
        return Finding::short("trusted roots", format!("{name} names {path}, which is not there"), "the environment")
            .mend(format!("unset {name}"));
    }
    if let Some(path) = set.get(IMAGES_GET) {
        let found = format!("{path}, by {IMAGES_GET}; base images that are assembled get it too");
        return Finding::good("trusted roots", found, "the environment");
    }
    if let Some((name, path)) = set.iter().next() {
        let images = if own { "get the system's" } else { "have only Debian's" };
        let found = format!("{path}, by {name}; base images that are assembled {images}");
        let finding = Finding::good("trusted roots", found, "the environment");
        return if own { finding } else { finding.mend(format!("export {IMAGES_GET}=\"${name}\"")) };
    }
    match SYSTEM.iter().find(|path| is_file(path)) {
        Some(path) if own => {
            let found = "the system's, with some of this machine's own; base images that are assembled get them too";
            Finding::good("trusted roots", found, *path)
        }
        Some(path) => Finding::good("trusted roots", "the system's", *path),
        None => Finding::note("trusted roots", "no bundle where systems keep theirs", SYSTEM.join(", "))
            .mend("sudo apt-get install ca-certificates"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{has_own_roots, judge};
    use crate::doctor::Standing;

    #[test]
    fn a_variable_that_leads_nowhere_falls_short() {
        let there = |path: &str| path == "/roots.pem" || path == "/etc/ssl/certs/ca-certificates.crt";
        let check = |set: &[(&'static str, &str)], expected| {
            let set: BTreeMap<_, _> = set.iter().map(|(name, path)| (*name, (*path).to_owned())).collect();
            assert_eq!(judge(&set, false, &there).standing, expected, "{set:?}");
        };
        check(&[], Standing::Good);
        check(&[("SSL_CERT_FILE", "/roots.pem")], Standing::Good);
        check(&[("NODE_EXTRA_CA_CERTS", "/gone.pem"), ("SSL_CERT_FILE", "/roots.pem")], Standing::Short);
        assert_eq!(judge(&BTreeMap::new(), false, &|_| false).standing, Standing::Note);
    }

    #[test]
    fn only_what_assembled_images_get_is_said_to_be_in_them() {
        let check = |name: Option<&'static str>, own: bool, words: &str| {
            let set: BTreeMap<_, _> = name.into_iter().map(|name| (name, "/roots.pem".to_owned())).collect();
            let finding = judge(&set, own, &|_| true);
            assert!(finding.found.ends_with(words), "{name:?} {own}: {}", finding.found);
        };
        check(Some("SSL_CERT_FILE"), false, "get it too");
        check(Some("NODE_EXTRA_CA_CERTS"), false, "have only Debian's");
        check(Some("NODE_EXTRA_CA_CERTS"), true, "get the system's");
        check(None, true, "get them too");
        check(None, false, "the system's");
    }

    #[test]
    fn roots_that_were_added_are_found_below_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_own_roots(folder.path()) && !has_own_roots(&folder.path().join("none")));
        std::fs::create_dir(folder.path().join("company")).unwrap();
        std::fs::write(folder.path().join("company/README"), "").unwrap();
        assert!(!has_own_roots(folder.path()));
        std::fs::write(folder.path().join("company/root.crt"), "").unwrap();
        assert!(has_own_roots(folder.path()));
    }
}
