//! Which of the places that a deploy may get things from answer, asked side by side, by curl: it minds the proxies and
//! roots that everything else on this machine minds.

use std::ffi::OsStr;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{Finding, PATIENCE, read};
use crate::dayzero::reach::connects;
use crate::report::words;
use crate::world::process::{self, Command, Stream};

/// A place that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// What comes from there.
    pub(super) what: &'static str,
    /// Its address.
    pub(super) url: String,
    /// The headers that came back; empty when nothing did.
    pub(super) headers: String,
    /// When they did.
    pub(super) at: SystemTime,
    /// How long that took.
    pub(super) took: Duration,
}

/// Places that are the same everywhere, whether one has other ways or not.
const PLACES: [(&str, &str); 8] = [
    ("base images", "https://registry-1.docker.io/v2/"),
    ("the node image", "https://gcr.io/v2/"),
    ("Kubernetes' images", "https://registry.k8s.io/v2/"),
    ("Kubernetes' programs", "https://dl.k8s.io/release/stable.txt"),
    ("minikube's releases", "https://storage.googleapis.com/minikube/releases/latest"),
    ("helm's releases", "https://get.helm.sh/helm-latest-version"),
    ("Go's releases", "https://go.dev/dl/"),
    ("Node.js' releases", "https://nodejs.org/dist/index.json"),
];

/// Of these places, those that minikube gets a node from.
const OF_A_NODE: [(&str, &str); 3] = [PLACES[1], PLACES[2], PLACES[3]];

/// Where most base images come from.
pub(super) const OF_BASES: &str = PLACES[0].0;

/// Where releases are got from.
pub(super) const OF_MINIKUBE: &str = PLACES[4].0;
pub(super) const OF_HELM: &str = PLACES[5].0;
pub(super) const OF_GO: &str = PLACES[6].0;
pub(super) const OF_NODEJS: &str = PLACES[7].0;

/// Registries, each with the variable that names another one, as the programs that use them know it.
const REGISTRIES: [(&str, &str, &str); 3] = [
    ("Python packages", "PIP_INDEX_URL", "https://pypi.org/simple/"),
    ("npm packages", "npm_config_registry", "https://registry.npmjs.org/"),
    ("Go modules", "GOPROXY", "https://proxy.golang.org/"),
];

/// Where Debian and Ubuntu say where their packages come from, before other files beside them.
const SOURCES: [&str; 3] =
    ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list.d/ubuntu.sources"];

pub(super) async fn look(cancel: &CancellationToken) -> Vec<Asked> {
    if process::resolve(OsStr::new("curl"), None).is_none() {
        return Vec::new();
    }
    let packages = address_of_packages(&SOURCES.map(read).concat()).map(|url| ("system packages", url));
    let registries = REGISTRIES
        .into_iter()
        .map(|(what, variable, usual)| (what, address_of_registry(std::env::var(variable).ok(), usual)));
    let places = PLACES.into_iter().map(|(what, url)| (what, url.to_owned()));
    join_all(places.chain(registries).chain(packages).map(|(what, url)| ask(what, url, cancel))).await
}

