//! Decides what a run has to do: graph file, inputs, digests, receipts, locks, verdicts, schedule.
//!
//! It never talks to docker, to Kubernetes or to a terminal, and has no async runtime in its dependencies:
//! the compiler keeps that rule.

pub mod config;
pub mod digest;
pub mod failure;
pub mod graph;
pub mod step;
