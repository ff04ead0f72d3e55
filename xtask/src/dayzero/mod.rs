//! What a bare machine needs before it can run a cluster, got or made when something is missing, and only then.
//!
//! `dayzero/` in the repository declares it as a graph file with recipes; it is carried out by the same engine as any
//! other graph, in a copy of that folder in the user's cache, so that it is resumable, parallel and shared by all
//! checkouts. Nothing in here is reached by a run whose tools are there and whose cluster is well.

pub mod bases;
mod consent;
mod home;
pub mod host_engine;
mod make;
mod needs;
pub mod node;
mod packages;
mod reach;
mod remaining;
pub mod suite_tools;
pub mod tools;
