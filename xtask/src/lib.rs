//! The tool behind `cargo xtask`: commands, kinds of step, the world they act on, reporters.
//!
//! One direction: flags (`cli`) become a request, the graph file becomes steps (`steps`), the engine decides which
//! of them run, `run` carries its effects out on the `world`, and `report` turns the events into text.
//! Nothing below `cli` reads a flag, steps print nothing, reporters decide nothing.

mod ask;
pub mod cli;
pub mod collect;
pub mod context;
pub mod dayzero;
pub mod dev;
pub mod diagnose;
pub mod doctor;
pub mod redact;
pub mod report;
pub mod run;
pub mod steps;
pub mod workspace;
pub mod world;
