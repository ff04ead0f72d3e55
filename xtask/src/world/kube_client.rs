//! A client of the API server of an explicitly named kubeconfig context, and what tells that cluster from others.

use std::time::Duration;

use engine::digest::{Digest, Hasher};
use engine::failure::Failure;
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::{Deserialize, Serialize};

use crate::world::{kube_transport, tls};

/// How long an API server may take to say who it is.
const HELLO: Duration = Duration::from_secs(10);

/// What to look at where nobody answers.
const IS_IT_RUNNING: &str = "is the cluster running, and does this machine reach it?";

/// What tells one cluster from every other, whatever name it goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The uid of the namespace `kube-system`: made with the cluster, and gone with it.
    pub uid: String,
    /// The digest of the certificates that the server's must be signed by; `None` where the kubeconfig names none.
    pub ca: Option<Digest>,
    /// Where it answers now.
    pub server: String,
}

impl Identity {
    /// Whether both are the same cluster; it may answer elsewhere now.
    pub fn is_same_cluster(&self, other: &Self) -> bool {
        self.uid == other.uid && self.ca == other.ca
    }

    /// The identity as one digest.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("cluster/1");
        hasher.text(&self.uid);
        match &self.ca {
            Some(ca) => hasher.digest(ca),
            None => hasher.text(""),
        };
        hasher.finish()
    }
}

/// Why a cluster did not say who it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Unknown {
    /// Nobody answers there, or somebody with another certificate.
    Silent(Failure),
    /// It answers, but not to this user.
    Refused(Failure),
}

impl Unknown {
    /// The failure, for whom it makes no difference.
    pub fn failure(self) -> Failure {
        match self {
            Self::Silent(failure) | Self::Refused(failure) => failure,
        }
    }
}

/// A client for `context`, whatever the current context is.
///
/// # Errors
/// When there is no such context, or its certificates cannot be used. No request is made yet.
pub async fn client(context: &str) -> Result<Client, Failure> {
    Ok(Target::of(context).await?.client)
}

/// Where a context leads, by the kubeconfig alone.
#[derive(Clone)]
pub struct Target {
    context: String,
    ca: Option<Digest>,
    /// The API server: `https://192.168.49.2:8443`.
    pub server: String,
    /// Asks it; connects with the first request.
    pub client: Client,
}

impl Target {
    /// Reads the kubeconfig. No request is made.
    ///
    /// # Errors
    /// When there is no such context, or its certificates cannot be read.
    pub async fn of(context: &str) -> Result<Self, Failure> {
        let config = config(context).await?;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let ca = config.root_cert.as_ref().map(|certificates| {
            let mut hasher = Hasher::new("ca/1");
            certificates.iter().for_each(|certificate| {
                hasher.field(certificate);
            });
            hasher.finish()
        });
        tls::install_provider();
        let client = kube_transport::client(config).map_err(|error| cannot_use(context).because_of(&error))?;
        Ok(Self { context: context.to_owned(), ca, server, client })
    }

    /// Whether both lead to the same address, by the same certificates.
    pub fn leads_where(&self, other: &Self) -> bool {
        self.server == other.server && self.ca == other.ca
    }

    /// Asks the cluster who it is. One request.
    ///
    /// # Errors
    /// See [`Unknown`].
    pub async fn identity(self) -> Result<Identity, Unknown> {
        let uid = uid(self.client, &self.context, &self.server).await?;
        Ok(Identity { uid, ca: self.ca, server: self.server })
    }
}

async fn uid(client: Client, context: &str, server: &str) -> Result<String, Unknown> {
    let namespaces: Api<Namespace> = Api::all(client);
    let what = || format!("the API server of the context `{context}` at {server}");
    let answer = tokio::time::timeout(HELLO, namespaces.get_metadata("kube-system")).await.map_err(|_| {
        Unknown::Silent(
            Failure::environment(format!("{} does not answer", what()))
                .because(format!("no reply within {HELLO:?}"))
                .help(IS_IT_RUNNING),
        )
    })?;
    match answer {
        Ok(namespace) => match namespace.metadata.uid {
            Some(uid) => Ok(uid),
            None => {
                let failure = Failure::environment(format!("{} gives no uid to kube-system", what()));
                Err(Unknown::Silent(failure.help(format!(
                    "something else than Kubernetes may answer there: kubectl --context {context} get namespace \
                     kube-system --output yaml"
                ))))
            }
        },
        Err(kube::Error::Api(status)) if status.code == 401 || status.code == 403 => {
            let failure = Failure::environment(format!("{} refuses this user", what())).because(&status.message);
            Err(Unknown::Refused(if status.code == 401 {
                failure.help("log in to the cluster anew, as its provider describes")
            } else {
                failure.help("ask for the right to `get` the namespace kube-system: the cluster is known by its uid")
            }))
        }
        Err(error) => {
            let failure = Failure::environment(format!("{} does not answer", what())).because_of(&error);
            let certificate = failure.causes.iter().any(|cause| cause.contains("certificate"));
            Err(Unknown::Silent(if certificate {
                failure.help(format!("another cluster may answer there now; write the context `{context}` anew"))
            } else {
                failure.help(IS_IT_RUNNING)
            }))
        }
    }
}

async fn config(context: &str) -> Result<Config, Failure> {
    // Reads the files that KUBECONFIG names, or ~/.kube/config.
    let kubeconfig = Kubeconfig::read().map_err(|error| {
        Failure::environment(format!("no kubeconfig with the context `{context}` can be read"))
            .because_of(&error)
            .help("KUBECONFIG names the files; without it, it is ~/.kube/config")
    })?;
    if !kubeconfig.contexts.iter().any(|known| known.name == context) {
        let names: Vec<_> = kubeconfig.contexts.iter().map(|known| format!("`{}`", known.name)).collect();
        let failure = Failure::environment(format!("the kubeconfig has no context `{context}`"));
        return Err(match names.as_slice() {
            [] => failure
                .because("it has none at all")
                .help("KUBECONFIG names the files; without it, it is ~/.kube/config"),
            names => failure
                .because(format!("it has {}", names.join(", ")))
                .help("name one of these in the table [cluster] of xtask.toml, if one is meant")
                .help("`cargo xtask deploy cluster` makes that of a minikube profile, or writes it anew"),
        });
    }
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| cannot_use(context).because_of(&error))?;
    config.connect_timeout = Some(Duration::from_secs(5));
    Ok(config)
}

fn cannot_use(context: &str) -> Failure {
    Failure::environment(format!("could not use the kubeconfig context `{context}`"))
        .help(format!("see what is wrong with it: kubectl --context {context} get namespace kube-system"))
}
