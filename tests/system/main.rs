//! The whole program on a real cluster: the binary that people run, the application of this repository, real images.
//!
//! The cluster is the minikube profile of `XTASK_TEST_CONTEXT`, which `cargo xtask test` sets; what is deployed there
//! is a copy of this checkout, in a namespace of its own, with one replica each and no port of the host.
//! Tests that share that deployment take turns; each begins by deploying what its predecessor has changed.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends where something is not as it has to be"
)]

mod availability;
mod bad_luck;
mod browser;
mod build_secret;
mod by_hand;
mod change;
mod ci;
mod cluster;
mod cluster_gone;
mod command;
mod daemon;
mod daemon_gone;
mod data_stays;
mod dev;
mod doctor;
mod documents;
mod drift;
mod forward;
mod fresh;
mod garbage;
mod gone_kind;
mod helm_fails;
mod helm_of_others;
mod image_gone;
mod interrupted;
mod kept;
mod killed;
mod lease;
mod leftovers;
mod links;
mod live_lines;
mod local_secrets;
mod logs;
mod lost_secrets;
mod manifests;
mod marker;
mod never_ends;
mod node_restarted;
mod odd_chart;
mod other_cluster;
mod person;
mod ports;
mod project;
mod pull;
mod ran;
mod rehearsal;
mod rollback;
mod running;
mod screen;
mod secret;
mod secret_values;
mod serving;
mod teardown;
mod turn;
mod twice;
mod two_at_once;
mod unreachable;
mod way;
mod wide;