/// The first address that `named` has, without who logs in to it, or the usual one.
fn address_of_registry(named: Option<String>, usual: &str) -> String {
    let named = named.unwrap_or_default();
    let first = named.split([',', '|']).find(|url| url.starts_with("https://") || url.starts_with("http://"));
    let Some((scheme, rest)) = first.and_then(|url| url.split_once("://")) else { return usual.to_owned() };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

async fn ask(what: &'static str, url: String, cancel: &CancellationToken) -> Asked {
    let patience = PATIENCE.as_secs().to_string();
    let command = Command::new("curl").args(["--silent", "--head", "--max-time", &patience]).arg(&url);
    let begun = Instant::now();
    let finished = command.run(cancel, |_, _| {}).await;
    let headers = finished.map(|finished| finished.text(Stream::Out)).unwrap_or_default();
    Asked { what, url, headers, at: SystemTime::now(), took: begun.elapsed() }
}

/// Whether `place` was asked and did answer.
pub(super) fn answers(asked: &[Asked], place: &str) -> bool {
    asked.iter().any(|asked| asked.what == place && status(&asked.headers).is_some_and(is_answer))
}

/// Whether all that minikube gets a node from is reached. Without curl it is seen who takes a connection, as by a deploy.
pub(super) async fn gives_a_node(asked: &[Asked]) -> bool {
    if !asked.is_empty() {
        return OF_A_NODE.iter().all(|(what, _)| answers(asked, what));
    }
    let connected = OF_A_NODE.map(|(_, url)| connects(url, PATIENCE));
    join_all(connected).await.into_iter().all(|connects| connects)
}

pub(super) fn judge(asked: &[Asked]) -> Vec<Finding> {
    let finding = |asked: &Asked| {
        let need = format!("reach of {}", asked.what);
        match status(&asked.headers) {
            Some(status) if is_answer(status) => {
                Finding::good(&need, format!("answers in {}", words::duration(asked.took)), &asked.url)
            }
            // What is not reached is made from what is, or is there already: a deploy knows other ways.
            Some(status) => Finding::note(&need, format!("something in between answers {status}"), &asked.url)
                .mend(format!("curl --head {}", asked.url)),
            None => Finding::note(&need, "does not answer", &asked.url).mend(format!("curl --head {}", asked.url)),
        }
    };
    asked.iter().map(finding).collect()
}

/// The last status line: proxies put theirs before it.
fn status(headers: &str) -> Option<u16> {
    let last = headers.lines().rev().find(|line| line.starts_with("HTTP/"))?;
    last.split_whitespace().nth(1)?.parse().ok()
}

/// A registry asks for a login before anything else; a redirection and a missing page come from the place itself, too.
fn is_answer(status: u16) -> bool {
    matches!(status, 200..=399 | 401 | 404 | 405)
}

/// The first address that this system's packages come from.
fn address_of_packages(sources: &str) -> Option<String> {
    let lines = sources.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut words =
        lines.filter(|line| line.starts_with("deb ") || line.starts_with("URIs:")).flat_map(str::split_whitespace);
    words.find(|word| word.starts_with("https://") || word.starts_with("http://")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{
        Asked, OF_A_NODE, OF_MINIKUBE, address_of_packages, address_of_registry, answers, gives_a_node, judge,
    };
    use crate::doctor::Standing;

    #[test]
    fn what_answers_is_told_from_what_stands_in_between() {
        let check = |headers: &str, standing, words: &str| {
            let asked = Asked {
                what: "base images",
                url: "https://registry.example/v2/".to_owned(),
                headers: headers.to_owned(),
                at: SystemTime::UNIX_EPOCH,
                took: Duration::from_millis(120),
            };
            let finding = &judge(&[asked])[0];
            assert_eq!(finding.standing, standing, "{headers}");
            assert!(finding.found.contains(words), "{}", finding.found);
        };
        check("HTTP/2 401 \r\nwww-authenticate: Bearer\r\n", Standing::Good, "answers in 0.12s");
        check("HTTP/1.1 200 Connection established\r\n\r\nHTTP/2 307 \r\n", Standing::Good, "answers");
        check("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 403 Forbidden\r\n", Standing::Note, "403");
        check("", Standing::Note, "does not answer");
    }

    #[tokio::test]
    async fn one_silent_place_is_enough_for_a_node_to_be_compiled() {
        let asked = |what, headers: &str| Asked {
            what,
            url: String::new(),
            headers: headers.to_owned(),
            at: SystemTime::UNIX_EPOCH,
            took: Duration::ZERO,
        };
        let all = OF_A_NODE.map(|(what, _)| asked(what, "HTTP/2 401 \r\n"));
        assert!(gives_a_node(&all).await && !answers(&all, OF_MINIKUBE));
        let [first, second, _] = all;
        let some = [first, second, asked(OF_A_NODE[2].0, ""), asked(OF_MINIKUBE, "HTTP/2 200 \r\n")];
        assert!(!gives_a_node(&some).await && answers(&some, OF_MINIKUBE));
    }

    #[test]
    fn a_registry_is_asked_where_its_program_would_and_nobody_sees_a_password() {
        const USUAL: &str = "https://proxy.example/";
        for (named, expected) in [
            (None, USUAL),
            (Some("off"), USUAL),
            (Some("/a/folder"), USUAL),
            (Some("direct,https://second.example"), "https://second.example/"),
            (Some("https://me:hush@first.example/go|direct"), "https://first.example/go"),
        ] {
            assert_eq!(address_of_registry(named.map(str::to_owned), USUAL), expected, "{named:?}");
        }
    }

    #[test]
    fn packages_come_from_where_the_system_says() {
        for (sources, expected) in [
            ("deb http://deb.example/debian bookworm main\n", Some("http://deb.example/debian")),
            ("# deb http://old.example x\ndeb [arch=amd64] https://deb.example/d x\n", Some("https://deb.example/d")),
            ("Types: deb\nURIs: http://deb.example/debian\nSuites: bookworm\n", Some("http://deb.example/debian")),
            ("", None),
        ] {
            assert_eq!(address_of_packages(sources).as_deref(), expected, "{sources}");
        }
    }
}
