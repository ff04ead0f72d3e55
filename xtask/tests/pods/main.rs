//! The ways to pods on a real cluster: requests and ports that lead to Services, and logs, while pods come and go.
//!
//! The cluster comes from `XTASK_TEST_CONTEXT`, as for `settle.rs`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as it has to be"
)]

mod logs;
mod ports;
mod requests;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::Namespace;
use xtask::diagnose::evidence::{Identity, Kind};
use xtask::world::settle::scope::Scope;
use xtask::world::settle::{Expected, Watch};

const DEADLINE: Duration = Duration::from_secs(120);

/// Returns once the Deployment `name` is rolled out in its present generation.
async fn settled(namespace: &Namespace, name: &str) {
    let generation = namespace.generation(name).await;
    let expected = [Expected { identity: Identity::new(Kind::Deployment, namespace.name(), name), generation }];
    let scope = Scope::of([expected[0].identity.clone()]);
    let mut watch =
        Watch::begin(namespace.client(), scope, support::show_all()).await.expect("the cluster can be watched");
    watch.until_settled(&expected, Instant::now() + DEADLINE).await.expect("it starts");
}
