//! Reads out of the daemon's words what kind of failure it was.

use crate::dockerfile::Dockerfile;
use crate::error::Error;
use crate::progress::FailedVertex;

pub(crate) fn classify(message: String, _target: Option<&str>, _dockerfile: &Dockerfile, _failed: Option<FailedVertex>) -> Error {
    Error::Failed { message }
}
