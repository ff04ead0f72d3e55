//! The Lease of a namespace: who is changing it, so that runs on several machines exclude each other.
//!
//! The holder renews it in the background. Whoever waits judges by its own clock, from the moment at which it saw the
//! last renewal: the holder's clock may be anything. On the holder's own machine nobody waits for the dead: another
//! boot, or a process that is no more, has stopped renewing for certain.
//!
//! A dev loop holds a Lease of another name ([`of_loop`]) for as long as it lives: it excludes other loops, and no run.
//!
//! What a holder is in the middle of it may [`note`]. Notes outlive a holder that was killed, whoever takes the Lease
//! after it, until somebody has dealt with them.

use std::time::{Duration, Instant};

use engine::failure::Failure;
use futures_util::StreamExt as _;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::kube::{MANAGER, error, namespaces};
use crate::world::pause;

/// A holder that has not renewed for this long has lost it, in seconds.
const DURATION: u32 = 15;

/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(4);

/// How the names of loops' Leases begin.
const OF_LOOPS: &str = "xtask-dev-";

/// The name of the Lease of the loop that keeps the pods of `release`.
pub fn of_loop(release: &str) -> String {
    format!("{OF_LOOPS}{release}")
}

/// Whether a Lease of this name is one of ours: what a killed process has left of it means nothing.
pub fn is_ours(name: &str) -> bool {
    name == MANAGER || name.starts_with(OF_LOOPS)
}

/// A process on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The machine's name, for people.
    host: String,
    /// The process.
    pid: u32,
    /// Differs from boot to boot, and from one set of processes (a container) to the next.
    boot: String,
    /// Tells two holders in one process apart.
    task: String,
}

impl Holder {
    /// This process; `task` tells apart what in it wants the Lease.
    pub fn this(task: &str) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let boot = read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        // Containers on one machine have one boot, and process numbers of their own.
        let processes = std::fs::read_link("/proc/self/ns/pid").ok().map(|link| link.display().to_string());
        let processes: String = processes.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { host, pid: std::process::id(), boot: format!("{boot}.{processes}"), task: task.to_owned() }
    }

    /// Whether `lease` is this holder's.
    fn has(&self, lease: &Lease) -> bool {
        lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) == Some(&self.text())
    }

    fn text(&self) -> String {
        format!("{}/{}/{}/{}", self.host, self.pid, self.boot, self.task)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '/').map(str::to_owned);
        let (host, pid, boot, task) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        Some(Self { host, pid, boot, task })
    }

    /// Whether it is certain that `self` does not run any more; asked by `asker`.
    fn is_dead(&self, asker: &Self, runs: impl Fn(u32) -> bool) -> bool {
        // Without a boot id nothing is known about the other's machine.
        let comparable = self.host == asker.host && !self.boot.starts_with('.') && !asker.boot.starts_with('.');
        let (boot, processes) = self.boot.split_once('.').unwrap_or((&self.boot, ""));
        let (own_boot, own_processes) = asker.boot.split_once('.').unwrap_or((&asker.boot, ""));
        comparable && (boot != own_boot || (processes == own_processes && !runs(self.pid)))
    }

    /// `process 4711 on host-a`, as `asker` names it.
    fn title(&self, asker: &Self) -> String {
        if *self == (Self { task: self.task.clone(), ..asker.clone() }) {
            return format!("{} of this run", self.task);
        }
        format!("process {} on {}", self.pid, self.host)
    }
}

