//! Decides what a run has to do: graph file, inputs, digests, receipts, locks, verdicts, schedule.
//!
//! It never talks to docker, to Kubernetes or to a terminal, and has no async runtime in its dependencies:
//! the compiler keeps that rule.

pub mod config;
pub mod digest;
pub mod event;
pub mod failure;
pub mod files;
pub mod graph;
pub mod lock;
pub mod manifest;
pub mod receipt;
pub mod run;
pub mod step;
pub mod verdict;
