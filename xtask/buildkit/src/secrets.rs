//! Build secrets, handed out at the moment when a `RUN` mounts one.

use std::collections::BTreeMap;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use hyper::Request;
use hyper::body::Incoming;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::grpc::{Answer, Messages, Status, unary};

pub(crate) const GET_SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";

/// The secrets of a build by their ids.
pub(crate) type Secrets = BTreeMap<String, SecretSlice<u8>>;

pub(crate) async fn get_secret(secrets: &Secrets, request: Request<Incoming>) -> Answer {
    let asked = Messages::of(request).next::<GetSecretRequest>().await;
    unary(asked.and_then(|asked| {
        let asked = asked.unwrap_or_default();
        // BuildKit goes on without a secret only if told that it was not found.
        let secret =
            secrets.get(&asked.id).ok_or_else(|| Status::not_found(format!("secret {} not found", asked.id)))?;
        Ok(GetSecretResponse { data: secret.expose_secret().to_vec() })
    }))
}
