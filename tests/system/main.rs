//! The whole program on a real cluster: the binary that people run, the application of this repository, real images.
//!
//! The cluster is the minikube profile of `XTASK_TEST_CONTEXT`, which `cargo xtask test` sets; what is deployed there
//! is a copy of this checkout, in a namespace of its own, with one replica each and no port of the host.
//! The tests that share that deployment are in `application/`, those of the dev loop in `dev/`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends where something is not as it has to be"
)]

mod application;
mod bad_luck;
mod build_secret;
mod by_hand;
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
mod forward;
mod garbage;
mod gone_kind;
mod helm_fails;
mod helm_of_others;
mod kept;
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
mod secret_values;
mod serving;
mod teardown;
mod turn;
mod twice;
mod unreachable;
mod version;
mod way;
mod wide;
