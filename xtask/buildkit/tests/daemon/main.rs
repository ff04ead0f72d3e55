//! Builds with a real docker daemon. They need one that answers at /var/run/docker.sock (or where DOCKER_HOST says,
//! a unix socket), but no registry: images start from nothing or from a base made of this machine's shell.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod base;
mod cancel;
mod changes;
mod contents;
mod failures;
mod fixture;
mod options;
mod run;
mod tls;
