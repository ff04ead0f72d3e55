//! Repairs the record of a release that helm began to change and never came to the end of: it was killed.
//!
//! Helm refuses every further upgrade of such a release. The record is marked failed, and helm then goes on from the
//! last revision that is there; nothing is rolled back. Call it only while holding the namespace's Lease, or it would
//! pull the rug from under a helm that is alive.

use engine::failure::Failure;
use kube::Client;

use crate::world::helm::record::{self, Head, Status};

/// What is to be done about a release's history.
#[derive(Debug, PartialEq, Eq)]
enum Repair<'a> {
    Nothing,
    /// The first installation: with the record gone, it is the first installation again, with all its hooks.
    Remove(&'a Head),
    MarkFailed(&'a Head),
}

fn repair_for(history: &[Head]) -> Repair<'_> {
    match history {
        [only] if only.status == Status::PendingInstall => Repair::Remove(only),
        [.., newest] if newest.status.is_pending() => Repair::MarkFailed(newest),
        _ => Repair::Nothing,
    }
}

/// Repairs the newest record if it is pending; says what was done.
pub async fn repair(client: &Client, namespace: &str, release: &str) -> Result<Option<String>, Failure> {
    let history = record::history(client, namespace, release).await?;
    let (head, done) = match repair_for(&history) {
        Repair::Nothing => return Ok(None),
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
    Ok(Some(format!("revision {} of {release} was left {status} by a helm that did not end; {done}", head.revision)))
}

#[cfg(test)]
mod tests {
    use super::{Repair, repair_for};
    use crate::world::helm::record::{Head, Status};

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
