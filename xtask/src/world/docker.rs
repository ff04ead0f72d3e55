//! Images in a docker daemon: what there is, making one, naming it, and clearing out what nobody needs any more.
//!
//! An image is known by its ID. Its name is `REPOSITORY:` and the first 12 digits of the ID, so a name always means
//! the same image, and a pod whose spec has it runs just that one. Labels say whose image it is: the project and
//! the step, and nothing that differs from build to build, because labels are part of what the ID is computed from.
//!
//! Which image a step wants, and which of them somebody still needs, is decided elsewhere.

mod building;
mod failure;
mod garbage;
mod inventory;
mod naming;
#[cfg(test)]
mod tests;

pub use building::{Build, BuiltImage, build};
pub use garbage::{Removed, candidates, collect, remove};
pub use inventory::{Image, Inventory};
pub use naming::{DIGITS, LABEL_PROJECT, LABEL_STEP, familiar, reference, short};
