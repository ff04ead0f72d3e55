//! BuildKit builds through the docker API, with a session of our own.
//!
//! The daemon pulls what it needs out of the session: of the build context just the files that it does not have yet,
//! and a secret at the moment when a `RUN` mounts it. What is sent is what the caller listed, byte for byte: a file
//! that no longer has the digest it was listed with fails the build.
//!
//! This crate knows the docker API, BuildKit's protocol and Dockerfiles. It must never know of steps, of a cluster
//! or of a terminal: a [`Request`] goes in, [`Event`]s come out, the end is an image ID or an [`Error`].

mod build;
mod cause;
mod context;
mod dockerfile;
mod endpoint;
mod error;
mod file_sync;
mod grpc;
mod health;
mod images;
mod pattern;
mod progress;
mod secrets;
mod selection;
mod session;

pub use build::{Built, Request, build};
pub use context::{Context, Entry, Kind};
pub use dockerfile::{Dockerfile, Instruction, Stage};
pub use endpoint::{Connection, Endpoint};
pub use error::{BaseImageProblem, Error};
pub use file_sync::Sent;
pub use images::BaseImage;
pub use progress::{Change, Event};
