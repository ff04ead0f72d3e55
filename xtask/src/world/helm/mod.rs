//! Helm: its records of releases, read and repaired without it, and the program itself for upgrades.
//!
//! Helm 3.12 and later and helm 4 are both known here and nowhere else. Nothing in here knows of steps or receipts.

pub mod annotate;
pub mod complaint;
pub mod hooks;
pub mod pending;
pub mod program;
pub mod record;
pub mod unread;
pub mod values;
