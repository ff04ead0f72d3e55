//! What there is of a release in the cluster that a removal has to know of, and what becomes of each object.

use std::collections::{BTreeMap, BTreeSet};

use engine::failure::Failure;
use futures_util::future::try_join_all;
use kube::Client;
use kube::core::DynamicObject;

use crate::context::Context;
use crate::steps::release::ReleaseStep;
use crate::steps::release::fate::{self, Fate, Maker};
use crate::steps::release::observed::{self, Objects};
use crate::world::helm::hooks;
use crate::world::helm::program::Place;
use crate::world::helm::record::{self, Head, Record};
use crate::world::kube::apply::Owner;
use crate::world::kube::definitions;
use crate::world::kube::identity::Address;
use crate::world::kube::kinds::Kinds;
use crate::world::kube::rendered::{self, Rendered};
use crate::world::kube::{kept, namespaces, volumes};

/// An object that is there, and what becomes of it.
pub struct Found {
    /// Which of those that may bear its name in the course of time.
    pub uid: String,
    /// Who made it.
    pub maker: Maker,
    /// What becomes of it.
    pub fate: Fate,
    /// An earlier removal has left it, and no release has it now.
    pub left: bool,
}

/// What there is of a release.
pub struct Inventory {
    /// Its newest record with its objects; `None` where no release of ours is installed.
    pub own: Option<(Head, Objects)>,
    /// Objects of hooks, and those of the manifest that hold data or may hold others' things. The rest of the manifest
    /// goes with the release.
    pub found: BTreeMap<Address, Found>,
    /// The volume claims that StatefulSets have had made, by namespace and set.
    pub claims: BTreeMap<(String, String), Vec<String>>,
    /// All objects that hooks may have made, there or not, and whether the chart asks that they stay.
    pub hooks: BTreeMap<Address, bool>,
}

impl Inventory {
    /// Looks. Changes nothing.
    ///
    /// # Errors
    /// When the cluster does not answer, or a record of helm cannot be read.
    pub async fn look(cx: &Context, step: &ReleaseStep, client: &Client) -> Result<Self, Failure> {
        let mut inventory = Self { own: None, found: BTreeMap::new(), claims: BTreeMap::new(), hooks: BTreeMap::new() };
        let mut known = BTreeSet::new();
        let Place { namespace, release, .. } = step.place(cx);
        let records = records(client, &namespace, &release).await?;
        if let Some((head, record)) = own(cx, step, client, &records).await? {
            inventory.hooks = made_by_hooks(client, &step.kinds, &namespace, &records).await?;
            for (address, kept) in inventory.hooks.clone() {
                known.insert(address.clone());
                inventory.add(client, address, Maker::Hook, kept).await?;
            }
            let objects = observed::objects(client, &step.kinds, &namespace, record).await?;
            for (address, rendered) in &objects.known {
                known.insert(address.clone());
                if rendered.kind == "StatefulSet" {
                    inventory.add_claims(client, &step.kinds, address, rendered).await?;
                }
                let kept = rendered.asks_to_be_kept();
                let fate = fate::of(&rendered.kind, address.resource.namespaced, Maker::Manifest, kept);
                if fate != Fate::Goes || matches!(rendered.kind.as_str(), "Namespace" | definitions::KIND) {
                    inventory.add(client, address.clone(), Maker::Manifest, kept).await?;
                }
            }
            for (address, _) in objects.known.iter().filter(|(address, _)| address.resource.kind == "Secret") {
                // What a chart has beside its volumes is mostly the password of what is in them.
                if !inventory.found.contains_key(address) && inventory.has_claim_beside(address) {
                    inventory.add(client, address.clone(), Maker::Manifest, true).await?;
                }
            }
            inventory.own = Some((head.clone(), objects));
        }
        let stem = step.id.file_stem();
        for (address, uid) in
            kept::marked(client, &step.kinds, &Owner { project: &cx.project, step: &stem }, &namespace).await?
        {
            // What a release has by now is told as what it is there.
            if !known.contains(&address) && !inventory.found.contains_key(&address) {
                let found = Found { uid, maker: Maker::Manifest, fate: Fate::Data, left: true };
                inventory.found.insert(address, found);
            }
        }
        inventory.keep_what_may_open_data();
        inventory.keep_rooms_of_data(client).await?;
        Ok(inventory)
    }