fn runs(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // A process of somebody else answers that we may not signal it: it runs.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// How often something is written to a Lease that is renewed or noted in at the same moment.
const ATTEMPTS: u32 = 5;

/// A Lease that is held, and renewed until it is released or dropped.
pub struct Held {
    place: Place,
    renewing: JoinHandle<()>,
    lost: CancellationToken,
}

/// A Lease in a namespace, as one holder sees it.
#[derive(Clone)]
struct Place {
    client: Client,
    namespace: String,
    name: String,
    holder: Holder,
}

impl Place {
    fn api(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Whether a Lease that is not there any more has gone with its namespace, where nobody can take another.
    async fn has_gone(&self) -> bool {
        namespaces::stays(&self.client, &self.namespace).await.is_ok_and(|stays| !stays)
    }

    /// Gives the Lease back if it is still the holder's; says whether it was.
    async fn give_back(&self) -> bool {
        let api = self.api();
        for _ in 0..ATTEMPTS {
            let lease = match api.get_opt(&self.name).await {
                Ok(Some(lease)) if self.holder.has(&lease) => lease,
                Ok(Some(_)) => return false,
                Ok(None) => return self.has_gone().await,
                // One that stays, because the cluster has gone, is free when it is not renewed.
                Err(_) => return true,
            };
            // Refused when it was written since: it may have been taken.
            let (uid, resource_version) = (lease.metadata.uid.clone(), lease.metadata.resource_version.clone());
            let given = if has_notes(&lease) {
                let nobody = json!({
                    "metadata": {"uid": uid, "resourceVersion": resource_version}, "spec": {"holderIdentity": null},
                });
                api.patch(&self.name, &PatchParams::default(), &Patch::Merge(nobody)).await.map(drop)
            } else {
                let this = Preconditions { uid, resource_version };
                api.delete(&self.name, &DeleteParams::default().preconditions(this)).await.map(drop)
            };
            match given {
                Err(found) if error::is_conflict(&found) => {}
                _ => return true,
            }
        }
        // Its own notes and renewals do not come so fast.
        false
    }
}

impl Held {
    /// Cancelled when somebody else has taken it, or it could not be renewed for so long that somebody may have.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Lets go of it: whoever waits gets it at once, and nothing of it stays in the namespace but what was noted and
    /// not dealt with. What is somebody else's by now is left alone; says whether it was held to the end.
    pub async fn release(self) -> bool {
        self.renewing.abort();
        !self.lost.is_cancelled() && self.place.give_back().await
    }
}

/// What notes are called among the Lease's annotations, in front of what they are about.
const NOTE: &str = "xtask/begun.";

fn has_notes(lease: &Lease) -> bool {
    lease.metadata.annotations.iter().flatten().any(|(name, _)| name.starts_with(NOTE))
}

/// What a holder of the Lease of `namespace` has noted of `what`.
pub async fn noted(client: &Client, namespace: &str, what: &str) -> Result<Option<String>, Failure> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let lease = api.get_opt(MANAGER).await;
    let lease = lease.map_err(|found| error::failed(&format!("read the Lease of namespace {namespace}"), &found))?;
    Ok(lease.and_then(|lease| lease.metadata.annotations?.remove(&format!("{NOTE}{what}"))))
}

/// Notes something of `what` in the Lease of `namespace`, which `holder` holds; `None` when it has been dealt with.
///
/// # Errors
/// When the Lease is not `holder`'s: its notes are those of somebody else's work.
pub async fn note(
    client: &Client,
    namespace: &str,
    holder: &Holder,
    what: &str,
    note: Option<&str>,
) -> Result<(), Failure> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let failed = |found: kube::Error| error::failed(&format!("write to the Lease of namespace {namespace}"), &found);
    let mut attempt = 1;
    loop {
        let lease = read_own(&api, namespace, holder).await?;
        let patch = json!({"metadata": {
            "resourceVersion": lease.metadata.resource_version,
            "annotations": {format!("{NOTE}{what}"): note},
        }});
        match api.patch_metadata(MANAGER, &PatchParams::default(), &Patch::Merge(patch)).await {
            // It was renewed meanwhile.
            Err(found) if error::is_conflict(&found) && attempt < ATTEMPTS => attempt += 1,
            written => return written.map(drop).map_err(failed),
        }
    }
}

/// Makes sure that `holder` holds the Lease of `namespace`: a process that was stopped for a while may have lost it and
/// not know it yet, and would take what its successor does for its own.
///
/// # Errors
/// When it does not.
pub async fn confirm(client: &Client, namespace: &str, holder: &Holder) -> Result<(), Failure> {
    read_own(&Api::namespaced(client.clone(), namespace), namespace, holder).await.map(drop)
}

async fn read_own(api: &Api<Lease>, namespace: &str, holder: &Holder) -> Result<Lease, Failure> {
    let found = api.get_opt(MANAGER).await;
    let found = found.map_err(|found| error::failed(&format!("read the Lease of namespace {namespace}"), &found))?;
    found.filter(|lease| holder.has(lease)).ok_or_else(|| lost(namespace))
}

