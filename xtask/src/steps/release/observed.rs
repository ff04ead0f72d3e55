//! What of a release has to be as it was left, and holding the world against it.

use std::collections::{BTreeMap, BTreeSet};

use engine::failure::Failure;
use engine::verdict::{Difference, Observation};
use kube::Client;
use serde::{Deserialize, Serialize};

use crate::dev::overlay;
use crate::world::helm::record::{self, Head, Record, Status};
use crate::world::kube::drift::{self, Found, Inspected};
use crate::world::kube::identity::{self, Address, Identity, Seen};
use crate::world::kube::kinds::Kinds;
use crate::world::kube::rendered::{self, Rendered};

/// An object of the release, as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Where it is.
    pub address: Address,
    /// How it was; `None` when it was not there and need not be.
    pub identity: Option<Identity>,
}

/// A release, as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The newest revision.
    pub revision: u32,
    /// The uid of its record: another release of the same name has records of its own.
    pub record: String,
    /// Its objects, hooks left out.
    pub objects: Vec<Known>,
}

impl Observed {
    fn identities(&self) -> BTreeMap<&Address, Option<&Identity>> {
        self.objects.iter().map(|known| (&known.address, known.identity.as_ref())).collect()
    }

    /// Whether `seen` is what was left: by metadata alone.
    pub fn is_as_left(&self, address: &Address, seen: Option<&Identity>) -> bool {
        match (self.identities().get(address), seen) {
            (Some(Some(known)), Some(seen)) => known.is_same(seen),
            _ => false,
        }
    }
}

/// Holds the release in `namespace` against what was left of it.
///
/// One list of helm's records, one list per kind of object, all at once; more only where something was written.
pub async fn observe(
    client: &Client,
    kinds: &Kinds,
    namespace: &str,
    release: &str,
    left: &Observed,
) -> Result<Observation, Failure> {
    let addresses: BTreeSet<Address> = left.objects.iter().map(|known| known.address.clone()).collect();
    let (newest, seen) =
        futures_util::future::try_join(record::newest(client, namespace, release), identity::look(client, &addresses))
            .await?;
    let mut differences = Vec::new();
    let head = match &newest {
        None => {
            return Ok(Observation::differs(Difference::Missing(format!(
                "release {release} is not installed any more"
            ))));
        }
        Some(head) => head,
    };
    if let Some(mut text) = moved(head, release, left) {
        if !head.status.is_pending() && record::read(client, namespace, head).await.is_ok_and(is_synced) {
            text.push_str(", made by `cargo xtask dev`: pods run what is synced into them");
        }
        return Ok(Observation::differs(Difference::Altered(text)));
    }
    let suspects: Vec<&Address> = left
        .objects
        .iter()
        .filter(|known| !as_left(known, seen.get(&known.address).and_then(Option::as_ref)))
        .map(|known| &known.address)
        .collect();
    let mut refreshed = None;
    if !suspects.is_empty() {
        let record = record::read(client, namespace, head).await?;
        let found = inspect(client, kinds, namespace, &record, &suspects).await?;
        differences.extend(found.iter().flat_map(differences_of));
        if differences.is_empty() {
            refreshed = Some(with(left, &found));
        }
    }
    differences.extend(seen.iter().filter_map(|(address, seen)| unhealthy(address, seen.as_ref())));
    let refreshed = refreshed.map(serde_json::to_value).transpose();
    let refreshed = refreshed.map_err(|error| Failure::step("could not keep what was observed").because(error))?;
    Ok(Observation { differences, refreshed })
}

/// Whether a record is one of the dev loop.
fn is_synced(record: Record) -> bool {
    rendered::objects(&record.manifest, "").is_ok_and(|objects| objects.iter().any(overlay::is_synced))
}

/// What the dev loop has made different in the workloads of the newest revision, whoever runs it; nothing where that is
/// not the loop's, or there is none.
///
/// # Errors
/// When helm's record cannot be read.
pub async fn synced(client: &Client, namespace: &str, release: &str) -> Result<Vec<String>, Failure> {
    let Some(head) = record::newest(client, namespace, release).await? else { return Ok(Vec::new()) };
    let record = record::read(client, namespace, &head).await?;
    let objects = rendered::objects(&record.manifest, &format!("revision {}", head.revision))?;
    Ok(objects.iter().filter_map(overlay::described).collect())
}