    /// What becomes of an object that a hook has made; `kept`: the chart asks that it stays.
    pub fn fate_of_hooked(&self, address: &Address, kept: bool) -> Fate {
        match fate::of(&address.resource.kind, address.resource.namespaced, Maker::Hook, kept) {
            // What a chart generates once and keeps away from upgrades is mostly the password of its data, if it has any.
            Fate::Goes if address.resource.kind == "Secret" && self.has_claim_beside(address) => Fate::Data,
            fate => fate,
        }
    }

    /// What holds data.
    pub fn data(&self) -> impl Iterator<Item = &Address> {
        self.found.iter().filter(|(_, found)| found.fate == Fate::Data).map(|(address, _)| address)
    }

    /// Whether anything that is data is in `namespace`.
    pub fn has_data_in(&self, namespace: &str) -> bool {
        self.data().any(|address| address.namespace.as_deref() == Some(namespace))
    }

    /// Whether a volume claim is in the namespace of the object at `address`.
    fn has_claim_beside(&self, address: &Address) -> bool {
        let mut data = self.data().filter(|data| data.resource.kind == "PersistentVolumeClaim");
        data.any(|claim| claim.namespace == address.namespace)
    }

    /// Adds an object that is to be `kept` or not when the release goes, if it is there and `maker` has made it.
    async fn add(&mut self, client: &Client, address: Address, maker: Maker, kept: bool) -> Result<(), Failure> {
        let live = address.read(client).await?.filter(|live| maker == Maker::Manifest || is_hook(live));
        if let Some(uid) = live.and_then(|live| live.metadata.uid) {
            let fate = fate::of(&address.resource.kind, address.resource.namespaced, maker, kept);
            self.found.insert(address, Found { uid, maker, fate, left: false });
        }
        Ok(())
    }

    /// Adds the volume claims that a StatefulSet has had made.
    async fn add_claims(
        &mut self,
        client: &Client,
        kinds: &Kinds,
        set: &Address,
        rendered: &Rendered,
    ) -> Result<(), Failure> {
        let Some(namespace) = set.namespace.as_deref() else { return Ok(()) };
        let claims = volumes::claims_of_set(client, namespace, &set.name, &rendered.body).await?;
        if claims.is_empty() {
            return Ok(());
        }
        let resource = kinds.find(client, "v1", "PersistentVolumeClaim").await?;
        for claim in &claims {
            let address =
                Address { resource: resource.clone(), namespace: Some(namespace.to_owned()), name: claim.clone() };
            self.add(client, address, Maker::Manifest, false).await?;
        }
        self.claims.insert((namespace.to_owned(), set.name.clone()), claims);
        Ok(())
    }

    /// A Secret that a hook has made stays with the volumes that are beside it, all of which are known by now.
    fn keep_what_may_open_data(&mut self) {
        let made = self.hooks.iter().filter(|(address, _)| self.found.contains_key(address));
        let fates: Vec<_> =
            made.map(|(address, kept)| (address.clone(), self.fate_of_hooked(address, *kept))).collect();
        for (address, fate) in fates {
            if let Some(found) = self.found.get_mut(&address).filter(|found| found.maker == Maker::Hook) {
                found.fate = fate;
            }
        }
    }

    /// A namespace that the chart brings stays with the data that is in it.
    async fn keep_rooms_of_data(&mut self, client: &Client) -> Result<(), Failure> {
        let is_room = |(address, found): &(&Address, &Found)| is_namespace(address) && found.fate == Fate::Goes;
        let rooms: Vec<Address> = self.found.iter().filter(is_room).map(|(address, _)| address.clone()).collect();
        for room in rooms {
            let has_data = self.has_data_in(&room.name) || volumes::any(client, &room.name).await?;
            if has_data && let Some(found) = self.found.get_mut(&room) {
                found.fate = Fate::Data;
            }
        }
        Ok(())
    }
}

