//! Taking a release away: what stays of it is told, and the rest removed.
//!
//! Helm removes the objects of its manifest and forgets those that hooks have made; it leaves data only where a chart
//! asks for that. So what becomes of each object is decided (`inventory`, `fate`) before helm runs.

use engine::failure::Failure;
use kube::Client;

use crate::context::Context;
use crate::diagnose::evidence::Kind as Workload;
use crate::steps::exclusive::under_lease;
use crate::steps::release::deploy::Deploy;
use crate::steps::release::fate::{Fate, Maker};
use crate::steps::release::inventory::{Found, Inventory, is_hook, is_namespace};
use crate::steps::release::observed::Objects;
use crate::steps::release::{ReleaseStep, leftovers};
use crate::steps::{Belonging, Scope};
use crate::world::helm::program::{self, Helm, Place};
use crate::world::helm::record::{self, Head};
use crate::world::kube::apply::{self, Owner};
use crate::world::kube::definitions;
use crate::world::kube::identity::Address;
use crate::world::kube::rendered::Rendered;
use crate::world::kube::{gone, kept, namespaces, volumes};

/// The removal of one release.
pub struct Teardown<'a> {
    /// The run.
    pub cx: &'a Context,
    /// The step.
    pub step: &'a ReleaseStep,
    /// The API server.
    pub client: Client,
    /// How much goes.
    pub scope: Scope,
}