/// Why the newest record is not the one that was left.
fn moved(head: &Head, release: &str, left: &Observed) -> Option<String> {
    match head.status {
        status if status.is_pending() => Some(format!(
            "revision {} of {release} is {}: helm is at work on it, or was killed",
            head.revision,
            status.word()
        )),
        Status::Deployed if head.uid == left.record => None,
        Status::Deployed if head.revision > left.revision => Some(format!(
            "{release} is at revision {}, and the last deploy from here left revision {}",
            head.revision, left.revision
        )),
        Status::Deployed => Some(format!("{release} was installed anew by somebody else")),
        status => Some(format!("revision {} of {release} is {}", head.revision, status.word())),
    }
}

fn as_left(known: &Known, seen: Option<&Seen>) -> bool {
    match (&known.identity, seen) {
        (Some(known), Some(seen)) => known.is_same(&seen.identity),
        (None, None) => true,
        _ => false,
    }
}

fn unhealthy(address: &Address, seen: Option<&Seen>) -> Option<Difference> {
    let trouble = seen?.trouble.as_ref()?;
    Some(Difference::Unhealthy(format!("{}: {trouble}", address.title())))
}

fn differences_of(inspected: &Inspected) -> Vec<Difference> {
    let wrap = if matches!(inspected.found, Found::Missing) { Difference::Missing } else { Difference::Altered };
    inspected.sentences().into_iter().map(wrap).collect()
}

/// What was left, with the identities of what was looked at and found well.
pub fn with(left: &Observed, found: &[Inspected]) -> Observed {
    let mut left = left.clone();
    for inspected in found {
        let identity = match &inspected.found {
            Found::There { identity, .. } => Some(identity.clone()),
            Found::Missing | Found::RightlyGone => None,
        };
        if let Some(known) = left.objects.iter_mut().find(|known| known.address == inspected.address) {
            known.identity = identity;
        }
    }
    left
}

/// The objects of a record.
pub struct Objects {
    /// Those of kinds that the cluster has, with their addresses.
    pub known: Vec<(Address, Rendered)>,
    /// Those of kinds that it has no more: somebody has removed what brought them.
    pub unknown: Vec<Rendered>,
}

/// The objects of a record.
pub async fn objects(client: &Client, kinds: &Kinds, namespace: &str, record: &Record) -> Result<Objects, Failure> {
    let origin = format!("revision {} of {}", record.revision, record.name);
    let mut objects = Objects { known: Vec::new(), unknown: Vec::new() };
    for rendered in rendered::objects(&record.manifest, &origin)? {
        match Address::of_known(client, kinds, &rendered, namespace).await? {
            Some(address) => objects.known.push((address, rendered)),
            None => objects.unknown.push(rendered),
        }
    }
    Ok(objects)
}

/// Reads those objects of a record that are among `suspects`; those of a kind that the cluster has no more are missing.
pub async fn inspect(
    client: &Client,
    kinds: &Kinds,
    namespace: &str,
    record: &Record,
    suspects: &[&Address],
) -> Result<Vec<Inspected>, Failure> {
    let Objects { known, unknown } = objects(client, kinds, namespace, record).await?;
    let wanted: Vec<(Address, &Rendered)> = known
        .iter()
        .filter(|(address, _)| suspects.contains(&address))
        .map(|(address, rendered)| (address.clone(), rendered))
        .collect();
    let mut found = drift::inspect(client, &wanted).await?;
    // An object goes with its kind.
    let gone = |suspect: &Address| unknown.iter().any(|object| object.title() == suspect.title());
    let gone = suspects.iter().filter(|suspect| gone(suspect));
    found.extend(gone.map(|suspect| Inspected { address: (*suspect).clone(), found: Found::Missing }));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Observed, moved};
    use crate::world::helm::record::{Head, Status};

    #[test]
    fn a_record_that_is_not_ours_says_how_it_came_there() {
        let left = Observed { revision: 8, record: "u8".to_owned(), objects: Vec::new() };
        let check = |revision: u32, status: Status, uid: &str, expected: Option<&str>| {
            let head = Head { revision, status, secret: String::new(), uid: uid.to_owned() };
            assert_eq!(moved(&head, "todo", &left).as_deref(), expected);
        };
        check(8, Status::Deployed, "u8", None);
        check(9, Status::Deployed, "u9", Some("todo is at revision 9, and the last deploy from here left revision 8"));
        check(1, Status::Deployed, "u1", Some("todo was installed anew by somebody else"));
        check(
            9,
            Status::PendingUpgrade,
            "u9",
            Some("revision 9 of todo is pending-upgrade: helm is at work on it, or was killed"),
        );
        check(9, Status::Failed, "u9", Some("revision 9 of todo is failed"));
        check(8, Status::Uninstalled, "u8", Some("revision 8 of todo is uninstalled"));
    }
}