/// All records that helm has kept of a release, newest first.
async fn records(client: &Client, namespace: &str, release: &str) -> Result<Vec<(Head, Record)>, Failure> {
    let heads = record::history(client, namespace, release).await?;
    try_join_all(heads.into_iter().rev().map(|head| async move {
        let record = record::read(client, namespace, &head).await?;
        Ok((head, record))
    }))
    .await
}

/// The newest record, if any of the records is of our making.
async fn own<'a>(
    cx: &Context,
    step: &ReleaseStep,
    client: &Client,
    records: &'a [(Head, Record)],
) -> Result<Option<&'a (Head, Record)>, Failure> {
    let ours = step.description(cx);
    let Some(newest) = records.first() else { return Ok(None) };
    if records.iter().any(|(_, record)| record.info.description == ours) {
        return Ok(Some(newest));
    }
    // While helm installs or removes, it describes the record itself, and one that was killed leaves that behind. In a
    // namespace that was made for this project it is ours.
    let is_ours =
        newest.0.status.is_pending() && namespaces::is_ours(client, &step.definition.namespace, &cx.project).await?;
    Ok(is_ours.then_some(newest))
}

/// The objects that hooks of the kept revisions have made, and whether the chart asks that they stay: helm forgets
/// them. What one revision has asked for counts for all.
async fn made_by_hooks(
    client: &Client,
    kinds: &Kinds,
    namespace: &str,
    records: &[(Head, Record)],
) -> Result<BTreeMap<Address, bool>, Failure> {
    let mut made = BTreeMap::new();
    for hook in records.iter().flat_map(|(_, record)| &record.hooks) {
        for object in rendered::objects(&hook.manifest, &format!("the hook {}", hook.name))? {
            // One of a kind that the cluster has no more has gone with it.
            if let Some(address) = Address::of_known(client, kinds, &object, namespace).await? {
                *made.entry(address).or_insert(false) |= object.asks_to_be_kept();
            }
        }
    }
    Ok(made)
}

/// Whether this is a namespace.
pub fn is_namespace(address: &Address) -> bool {
    address.resource.kind == "Namespace"
}

/// Whether an object was made by a hook, and not by somebody else under the same name.
pub fn is_hook(object: &DynamicObject) -> bool {
    object.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(hooks::HOOK))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Found, Inventory};
    use crate::steps::release::fate::{Fate, Maker};
    use crate::world::kube::identity::Address;
    use crate::world::kube::kinds;

    fn at(kind: &str, namespace: &str) -> Address {
        let resource = kinds::known("v1", kind).unwrap();
        Address { resource, namespace: Some(namespace.to_owned()), name: "a".to_owned() }
    }

    #[test]
    fn a_secret_of_a_hook_is_data_where_a_volume_is_beside_it() {
        let secret = at("Secret", "todo");
        let check = |beside: &Address, kept: bool, expected: Fate| {
            let found = |maker, fate| Found { uid: "u".to_owned(), maker, fate, left: false };
            let mut inventory = Inventory {
                own: None,
                found: BTreeMap::from([
                    (secret.clone(), found(Maker::Hook, Fate::Goes)),
                    (beside.clone(), found(Maker::Manifest, Fate::Data)),
                ]),
                claims: BTreeMap::new(),
                hooks: BTreeMap::from([(secret.clone(), kept)]),
            };
            assert_eq!(inventory.fate_of_hooked(&secret, kept), expected, "{beside:?}");
            inventory.keep_what_may_open_data();
            assert_eq!(inventory.found[&secret].fate, expected, "{beside:?}");
            assert_eq!(inventory.found[beside].fate, Fate::Data);
        };
        check(&at("PersistentVolumeClaim", "todo"), false, Fate::Data);
        check(&at("PersistentVolumeClaim", "other"), false, Fate::Goes);
        check(&at("ConfigMap", "todo"), false, Fate::Goes);
        check(&at("ConfigMap", "todo"), true, Fate::Data);
    }
}
