//! Releases that helm began to change and has not come to the end of: it is still at it, or was killed.
//!
//! Helm refuses every further upgrade of such a release. Where it was ours and is no more, the record is marked failed,
//! and helm then goes on from the last revision that is there; nothing is rolled back. Where it is somebody else's it
//! may be alive, so it is waited for as long as helm waits by itself. Call this only while holding the namespace's
//! Lease, or it would pull the rug from under a helm of our own that is alive.

use std::time::Duration;

use engine::failure::Failure;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};

use crate::world::helm::record::{self, Head, Info, Status};
use crate::world::kube::lease::{self, Holder};
use crate::world::pause;

/// How long helm waits for hooks and pods unless it is told otherwise: a record that is older than this and still
/// pending was left by a helm that is no more.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// How long after it was started a helm of ours may take to write its record: it renders the chart first.
const START: Duration = Duration::from_secs(60);

/// By what a pending record is known to be of a helm of ours that is no more.
#[derive(Debug, Clone, Default)]
pub struct Ours {
    /// What our records say when they are complete.
    pub description: String,
    /// When a run that was killed had started helm.
    pub started: Option<Timestamp>,
}

impl Ours {
    /// What is known when a run begins to change `release`.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn of(client: &Client, namespace: &str, release: &str, description: String) -> Result<Self, Failure> {
        let started = lease::noted(client, namespace, &noted_as(release)).await?;
        Ok(Self { description, started: started.and_then(|started| started.parse().ok()) })
    }

    fn made(&self, info: &Info) -> bool {
        let in_time = |begun: Timestamp| {
            self.started.is_some_and(|started| {
                let after = begun.duration_since(started);
                !after.is_negative() && after.unsigned_abs() <= START
            })
        };
        (!self.description.is_empty() && info.description == self.description) || info.begun().is_some_and(in_time)
    }
}

/// Notes for whoever holds the Lease next that helm is about to be started on `release`; when.
pub async fn note_start(
    client: &Client,
    namespace: &str,
    holder: &Holder,
    release: &str,
) -> Result<Timestamp, Failure> {
    let now = Timestamp::now();
    lease::note(client, namespace, holder, &noted_as(release), Some(&now.to_string())).await?;
    Ok(now)
}

/// Notes that a helm which was started has ended, and that nothing of it is left pending.
pub async fn note_end(client: &Client, namespace: &str, holder: &Holder, release: &str) -> Result<(), Failure> {
    lease::note(client, namespace, holder, &noted_as(release), None).await
}

fn noted_as(release: &str) -> String {
    format!("helm.{release}")
}

/// What is to be done about a release's history.
#[derive(Debug, PartialEq, Eq)]
enum Repair<'a> {
    Nothing,
    /// The first installation: with the record gone, it is the first installation again, with all its hooks.
    Remove(&'a Head),
    MarkFailed(&'a Head),
}

impl<'a> Repair<'a> {
    const fn head(&self) -> Option<&'a Head> {
        match self {
            Self::Nothing => None,
            Self::Remove(head) | Self::MarkFailed(head) => Some(head),
        }
    }
}

fn repair_for(history: &[Head]) -> Repair<'_> {
    match history {
        [only] if only.status == Status::PendingInstall => Repair::Remove(only),
        [.., newest] if newest.status.is_pending() => Repair::MarkFailed(newest),
        _ => Repair::Nothing,
    }
}

/// Returns when no helm is in the way: repairs the newest record if a helm of ours has left it pending, and waits for
/// somebody else's. Says what was repaired; `waiting` is told for whom.
pub async fn clear(
    client: &Client,
    namespace: &str,
    release: &str,
    ours: &Ours,
    mut waiting: impl FnMut(String),
) -> Result<Option<String>, Failure> {
    loop {
        let history = record::history(client, namespace, release).await?;
        let repair = repair_for(&history);
        let Some(head) = repair.head() else { return Ok(None) };
        let info = record::read(client, namespace, head).await?.info;
        let Some(age) = age_of_others(&info, ours, Timestamp::now()) else {
            return carry_out(client, namespace, release, &repair).await.map(Some);
        };
        waiting(format!("a helm of somebody else, which has been {} it for {} s", doing(head.status), age.as_secs()));
        tokio::select! {
            ended = ended(client, namespace, head) => ended?,
            () = pause(DEFAULT_TIMEOUT - age) => {}
        }
    }
}

/// How long somebody else's helm, which may be alive, has been at it; `None` when there is nobody to wait for.
fn age_of_others(info: &Info, ours: &Ours, now: Timestamp) -> Option<Duration> {
    // One that does not say when it was begun cannot be waited for.
    let age = now.duration_since(info.begun()?);
    // The other's clock may be ahead.
    let age = if age.is_negative() { Duration::ZERO } else { age.unsigned_abs() };
    (age < DEFAULT_TIMEOUT && !ours.made(info)).then_some(age)
}

/// Repairs what a helm of this very run, which was started at `started` and has ended, has left pending.
pub async fn clean_up(client: &Client, namespace: &str, release: &str, started: Timestamp) -> Result<(), Failure> {
    let history = record::history(client, namespace, release).await?;
    let repair = repair_for(&history);
    let Some(head) = repair.head() else { return Ok(()) };
    let begun = record::read(client, namespace, head).await?.info.begun();
    if begun.is_some_and(|begun| begun >= started) {
        carry_out(client, namespace, release, &repair).await?;
    }
    Ok(())
}

