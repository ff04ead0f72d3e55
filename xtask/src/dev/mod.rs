//! The dev loop: an edit becomes live in running containers within about a second.
//!
//! The graph is deployed as ever, with two differences that the [`overlay`] makes: images with a `[dev.NAME]` table are
//! built up to another stage, without the folders that are synced, and their containers run an agent (`agent/`) that
//! receives files and keeps the application running. From then on a change in a synced folder goes straight into the
//! pods ([`pods`], [`link`]); any other change makes the graph run again, which rebuilds what it concerns.
//!
//! Receipts of these runs are kept apart from those of `deploy`, so what is synced is never fresh to it.

#[cfg(test)]
mod agent;
pub mod aliases;
pub mod concern;
pub mod link;
pub mod message;
pub mod overlay;
pub mod pods;
pub mod reads;
pub mod sources;
pub mod walked;
pub mod wanted;
pub mod watch;
