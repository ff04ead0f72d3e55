//! What a bare machine needs before it can run a cluster, got or made when something is missing, and only then.
//!
//! `dayzero/` in the repository declares it as a graph file with recipes; it is carried out by the same engine as any
//! other graph, in a copy of that folder in the user's cache, so that it is resumable, parallel and shared by all
//! checkouts. Nothing in here is reached by a run whose tools are there and whose cluster is well.

mod apt;
pub mod bases;
mod build_cache;
pub mod consent;
mod home;
pub mod host_engine;
pub mod make;
pub mod needs;
pub mod node;
pub mod packages;
pub mod reach;
mod remaining;
pub mod suite_tools;
pub mod tools;
