//! What is behind a port of a Service, kept up to date by watching.
//!
//! A watch tells of a pod that has become ready, or is about to go, within milliseconds, and costs nothing while nothing
//! happens. What was known last stays while the API server is away.

use std::collections::BTreeMap;

use engine::failure::Failure;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::runtime::watcher::{self, watcher};
use tokio::sync::watch;

use super::At;
use super::resolve::{self, Target};
use crate::world::World;
use crate::world::contact::{Attempts, Contact};

/// What is behind a port now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behind {
    /// The pods that are ready and stay, by name.
    pub targets: Vec<Target>,
    /// Why there are none; `None` also before anything is known.
    pub lacking: Option<Failure>,
}

/// Keeps `behind` up to date until dropped.
pub async fn watch(world: &World, at: &At, behind: &watch::Sender<Behind>, tell: impl Fn(Contact)) {
    let mut attempts = Attempts::default();
    loop {
        let failure = look(world, at, behind, || attempts.worked().into_iter().for_each(&tell)).await;
        attempts.failed(failure).into_iter().for_each(&tell);
        attempts.pause(world).await;
    }
}

/// Watches until that fails, and tells why.
async fn look(world: &World, at: &At, behind: &watch::Sender<Behind>, synced: impl FnOnce()) -> Failure {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::environment(format!("could not watch {at}")).because_of(error)
    };
    let client = match world.kube().await {
        Ok(client) => client,
        Err(failure) => return failure,
    };
    let services: Api<Service> = Api::namespaced(client.clone(), &at.namespace);
    let slices: Api<EndpointSlice> = Api::namespaced(client, &at.namespace);
    let by_name = watcher::Config::default().fields(&format!("metadata.name={}", at.service));
    let of_service = watcher::Config::default().labels(&format!("kubernetes.io/service-name={}", at.service));
    let mut services = watcher(services, by_name).boxed();
    let mut slices = watcher(slices, of_service).boxed();
    let mut known = (Known::default(), Known::default());
    let mut synced = Some(synced);
    loop {
        let result = tokio::select! {
            Some(event) = services.next() => event.map(|event| known.0.see(event)),
            Some(event) = slices.next() => event.map(|event| known.1.see(event)),
            else => return Failure::environment(format!("the watch of {at} ended")),
        };
        if let Err(error) = result {
            return failed(&error);
        }
        if let (Some(services), Some(slices)) = (known.0.all(), known.1.all()) {
            if let Some(synced) = synced.take() {
                synced();
            }
            let now = now(at, services.values().next(), slices);
            behind.send_if_modified(|before| {
                let changed = *before != now;
                *before = now;
                changed
            });
        }
    }
}

fn now(at: &At, service: Option<&Service>, slices: &BTreeMap<String, EndpointSlice>) -> Behind {
    match resolve::targets_of(at, service, slices.values()) {
        Ok(targets) => Behind { targets, lacking: None },
        Err(trouble) => Behind { targets: Vec::new(), lacking: Some(trouble.into_failure()) },
    }
}

/// The objects of one watch, by name.
struct Known<K> {
    complete: Option<BTreeMap<String, K>>,
    listing: BTreeMap<String, K>,
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self { complete: None, listing: BTreeMap::new() }
    }
}

impl<K: kube::Resource> Known<K> {
    fn see(&mut self, event: watcher::Event<K>) {
        let name = |object: &K| object.meta().name.clone().unwrap_or_default();
        let complete = &mut self.complete;
        match event {
            watcher::Event::Apply(object) => drop(complete.as_mut().map(|all| all.insert(name(&object), object))),
            watcher::Event::Delete(object) => drop(complete.as_mut().map(|all| all.remove(&name(&object)))),
            watcher::Event::Init => self.listing.clear(),
            watcher::Event::InitApply(object) => drop(self.listing.insert(name(&object), object)),
            // What was listed replaces what was known, so that what went meanwhile is gone here too.
            watcher::Event::InitDone => *complete = Some(std::mem::take(&mut self.listing)),
        }
    }

    fn all(&self) -> Option<&BTreeMap<String, K>> {
        self.complete.as_ref()
    }
}
