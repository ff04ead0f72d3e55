//! The Lease of a namespace on a real cluster: whose it is, who gives it back, and who may note anything in it.
//!
//! The cluster comes from `XTASK_TEST_CONTEXT`, as for `settle.rs`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as it has to be"
)]

mod support;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::json;
use support::Namespace;
use tokio::sync::Notify;
use xtask::world::kube::lease::{self, Held, Holder};

const LEASE: &str = "xtask";
const NOTE: &str = "xtask/begun.helm.todo";

/// One Lease, as the API server has it.
struct Seen {
    namespace: Namespace,
    leases: Api<Lease>,
}

impl Seen {
    async fn make(case: &str) -> Self {
        let namespace = Namespace::make(case).await;
        let leases = Api::namespaced(namespace.client(), namespace.name());
        Self { namespace, leases }
    }

    async fn taken_by(&self, holder: &Holder) -> Held {
        let nobody = |other: &str| panic!("{other} has it");
        lease::acquire(&self.namespace.client(), self.namespace.name(), holder, nobody).await.expect("it is free")
    }

    async fn noted_by(&self, holder: &Holder, note: Option<&str>) -> Result<(), engine::failure::Failure> {
        lease::note(&self.namespace.client(), self.namespace.name(), holder, "helm.todo", note).await
    }

    async fn now(&self) -> Option<Lease> {
        self.leases.get_opt(LEASE).await.expect("it can be read")
    }

    /// Another machine takes it, as it may when it has expired.
    async fn taken_away(&self) -> Lease {
        let other = json!({"spec": {"holderIdentity": "far-away/4711/5d2f.1/release:todo"}});
        self.leases.patch(LEASE, &PatchParams::default(), &Patch::Merge(other)).await.expect("it can be written")
    }
}

#[tokio::test]
async fn it_is_given_back_with_all_that_was_dealt_with_and_kept_with_what_was_not() {
    let seen = Seen::make("lease").await;
    let holder = Holder::this("release:todo");
    assert!(seen.taken_by(&holder).await.release().await);
    assert_eq!(seen.now().await, None, "nothing of it stays");

    let held = seen.taken_by(&holder).await;
    seen.noted_by(&holder, Some("helm was started")).await.expect("it is ours");
    assert!(held.release().await);
    let left = seen.now().await.expect("the note is in it");
    assert_eq!(left.spec.and_then(|spec| spec.holder_identity), None, "it is free");
    assert_eq!(left.metadata.annotations.as_ref().and_then(|all| all.get(NOTE)).unwrap(), "helm was started");

    let next = Holder::this("release:other");
    let held = seen.taken_by(&next).await;
    seen.noted_by(&next, None).await.expect("it is the next one's");
    assert!(held.release().await);
    assert_eq!(seen.now().await, None);
    seen.namespace.remove().await;
}

#[tokio::test]
async fn who_does_not_know_yet_that_it_was_taken_neither_gives_it_back_nor_writes_to_it() {
    let seen = Seen::make("lease-lost").await;
    let holder = Holder::this("release:todo");
    for note in [None, Some("helm was started")] {
        let held = seen.taken_by(&holder).await;
        if note.is_some() {
            seen.noted_by(&holder, note).await.expect("it is ours");
        }
        let taken = seen.taken_away().await;
        let (client, namespace) = (seen.namespace.client(), seen.namespace.name());
        let refused = [
            seen.noted_by(&holder, Some("something else")).await,
            seen.noted_by(&holder, None).await,
            lease::confirm(&client, namespace, &holder).await,
        ];
        for refused in refused {
            let failure = refused.expect_err("it is somebody else's");
            assert_eq!(failure.message, format!("the Lease of namespace {namespace} was lost"));
        }
        assert!(!held.release().await, "it says so");
        assert_eq!(seen.now().await, Some(taken), "it is the other's, as that wrote it");
        seen.leases.delete(LEASE, &DeleteParams::default()).await.expect("it can be deleted");
    }
    seen.namespace.remove().await;
}

#[tokio::test]
async fn one_that_is_gone_was_lost_unless_it_went_with_its_namespace() {
    let seen = Seen::make("lease-gone").await;
    let holder = Holder::this("release:todo");
    let held = seen.taken_by(&holder).await;
    seen.leases.delete(LEASE, &DeleteParams::default()).await.expect("it can be deleted");
    assert!(!held.release().await, "somebody else could have taken it");

    let held = seen.taken_by(&holder).await;
    let leases = seen.leases;
    seen.namespace.remove().await;
    await_condition(leases, LEASE, |lease: Option<&Lease>| lease.is_none()).await.expect("it can be watched");
    assert!(held.release().await, "nobody can take one there");
}

#[tokio::test]
async fn leases_of_other_names_exclude_nobody_and_whoever_renews_one_is_named_without_a_write() {
    let seen = Seen::make("lease-named").await;
    let (client, namespace) = (seen.namespace.client(), seen.namespace.name());
    let name = lease::of_loop("todo");
    let this = Holder::this("dev");
    let looked = Notify::new();
    let asked = async || {
        let asked = lease::renewed_by(&client, namespace, &name, &this, |_| looked.notify_one()).await;
        asked.expect("the cluster answers")
    };
    assert_eq!(asked().await, None, "nobody has it");
    let run = seen.taken_by(&Holder::this("release:todo")).await;
    let nobody = |other: &str| panic!("{other} has it");
    let held = lease::acquire_named(&client, namespace, &name, &this, nobody).await.expect("it is free");
    assert_eq!(asked().await, None, "it is the asker's own");

    // Another machine takes it, and renews it.
    let patch = |time: u32| {
        let time = format!("2026-01-01T00:00:{time:02}.000000Z");
        let spec = json!({"holderIdentity": "far-away/4711/5d2f.1/dev", "renewTime": time});
        let (leases, name) = (seen.leases.clone(), name.clone());
        async move {
            leases.patch(&name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await.expect("written");
        }
    };
    patch(0).await;
    let (told, ()) = tokio::join!(asked(), async {
        looked.notified().await;
        patch(1).await;
    });
    assert_eq!(told.as_deref(), Some("process 4711 on far-away"));
    assert!(!held.release().await, "it is the other's");
    assert!(run.release().await);
    seen.namespace.remove().await;
}
