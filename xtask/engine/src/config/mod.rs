//! The graph file, `xtask.toml`: read, checked, and turned into types.
//!
//! Every mistake of a file is reported in one go, with its place and the next step. Nothing in here asks the world
//! anything but which files are there; what the steps do with their definitions is not known.

mod check;
mod ci;
mod cluster;
mod command;
mod dev;
mod diagnostic;
mod file;
mod globs;
mod image;
mod image_use;
mod inline;
mod isolate;
mod manifests;
mod mention;
mod names;
mod nearest;
mod paths;
mod ports;
mod reading;
mod references;
mod release;
mod resolve;
mod schema;
mod secrets;
mod syntax;
mod table;
mod template;
mod text;
mod units;
mod value;

pub use check::Check;
pub use ci::Ci;
pub use cluster::{Cluster, Driver, KubernetesVersion};
pub use command::{Command, Output};
pub use dev::{Dev, Runtime};
pub use diagnostic::{Diagnostic, render_all};
pub use file::{FILE_NAME, GraphFile, load, parse};
pub use globs::is_pattern;
pub use image::{Daemon, Image, SecretSource};
pub use image_use::{ImagePaths, ImageUse, Part};
pub use inline::Inline;
pub use isolate::Isolation;
pub use manifests::Manifests;
pub use mention::Why;
pub use ports::{PortMapping, ServicePort, unprivileged};
pub use release::{Release, ValuePath};
pub use schema::json_schema;
pub use secrets::{As, Generator, Secrets};
pub use template::{Reference, Template};
pub use units::{ByteSize, duration};

pub(crate) use file::{Outcome, read_file, read_text};
pub(crate) use nearest::{listed, nearest};
