//! `forward`: local ports that lead to Services, and go on leading there while pods come and go.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use engine::config::{GraphFile, ServicePort};
use engine::failure::{Class, Failure};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::isolate::Isolate;
use super::problem::Problem;
use super::session::{Record, Session};
use super::{Format, Global};
use crate::report::failure;
use crate::report::style::{DOING, GOOD, WARNING, verb};
use crate::world::forward::listener::{Event, Events, Forward, NotBound, PATIENCE};
use crate::world::forward::{At, Port, number};

/// What is to be forwarded.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// `[NAMESPACE/]SERVICE[:PORT][=LOCAL]`; the Services that are checked when none is named. A port below 1024
    /// gets a local one that is 8000 higher; those of an isolated deployment are where `dev` opens them
    #[arg(value_name = "SERVICE[:PORT]")]
    pub services: Vec<String>,
    /// Which deployment
    #[command(flatten)]
    pub isolate: Isolate,
}

/// Forwards until it is interrupted.
///
/// # Errors
/// When the graph file has mistakes, there is no such Service, or a local port is in use.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let session = Session::begin_as(global, "forward", Record::Nothing, request.isolate.name(), Vec::new())?;
    session.recognise().await?;
    let file = &session.project.file;
    let wanted = wanted(file, &request.services)?;
    let client = session.unless_interrupted(session.cx.world.kube()).await?;
    let mut forwards = Vec::new();
    for Wanted { at, local } in wanted {
        // Asked also where the local port is given: what is misspelt is told now, not waited for.
        let number = session.unless_interrupted(number(&client, &at)).await?;
        let service = ServicePort { name: at.service.clone(), port: number };
        let port = local.unwrap_or_else(|| file.local_port(&service));
        let opened = async {
            let opened = Forward::open(Arc::clone(&session.cx.world), at.clone(), port, PATIENCE).await;
            opened.map_err(|taken| offering(&at, taken))
        };
        let forward = session.unless_interrupted(opened).await?;
        show(global.format, &forward);
        forwards.push(forward);
    }
    let told = forwards.iter().map(|forward| tell(global.format, forward.at().clone(), forward.events()));
    tokio::select! {
        // They are told of until they are closed.
        _ = join_all(told) => {}
        () = session.cx.cancel.cancelled() => {}
    }
    join_all(forwards.into_iter().map(Forward::close)).await;
    Ok(ExitCode::from(Class::Interrupted.exit_code()))
}

/// The error for a port that is in use offers the next one.
fn offering(at: &At, taken: NotBound) -> Failure {
    let NotBound { failure, free } = taken;
    let service = at.to_string();
    let service = service.trim_start_matches("service ");
    free.into_iter().fold(failure, |failure, port| {
        failure.help(format!("or take another port: cargo xtask forward {}/{service}={port}", at.namespace))
    })
}

fn show(format: Format, forward: &Forward) {
    let at = forward.at();
    let line = match format {
        Format::Human => format!("{}http://{} to {at}", verb(GOOD, "Forwarding"), forward.local()),
        Format::Json => {
            json!({"local": forward.local().to_string(), "namespace": at.namespace, "service": at.service}).to_string()
        }
    };
    // A closed pipe is the reader's choice; the ports stay.
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Shows what happens to a forward until it is closed.
async fn tell(format: Format, at: At, mut events: Events) {
    while let Some(event) = events.next().await {
        let line = match format {
            Format::Human => human(&at, &event),
            Format::Json => format!("{}\n", machine(&at, &event)),
        };
        let _ = match (format, &event) {
            (Format::Human, Event::Dropped(_)) => write!(anstream::stderr(), "{line}"),
            _ => write!(anstream::stdout(), "{line}"),
        };
    }
}

fn human(at: &At, event: &Event) -> String {
    match event {
        Event::Pods(pods) if pods.is_empty() => format!("{}{at} has no ready pod now\n", verb(WARNING, "Waiting")),
        Event::Pods(pods) => format!("{}{at}: {}\n", verb(DOING, "Ready"), pods.join(", ")),
        Event::Waiting(why) => format!("{}a connection to {at}: {why}\n", verb(WARNING, "Waiting")),
        Event::Dropped(failure) => failure::render(failure),
        Event::Lost(why) => format!("{}{why}; trying again\n", verb(WARNING, "Lost")),
        Event::Back => format!("{}{at}: the API server answers again\n", verb(GOOD, "Back")),
    }
}

fn machine(at: &At, event: &Event) -> Value {
    let (name, pods, failure) = match event {
        Event::Pods(pods) => ("pods", Some(pods), None),
        Event::Waiting(failure) => ("waiting", None, Some(failure)),
        Event::Dropped(failure) => ("dropped", None, Some(failure)),
        Event::Lost(failure) => ("lost", None, Some(failure)),
        Event::Back => ("back", None, None),
    };
    let mut line = json!({"event": name, "namespace": at.namespace, "service": at.service});
    if let Some(pods) = pods {
        line["pods"] = json!(pods);
    }
    if let Some(failure) = failure {
        line["failure"] = json!(failure);
    }
    line
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