/// What is said of a Lease that somebody else may have by now.
pub fn lost(namespace: &str) -> Failure {
    Failure::step(format!("the Lease of namespace {namespace} was lost"))
        .because("somebody else has taken it, or the cluster did not answer for a while")
        .help("run the same command again")
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Takes the Lease of `namespace` for `holder`, waiting until it is free; `waiting` is told for whom, once for each.
pub async fn acquire(
    client: &Client,
    namespace: &str,
    holder: &Holder,
    waiting: impl FnMut(&str),
) -> Result<Held, Failure> {
    acquire_named(client, namespace, MANAGER, holder, waiting).await
}

/// The same with the Lease `name`.
pub async fn acquire_named(
    client: &Client,
    namespace: &str,
    name: &str,
    holder: &Holder,
    mut waiting: impl FnMut(&str),
) -> Result<Held, Failure> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let doing = format!("take the Lease {name} in namespace {namespace}");
    let mut seen: Option<(String, Instant)> = None;
    let mut told = None;
    loop {
        let found = api.get_opt(name).await.map_err(|found| error::failed(&doing, &found))?;
        let patience = match &found {
            None => None,
            Some(lease) => {
                let renewal = lease.metadata.resource_version.clone().unwrap_or_default();
                // A renewal that was not seen before starts the clock again.
                let since = match &seen {
                    Some((known, since)) if *known == renewal => *since,
                    _ => seen.insert((renewal, Instant::now())).1,
                };
                patience(lease, holder, since.elapsed())
            }
        };
        match (patience, found) {
            (Some(left), Some(lease)) => {
                let other = identity(&lease);
                if told.as_ref() != Some(&other) {
                    waiting(&title(&other, holder));
                    told = Some(other);
                }
                tokio::select! {
                    () = changed(&api, name) => {}
                    () = pause(left) => {}
                }
            }
            (_, found) => match take(&api, found, name, holder).await {
                Ok(lease) => {
                    let (client, namespace, name) = (client.clone(), namespace.to_owned(), name.to_owned());
                    return Ok(held(Place { client, namespace, name, holder: holder.clone() }, lease));
                }
                // Somebody else was faster.
                Err(found)
                    if error::is_conflict(&found)
                        || error::is_missing(&found)
                            && namespaces::is_there(client, namespace).await.unwrap_or_default() => {}
                Err(found) => return Err(error::failed(&doing, &found)),
            },
        }
    }
}

/// Who has the Lease `name` of `namespace` and renews it, if that is not `asker`: what a person is told of them. Nothing
/// is written. It may take as long as a Lease lasts until it is clear that nobody renews it; `waiting` is told at whom is
/// looked meanwhile.
///
/// # Errors
/// When the cluster does not answer.
pub async fn renewed_by(
    client: &Client,
    namespace: &str,
    name: &str,
    asker: &Holder,
    mut waiting: impl FnMut(&str),
) -> Result<Option<String>, Failure> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let mut seen: Option<(Option<String>, Instant)> = None;
    loop {
        let found = api.get_opt(name).await;
        let found = found.map_err(|found| error::failed(&format!("read the Lease {name} of {namespace}"), &found))?;
        let Some(lease) = found else { return Ok(None) };
        let renewal = lease.metadata.resource_version.clone();
        let renewed = seen.as_ref().is_some_and(|(known, _)| *known != renewal);
        let is_first = seen.is_none();
        let since = seen.get_or_insert_with(|| (renewal, Instant::now())).1;
        match patience(&lease, asker, if renewed { Duration::ZERO } else { since.elapsed() }) {
            None => return Ok(None),
            Some(_) if renewed => return Ok(Some(title(&identity(&lease), asker))),
            Some(left) => {
                if is_first {
                    waiting(&title(&identity(&lease), asker));
                }
                tokio::select! {
                    () = changed(&api, name) => {}
                    () = pause(left) => {}
                }
            }
        }
    }
}

fn identity(lease: &Lease) -> String {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default()
}

/// A holder, as `asker` names it.
fn title(holder: &str, asker: &Holder) -> String {
    Holder::parse(holder).map_or_else(|| holder.to_owned(), |holder| holder.title(asker))
}

/// How much longer a lease has to be respected that was last renewed `since` ago; `None` when it is free.
fn patience(lease: &Lease, asker: &Holder, since: Duration) -> Option<Duration> {
    let spec = lease.spec.as_ref()?;
    let other = spec.holder_identity.as_deref().filter(|other| !other.is_empty())?;
    if Holder::parse(other).is_some_and(|other| other == *asker || other.is_dead(asker, runs)) {
        return None;
    }
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let left = Duration::from_secs(seconds.unwrap_or(DURATION.into())).saturating_sub(since);
    (!left.is_zero()).then_some(left)
}

