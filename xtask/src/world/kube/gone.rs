//! Waits until objects that are being removed are gone.

use std::time::Duration;

use engine::failure::Failure;
use futures_util::future::{join_all, try_join_all};
use kube::Client;
use kube::core::DynamicObject;
use kube::runtime::wait::await_condition;

use crate::world::kube::identity::Address;

/// An object, and which one of those that may bear its name in the course of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    address: Address,
    uid: String,
}

/// Those of `addresses` that are there now.
pub async fn present(client: &Client, addresses: impl IntoIterator<Item = Address>) -> Result<Vec<Present>, Failure> {
    let looks = addresses.into_iter().map(|address| async move {
        let found = address.read(client).await?;
        Ok(found.and_then(|object| object.metadata.uid).map(|uid| Present { address, uid }))
    });
    Ok(try_join_all(looks).await?.into_iter().flatten().collect())
}

/// Returns when none of `objects` is there any more.
///
/// # Errors
/// After `patience`, naming one that still is.
pub async fn until_gone(client: &Client, objects: &[Present], patience: Duration) -> Result<(), Failure> {
    let waits = objects.iter().map(|Present { address, uid }| async move {
        let gone = |live: Option<&DynamicObject>| live.is_none_or(|live| live.metadata.uid.as_ref() != Some(uid));
        let gone = await_condition(address.api(client), &address.name, gone);
        (address, tokio::time::timeout(patience, gone).await.is_ok_and(|gone| gone.is_ok()))
    });
    match join_all(waits).await.into_iter().find(|(_, gone)| !gone) {
        None => Ok(()),
        Some((address, _)) => {
            let (place, look) = match &address.namespace {
                Some(namespace) => {
                    (format!(" in namespace {namespace}"), format!("kubectl --namespace {namespace} describe pods"))
                }
                None => (String::new(), format!("kubectl describe {} {}", address.resource.kind, address.name)),
            };
            Err(Failure::step(format!("{}{place} does not go", address.title()))
                .because(format!("it is still there {} s after it was removed", patience.as_secs()))
                .help(format!("see what holds it: {look}")))
        }
    }
}