/// Returns when the record is not pending any more, or gone.
async fn ended(client: &Client, namespace: &str, head: &Head) -> Result<(), Failure> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let over = |secret: Option<&Secret>| {
        let status = secret.and_then(|secret| secret.metadata.labels.as_ref()?.get("status"));
        status.is_none_or(|status| status != head.status.word())
    };
    let over = await_condition(secrets, &head.secret, over).await;
    over.map(drop)
        .map_err(|found| Failure::step(format!("could not wait for helm's record {}", head.secret)).because_of(&found))
}

const fn doing(status: Status) -> &'static str {
    match status {
        Status::PendingInstall => "installing",
        Status::PendingRollback => "rolling back",
        Status::Uninstalling => "removing",
        _ => "upgrading",
    }
}

/// Does what is to be done, and says it.
async fn carry_out(client: &Client, namespace: &str, release: &str, repair: &Repair<'_>) -> Result<String, Failure> {
    let (head, done) = match repair {
        Repair::Nothing => return Ok(String::new()),
        Repair::Remove(head) => {
            record::remove(client, namespace, head).await?;
            (head, "its record was removed")
        }
        Repair::MarkFailed(head) => {
            record::mark_failed(client, namespace, head, "Marked as failed by xtask: helm did not come to its end")
                .await?;
            (head, "its record was marked as failed")
        }
    };
    let status = head.status.word();
    Ok(format!("revision {} of {release} was left {status} by a helm that did not end; {done}", head.revision))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Ours, Repair, age_of_others, repair_for};
    use crate::world::helm::record::{Head, Info, Status};

    #[test]
    fn a_record_is_ours_by_what_it_says_or_by_when_it_was_begun() {
        let check = |description: &str, begun: &str, deleted: &str, started: Option<&str>, expected: bool| {
            let ours = Ours {
                description: "Deployed by xtask: release:todo of todo".to_owned(),
                started: started.map(|started| started.parse().unwrap()),
            };
            let info = Info {
                status: Status::PendingUpgrade,
                description: description.to_owned(),
                last_deployed: begun.to_owned(),
                deleted: deleted.to_owned(),
            };
            assert_eq!(ours.made(&info), expected, "{description} {begun} {deleted} {started:?}");
        };
        let helms = "Preparing upgrade";
        check("Deployed by xtask: release:todo of todo", "", "", None, true);
        check("Deployed by xtask: release:todo of another", "", "", None, false);
        check(helms, "2026-01-01T12:00:05.123456789Z", "", None, false);
        // Helm writes the time with its machine's offset.
        check(helms, "2026-01-01T13:00:05.123456789+01:00", "", Some("2026-01-01T12:00:04.9Z"), true);
        check(helms, "2026-01-01T12:00:05Z", "", Some("2026-01-01T12:00:05.1Z"), false);
        check(helms, "2026-01-01T12:02:05Z", "", Some("2026-01-01T12:00:05Z"), false);
        check(helms, "2026-01-01T11:00:00Z", "2026-01-01T12:00:06Z", Some("2026-01-01T12:00:05Z"), true);
        check(helms, "not a time", "", Some("2026-01-01T12:00:05Z"), false);
    }

    #[test]
    fn a_helm_of_others_is_waited_for_as_long_as_helm_waits_by_itself() {
        let check = |begun: &str, description: &str, expected: Option<u64>| {
            let ours = Ours { description: "ours".to_owned(), started: None };
            let info = Info {
                status: Status::PendingUpgrade,
                description: description.to_owned(),
                last_deployed: begun.to_owned(),
                deleted: String::new(),
            };
            let now = "2026-01-01T12:10:00Z".parse().unwrap();
            assert_eq!(age_of_others(&info, &ours, now), expected.map(Duration::from_secs), "{begun}");
        };
        let theirs = "Preparing upgrade";
        check("2026-01-01T12:09:48Z", theirs, Some(12));
        check("2026-01-01T12:05:01Z", theirs, Some(299));
        check("2026-01-01T12:05:00Z", theirs, None);
        check("2025-01-01T12:00:00Z", theirs, None);
        check("2026-01-01T12:30:00Z", theirs, Some(0));
        check("", theirs, None);
        check("2026-01-01T12:09:48Z", "ours", None);
    }

    #[test]
    fn only_the_newest_record_is_repaired_and_only_when_it_is_pending() {
        let check = |statuses: &[Status], expected: &str| {
            let history: Vec<_> = (1..)
                .zip(statuses)
                .map(|(revision, status)| Head {
                    revision,
                    status: *status,
                    secret: format!("v{revision}"),
                    uid: String::new(),
                })
                .collect();
            let found = match repair_for(&history) {
                Repair::Nothing => "nothing".to_owned(),
                Repair::Remove(head) => format!("remove {}", head.secret),
                Repair::MarkFailed(head) => format!("fail {}", head.secret),
            };
            assert_eq!(found, expected, "{statuses:?}");
        };
        check(&[], "nothing");
        check(&[Status::Deployed], "nothing");
        check(&[Status::PendingInstall], "remove v1");
        check(&[Status::Failed, Status::PendingInstall], "fail v2");
        check(&[Status::Deployed, Status::PendingUpgrade], "fail v2");
        check(&[Status::Superseded, Status::Deployed, Status::PendingRollback], "fail v3");
        check(&[Status::Uninstalling], "fail v1");
        check(&[Status::PendingUpgrade, Status::Deployed], "nothing");
    }
}