async fn take(api: &Api<Lease>, found: Option<Lease>, name: &str, holder: &Holder) -> Result<Lease, kube::Error> {
    let params = PostParams { dry_run: false, field_manager: Some(MANAGER.to_owned()) };
    let transitions = found.as_ref().and_then(|lease| lease.spec.as_ref()?.lease_transitions);
    let spec = LeaseSpec {
        holder_identity: Some(holder.text()),
        lease_duration_seconds: i32::try_from(DURATION).ok(),
        acquire_time: Some(MicroTime(Timestamp::now())),
        renew_time: Some(MicroTime(Timestamp::now())),
        lease_transitions: Some(transitions.map_or(0, |count| count + 1)),
        ..LeaseSpec::default()
    };
    match found {
        // With its resource version: refused when it was renewed or taken since.
        Some(lease) => api.replace(name, &params, &Lease { spec: Some(spec), ..lease }).await,
        None => {
            let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
            api.create(&params, &Lease { metadata, spec: Some(spec) }).await
        }
    }
}

fn held(place: Place, lease: Lease) -> Held {
    let lost = CancellationToken::new();
    let renewing = tokio::spawn(renew(place.clone(), lease, lost.clone()));
    Held { place, renewing, lost }
}

async fn renew(place: Place, mut lease: Lease, lost: CancellationToken) {
    let params = PostParams { dry_run: false, field_manager: Some(MANAGER.to_owned()) };
    let api = place.api();
    let mut renewed = Instant::now();
    loop {
        pause(RENEWAL).await;
        if let Some(spec) = &mut lease.spec {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match api.replace(&place.name, &params, &lease).await {
            Ok(written) => {
                lease = written;
                renewed = Instant::now();
            }
            // What is not there any more is a conflict, too: of the uid.
            Err(found) if error::is_conflict(&found) || error::is_missing(&found) => {
                match api.get_opt(&place.name).await {
                    Ok(Some(other)) if place.holder.has(&other) => lease = other,
                    Ok(None) if place.has_gone().await => return,
                    Ok(_) => break,
                    Err(_) => {}
                }
            }
            Err(_) => {}
        }
        if renewed.elapsed() > Duration::from_secs(DURATION.into()) {
            break;
        }
    }
    lost.cancel();
}

/// Returns when the Lease was written or removed.
async fn changed(api: &Api<Lease>, name: &str) {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher(api.clone(), config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        // The first listing tells what is known already.
        if let Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_)) = event {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

    use super::{Holder, patience};

    fn holder(host: &str, pid: u32, boot: &str, task: &str) -> Holder {
        Holder { host: host.to_owned(), pid, boot: boot.to_owned(), task: task.to_owned() }
    }

    #[test]
    fn only_who_is_certainly_gone_is_taken_for_dead() {
        let asker = holder("here", 1, "b.7", "t");
        let check = |other: Holder, runs: bool, dead: bool| {
            assert_eq!(Holder::parse(&other.text()), Some(other.clone()));
            assert_eq!(other.is_dead(&asker, |_| runs), dead, "{other:?}");
        };
        check(holder("here", 9, "b.7", "t"), true, false);
        check(holder("here", 9, "b.7", "release:todo"), false, true);
        check(holder("here", 9, "before.7", "t"), true, true);
        check(holder("here", 9, "b.8", "t"), false, false);
        check(holder("there", 9, "b.7", "t"), false, false);
        check(holder("here", 9, ".", "t"), false, false);
    }

    #[test]
    fn who_is_waited_for_is_named() {
        let asker = holder("here", 1, "b.7", "secrets:todo");
        let check = |other: Holder, title: &str| assert_eq!(other.title(&asker), title);
        check(holder("there", 9, "b.7", "release:todo"), "process 9 on there");
        check(holder("here", 1, "b.8", "release:todo"), "process 1 on here");
        check(holder("here", 1, "b.7", "release:todo"), "release:todo of this run");
    }

    #[test]
    fn a_lease_is_respected_until_it_was_not_renewed_for_its_duration() {
        let asker = holder("here", 1, "b.7", "t");
        let check = |identity: Option<&str>, since: u64, left: Option<u64>| {
            let spec = LeaseSpec {
                holder_identity: identity.map(str::to_owned),
                lease_duration_seconds: Some(15),
                ..LeaseSpec::default()
            };
            let lease = Lease { spec: Some(spec), ..Lease::default() };
            assert_eq!(patience(&lease, &asker, Duration::from_secs(since)), left.map(Duration::from_secs));
        };
        check(Some("there/9/b.7/t"), 0, Some(15));
        check(Some("there/9/b.7/t"), 10, Some(5));
        check(Some("there/9/b.7/t"), 15, None);
        check(Some("somebody"), 0, Some(15));
        check(Some(""), 0, None);
        check(None, 0, None);
        check(Some("here/1/b.7/t"), 0, None);
    }
}
