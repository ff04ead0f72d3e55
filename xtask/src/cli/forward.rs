//! `forward`: local ports that lead to Services, and go on leading there while pods come and go.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use engine::config::GraphFile;
use engine::failure::{Class, Failure};
use serde_json::json;
use tokio::task::JoinSet;

use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global};
use crate::report::failure;
use crate::report::style::{GOOD, verb};
use crate::world::daemon::Daemon;
use crate::world::forward::listener::Forward;
use crate::world::forward::{At, Port};
use crate::world::port_holder;

/// What is to be forwarded.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// `[NAMESPACE/]SERVICE[:PORT][=LOCAL]`; the Services that are checked when none is named. A port below 1024
    /// gets a local one that is 8000 higher
    #[arg(value_name = "SERVICE[:PORT]")]
    pub services: Vec<String>,
}

/// Forwards until it is interrupted.
///
/// # Errors
/// When the graph file has mistakes, there is no such Service, or a local port is in use.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let session = Session::begin(global, "forward", Record::Nothing)?;
    session.recognise().await?;
    let wanted = wanted(&session.project.file, &request.services)?;
    let client = session.cx.world.kube().await?;
    let mut forwards = JoinSet::new();
    for Wanted { at, local } in wanted {
        let forward = match Forward::bind(client.clone(), at, local).await {
            Ok(forward) => forward,
            Err(taken) => return Err(told(taken).await.into()),
        };
        let line = match global.format {
            Format::Human => format!("{}http://{} to {}", verb(GOOD, "Forwarding"), forward.local(), forward.at()),
            Format::Json => {
                let at = forward.at();
                json!({"local": forward.local().to_string(), "namespace": at.namespace, "service": at.service})
                    .to_string()
            }
        };
        // A closed pipe is the reader's choice; the ports stay.
        let _ = writeln!(anstream::stdout(), "{line}");
        forwards.spawn(forward.serve(|dropped| {
            let _ = write!(anstream::stderr(), "{}", failure::render(&dropped));
        }));
    }
    tokio::select! {
        // They serve until they are dropped.
        _ = forwards.join_next() => Ok(ExitCode::SUCCESS),
        () = session.cx.cancel.cancelled() => Ok(ExitCode::from(Class::Interrupted.exit_code())),
    }
}

/// A port that is in use is told with who has it.
async fn told(failure: crate::world::forward::listener::NotBound) -> Failure {
    match (failure.taken, Daemon::of_host()) {
        (Some(address), Ok(host)) => {
            let holder = port_holder::in_use(&host, address.ip(), address.port()).await;
            failure.failure.help.into_iter().fold(holder, Failure::help)
        }
        _ => failure.failure,
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    at: At,
    local: Option<u16>,
}

fn wanted(file: &GraphFile, services: &[String]) -> Result<Vec<Wanted>, Failure> {
    if services.is_empty() {
        let checked: BTreeSet<Wanted> = file
            .checks
            .values()
            .map(|check| At {
                namespace: check.namespace.clone(),
                service: check.service.name.clone(),
                port: Port::Number(check.service.port),
            })
            .map(|at| Wanted { at, local: None })
            .collect();
        if checked.is_empty() {
            return Err(Failure::usage("no Service is named, and the graph file checks none")
                .help("name one: cargo xtask forward SERVICE:PORT"));
        }
        return Ok(checked.into_iter().collect());
    }
    services.iter().map(|word| parse(file, word)).collect()
}

fn parse(file: &GraphFile, word: &str) -> Result<Wanted, Failure> {
    let (service, local) = match word.split_once('=') {
        Some((service, local)) => {
            let port = local.parse().map_err(|_| {
                Failure::usage(format!("`{local}` in `{word}` is no port"))
                    .help("write SERVICE:PORT=LOCAL, for example todo-frontend:80=3000")
            })?;
            (service, Some(port))
        }
        None => (word, None),
    };
    if let Some((namespace, service)) = service.split_once('/') {
        return Ok(Wanted { at: At::parse(namespace, service), local });
    }
    let mut at = At::parse("", service);
    // A checked Service says where it is; else the only namespace that anything is deployed into.
    let checked = file.checks.values().find(|check| check.service.name == at.service);
    let deployed: BTreeSet<&String> = file
        .releases
        .values()
        .map(|release| &release.namespace)
        .chain(file.manifests.values().map(|manifests| &manifests.namespace))
        .collect();
    let only = if deployed.len() == 1 { deployed.first().copied() } else { None };
    at.namespace = checked.map(|check| &check.namespace).or(only).cloned().ok_or_else(|| {
        Failure::usage(format!("it is not clear in which namespace `{service}` is"))
            .help(format!("write NAMESPACE/{service}"))
    })?;
    Ok(Wanted { at, local })
}