impl Teardown<'_> {
    /// What there is, and what becomes of it. Changes nothing.
    ///
    /// # Errors
    /// When the cluster does not answer, or a record of helm cannot be read.
    pub async fn belongings(&self) -> Result<Vec<Belonging>, Failure> {
        let Place { namespace, release, .. } = self.step.place(self.cx);
        let inventory = Inventory::look(self.cx, self.step, &self.client).await?;
        let mut belongings = Vec::new();
        if let Some((head, _)) = &inventory.own {
            let what = format!("helm release {release} in namespace {namespace}, revision {}", head.revision);
            belongings.push(Belonging { what, kept: None });
        }
        for (address, found) in &inventory.found {
            belongings.push(self.belonging(address, found));
        }
        if namespaces::is_ours(&self.client, &namespace, &self.cx.project).await? {
            let kept = !self.scope.data
                && (inventory.has_data_in(&namespace) || volumes::any(&self.client, &namespace).await?);
            let what = format!("namespace {namespace}, if nothing else is in it");
            belongings.push(Belonging { what, kept: kept.then(|| "its data stays".to_owned()) });
        }
        if inventory.own.is_some() {
            let chart = self.cx.workspace.root().join(&self.step.definition.chart);
            belongings.extend(leftovers::definitions(&self.client, &self.step.kinds, &chart).await?);
            let hooks = inventory.hooks.into_keys().collect();
            belongings.extend(leftovers::hooks(&self.client, &namespace, &hooks).await?);
        }
        Ok(belongings)
    }

    /// Removes what [`Self::belongings`] says goes.
    ///
    /// # Errors
    /// When helm fails, pods do not go, or the run is cancelled.
    pub async fn remove(&self) -> Result<(), Failure> {
        let namespace = self.step.definition.namespace.as_str();
        let inventory = Inventory::look(self.cx, self.step, &self.client).await?;
        if inventory.own.is_some() || !inventory.found.is_empty() {
            let work = Box::pin(self.remove_alone());
            if namespaces::stays(&self.client, namespace).await? {
                under_lease(self.cx, &self.step.id, &self.client, namespace, work).await?;
            } else {
                work.await?;
            }
        }
        namespaces::remove_if_empty(&self.client, namespace, &self.cx.project).await.map(drop)
    }

    fn belonging(&self, address: &Address, found: &Found) -> Belonging {
        let kind = address.resource.kind.as_str();
        let place = address.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}"));
        let place = place.unwrap_or_default();
        let what = match kind {
            "PersistentVolumeClaim" => format!("volume claim {}{place}, with its data", address.name),
            "PersistentVolume" => format!("volume {}, with its data", address.name),
            "Namespace" if found.left => format!("namespace {}, if nothing else is in it", address.name),
            "Namespace" => format!("namespace {} of the chart, with all that is in it", address.name),
            definitions::KIND => format!("{}, with all objects of its kind", address.title()),
            _ if found.maker == Maker::Hook => format!("{}{place}, made by a hook", address.title()),
            _ => format!("{}{place}", address.title()),
        };
        let kept = match (found.fate, kind) {
            (Fate::Goes, _) => None,
            (Fate::Data, _) if self.scope.data => None,
            (Fate::Data, "Namespace") => Some("its data stays".to_owned()),
            (Fate::Data, "PersistentVolumeClaim" | "PersistentVolume") => Some("--data removes it".to_owned()),
            (Fate::Data, _) => Some("it may belong to data; --data removes it".to_owned()),
            (Fate::Stays, _) => Some(format!(
                "others may use it by now; kubectl delete {} {} removes it",
                kind.to_lowercase(),
                address.name
            )),
        };
        Belonging { what, kept }
    }

    /// Removes the release and what hangs on it, less its namespace. What there is is looked at again: whoever held the
    /// Lease may have changed it.
    async fn remove_alone(&self) -> Result<(), Failure> {
        let inventory = Inventory::look(self.cx, self.step, &self.client).await?;
        let step = self.step.id.file_stem();
        let owner = Owner { project: &self.cx.project, step: &step };
        if !self.scope.data {
            // Before anything goes: a run that is killed leaves nothing that nobody knows.
            for address in inventory.data() {
                kept::mark(&self.client, address, &owner).await?;
            }
        }
        if let Some((head, objects)) = &inventory.own {
            self.uninstall(&inventory, head, objects).await?;
        }
        self.remove_hooks(&inventory, &owner).await?;
        if self.scope.data {
            // Of the manifest, helm has removed what goes without being data.
            let data =
                inventory.found.iter().filter(|(_, found)| found.maker == Maker::Manifest && found.fate == Fate::Data);
            let (rooms, data): (Vec<_>, Vec<_>) =
                data.partition(|(address, found)| found.left && is_namespace(address));
            for (address, found) in data {
                apply::remove(&self.client, address, &found.uid).await?;
            }
            for (address, found) in rooms {
                namespaces::remove_one_if_empty(&self.client, &address.name, &found.uid).await?;
            }
        }
        Ok(())
    }

    /// Removes what hooks have made, those of the removal itself among them: so they are looked at now.
    async fn remove_hooks(&self, inventory: &Inventory, owner: &Owner<'_>) -> Result<(), Failure> {
        for (address, kept) in &inventory.hooks {
            let live = address.read(&self.client).await?.filter(is_hook);
            let Some(uid) = live.and_then(|live| live.metadata.uid) else { continue };
            let known = inventory.found.get(address).map(|found| found.fate);
            match known.unwrap_or_else(|| inventory.fate_of_hooked(address, *kept)) {
                Fate::Data if !self.scope.data => kept::mark(&self.client, address, owner).await?,
                Fate::Goes | Fate::Data => apply::remove(&self.client, address, &uid).await?,
                Fate::Stays => {}
            }
        }
        Ok(())
    }

    /// Has helm take the release away, and waits until its pods have gone.
    async fn uninstall(&self, inventory: &Inventory, head: &Head, objects: &Objects) -> Result<(), Failure> {
        let namespace = self.step.definition.namespace.as_str();
        let stays = |address: &Address| match inventory.found.get(address).map(|found| found.fate) {
            Some(Fate::Data) => !self.scope.data,
            Some(Fate::Stays) => true,
            Some(Fate::Goes) | None => false,
        };
        if !self.scope.data {
            let staying = objects.known.iter().filter(|(address, object)| stays(address) && !object.asks_to_be_kept());
            let staying: Vec<&Rendered> = staying.map(|(_, object)| object).collect();
            if !staying.is_empty() {
                record::keep(&self.client, namespace, head, &staying).await?;
            }
            for ((namespace, set), claims) in &inventory.claims {
                volumes::outlive(&self.client, namespace, set, claims).await?;
            }
        }
        if !objects.unknown.is_empty() {
            record::leave_out(&self.client, namespace, head, &objects.unknown).await?;
        }
        let awaited = objects.known.iter().filter(|(address, object)| match address.resource.kind.as_str() {
            "Namespace" => !stays(address) && !object.asks_to_be_kept(),
            kind => Workload::from_word(kind).is_some(),
        });
        let awaited = gone::present(&self.client, awaited.map(|(address, _)| address.clone())).await?;
        let deploy = Deploy { cx: self.cx, step: self.step, client: self.client.clone() };
        deploy.uninstall_alone(&Helm::new(&self.step.helm(self.cx).await?)).await?;
        // Workloads go after their pods: until then the volumes are in use, and the namespace is not empty. Into a
        // namespace that is about to go nothing can be deployed again.
        tokio::select! {
            gone = gone::until_gone(&self.client, &awaited, program::REMOVAL) => gone,
            () = self.cx.cancel.cancelled() => Err(Failure::interrupted()),
        }
    }
}
