//! A client of the API server of an explicitly named kubeconfig context.

use std::time::Duration;

use engine::failure::Failure;
use kube::config::KubeConfigOptions;

/// A client for `context`, whatever the current context is.
///
/// # Errors
/// When there is no such context, or its certificates cannot be used. No request is made yet.
pub async fn client(context: &str) -> Result<kube::Client, Failure> {
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::environment(format!("could not use the kubeconfig context `{context}`")).because_of(error)
    };
    let mut config = kube::Config::from_kubeconfig(&options).await.map_err(|error| failed(&error))?;
    config.connect_timeout = Some(Duration::from_secs(5));
    kube::Client::try_from(config).map_err(|error| failed(&error))
}
