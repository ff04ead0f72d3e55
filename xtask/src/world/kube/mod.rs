//! Objects in the API server: what a manifest asks for, what is there, how they differ, and how ours are written.
//!
//! Everything here is given a `kube::Client` for a named cluster; nothing in here knows which one is current, what a
//! step is, or how anything is shown.

pub mod apply;
pub mod canonical;
pub mod claims;
pub mod compare;
pub mod definitions;
pub mod drift;
pub mod error;
pub mod gone;
pub mod health;
pub mod identity;
pub mod kept;
pub mod kinds;
pub mod lease;
pub mod namespaces;
pub mod put_back;
pub mod rendered;
pub mod secret;
pub mod volumes;

/// The field manager of everything that we write, and the owner named in our labels.
pub const MANAGER: &str = "xtask";

/// The label that says who made an object; removed objects must carry it with the value [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The label with the project that an object of ours belongs to.
pub const PROJECT: &str = "xtask/project";

/// The label with the step that made an object of ours.
pub const STEP: &str = "xtask/step";
