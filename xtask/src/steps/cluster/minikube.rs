//! A minikube profile of our own: made when there is none, brought back from whatever state it is in.
//!
//! Bringing it back is a loop of looking and acting on what is seen, so it comes to the same end from whatever state
//! an earlier run, a person or a reboot has left.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::time::Duration;

use engine::event::Level;
use engine::failure::{Class, Failure};
use engine::manifest::{Manifest, Source};
use engine::step::StepId;
use engine::verdict::Difference;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::api::ListParams;

use super::{Facts, Found, Observed, Presence, news};
use crate::context::Context;
use crate::dayzero::{bases, host_engine, node as node_image};
use crate::steps::log::Log;
use crate::steps::{Belonging, Scope};
use crate::world::daemon::Daemon;
use crate::world::machine::Machine;
use crate::world::minikube::mend;
use crate::world::minikube::node::{self, Node};
use crate::world::minikube::start::{Minikube, Told, Wanted, Work};
use crate::world::minikube::{Home, Look, Making, Profile, Ready};
use crate::world::tool::{Kind, Tools, Version};
use crate::world::{kube_client, port_holder, process};

/// How often something is done about what is wrong before giving up.
const ATTEMPTS: usize = 3;

/// How long a node that runs is given to answer again before it is stopped and started: most do within seconds, and
/// minikube itself waits for six minutes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The lock of a profile: the same for all checkouts, and not for profiles of another minikube home.
pub(super) fn lock_name(profile: &str) -> String {
    format!("minikube {profile} in {}", Home::find().path().display())
}

/// Adds what the node is made from.
pub(super) async fn gather(cx: &Context, wanted: &Wanted, manifest: &mut Manifest) -> Result<(), Failure> {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "minikube's default".to_owned());
    manifest.value(Source::Definition, "kubernetes", shown(wanted.kubernetes.clone()));
    manifest.value(Source::Definition, "cpus", shown(wanted.cpus.map(|cpus| cpus.to_string())));
    manifest.value(Source::Definition, "memory", shown(wanted.memory.map(|memory| format!("{memory} MiB"))));
    manifest.value(Source::Definition, "ports", wanted.ports.join(" "));
    manifest.value(Source::Definition, "start-args", wanted.start_args.join(" "));
    let tool = Tools::in_folder(&cx.workspace.state()).find(Kind::Minikube, &cx.cancel).await?;
    manifest.value(Source::Tool, "minikube", tool.version);
    Ok(())
}

/// The cluster as it is, or what is to be put right.
pub(super) async fn look(cx: &Context, profile: &str, wanted: &Wanted) -> Result<Result<Found, Difference>, Failure> {
    let look = match Look::through(cx.world.target(), &Daemon::of_host()?, &Home::find(), profile).await {
        Err(_) if host_engine::is_silent().await => {
            return Ok(Err(Difference::Unhealthy("the host's container engine does not answer".to_owned())));
        }
        look => look?,
    };
    Ok(match look {
        Look::Ready(ready) => match older_than(wanted, &ready.profile)? {
            None => Ok(found(*ready, wanted)),
            Some(version) => {
                let now = &ready.profile.kubernetes;
                Err(Difference::Altered(format!("{profile} runs Kubernetes {now}; declared is {version}")))
            }
        },
        Look::NoProfile => Err(Difference::Missing(format!("there is no minikube profile {profile}"))),
        look => {
            let trouble = look.trouble().unwrap_or_default();
            Err(Difference::Unhealthy(format!("{profile} {trouble}")))
        }
    })
}

/// Whether what is in the cluster can be looked at.
pub(super) async fn presence(cx: &Context, name: &str) -> Result<Presence, Failure> {
    let (host, home) = (Daemon::of_host()?, Home::find());
    let look = match Look::through(cx.world.target(), &host, &home, name).await {
        Ok(look) => look,
        Err(failure) if host_engine::is_silent().await => {
            return Ok(Presence::Silent(silent(cx, name, "does not run", Some(failure))));
        }
        // It is of a kind that cannot be deployed to; what is in it may answer all the same.
        Err(_) => return Ok(Presence::Answers),
    };
    Ok(match &look {
        Look::NoProfile => Presence::Absent,
        Look::Ready(_) => Presence::Answers,
        // Images are not to be had; everything else may be.
        Look::DaemonSilent(_) if answers(cx).await => Presence::Answers,
        _ => {
            let trouble = look.trouble().unwrap_or_default();
            Presence::Silent(silent(cx, name, trouble, look.cause()))
        }
    })
}

/// Whether the API server says who it is.
async fn answers(cx: &Context) -> bool {
    match cx.world.target().await {
        Ok(target) => target.identity().await.is_ok(),
        Err(_) => false,
    }
}

/// The error for a cluster in which nothing can be looked at.
fn silent(cx: &Context, name: &str, trouble: &str, cause: Option<Failure>) -> Failure {
    let failure = Failure::environment(format!("the minikube cluster {name} {trouble}"))
        .because("what is deployed in it can be neither looked at nor removed one by one");
    let failure = cause.map(|cause| cause.to_string()).into_iter().fold(failure, Failure::because);
    let failure = failure.help("start it: `cargo xtask deploy cluster`");
    let ours = Profile::read(&Home::find(), name).ok().flatten();
    match ours.filter(|profile| profile.made_for() == Some(cx.cluster_project.as_str())) {
        Some(_) if !cx.isolated => {
            failure.help("or remove it with all that is in it: `cargo xtask teardown --cluster --data`")
        }
        _ => failure,
    }
}

fn found(ready: Ready, wanted: &Wanted) -> Found {
    let Ready { identity, daemon, api, profile, node } = ready;
    let version = profile.kubernetes.trim_start_matches('v');
    let mut summary = format!("{}: minikube, Kubernetes {version}, docker API {api}, ready", profile.name);
    let assembled = node_image::assembled(&profile.image);
    if let Some(assembled) = &assembled {
        summary.push_str(&format!(", {assembled}"));
    }
    let facts = Facts {
        context: profile.name.clone(),
        profile: Some(profile.name.clone()),
        uid: identity.uid.clone(),
        kubernetes: Some(profile.kubernetes.clone()),
        daemon_api: Some(api),
        assembled: assembled.into_iter().collect(),
        ports: published(&wanted.ports, &node).filter_map(|port| Some(mapping(port)?.0.port())).collect(),
    };
    let observed = Observed { context: profile.name, identity, kubernetes: Some(profile.kubernetes) };
    Found { facts, observed, summary, node: Some(daemon) }
}

/// The declared version, if the node's is older: minikube raises it. It cannot lower it, and says so itself only
/// after it has begun.
fn older_than<'a>(wanted: &'a Wanted, profile: &Profile) -> Result<Option<&'a str>, Failure> {
    let Some(declared) = wanted.kubernetes.as_deref() else { return Ok(None) };
    let is = profile.kubernetes.trim_start_matches('v');
    let admitted = is.strip_prefix(declared).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+']));
    if admitted {
        return Ok(None);
    }
    if Version::parse(is) < Version::parse(declared) {
        return Ok(Some(declared));
    }
    let name = &profile.name;
    Err(Failure::new(
        Class::Cluster,
        format!("the minikube profile `{name}` runs Kubernetes {is}; declared is {declared}"),
    )
    .because("minikube cannot go back to an older version")
    .help(format!("write kubernetes = \"{is}\" in the table [cluster] of xtask.toml"))
    .help(format!("or make the cluster anew, without its data: `minikube delete -p {name}`, then deploy")))
}

/// What is needed to act on a profile.
struct Hands<'a> {
    cx: &'a Context,
    step: &'a StepId,
    host: Daemon,
    minikube: Minikube,
    wanted: Wanted,
    log: Log,
    /// When a node was started of which nothing ran before.
    started: Option<Timestamp>,
}

/// Makes the cluster what is declared.
pub(super) async fn perform(cx: &Context, step: &StepId, profile: &str, wanted: &Wanted) -> Result<Found, Failure> {
    host_engine::ensure(cx, step).await?;
    node_image::take_back_forgotten().await?;
    let mut hands = Hands::new(cx, step, profile, wanted).await?;
    hands.clear_half_made().await?;
    let mut done: Vec<&'static str> = Vec::new();
    loop {
        let look = Look::at(&hands.host, &Home::find(), profile).await?;
        let trouble = match &look {
            Look::Ready(ready) if older_than(&hands.wanted, &ready.profile)?.is_some() => "runs an older Kubernetes",
            Look::Ready(ready) => {
                hands.tell_what_cannot_change(ready);
                if let Some(start) = hands.started {
                    cx.world.note_started();
                    cx.progress(step, format!("{profile} is up; its pods come back"));
                    news::of_all_pods(kube_client::client(profile).await?, start, &cx.cancel).await;
                }
                return Ok(found((**ready).clone(), &hands.wanted));
            }
            look => look.trouble().unwrap_or_default(),
        };
        if done.len() == ATTEMPTS {
            let failure =
                Failure::step(format!("the minikube cluster `{profile}` {trouble}, whatever was done about it"));
            let failure = look.cause().map(|cause| cause.to_string()).into_iter().fold(failure, Failure::because);
            return Err(failure
                .help(format!("`minikube logs -p {profile}` shows what the node says"))
                .help(format!("make it anew, without its data: `minikube delete -p {profile}`, then deploy")));
        }
        if done.is_empty() {
            hands.require_docker().await?;
        }
        cx.progress(step, format!("{profile} {trouble}"));
        let again = done.contains(&trouble);
        done.push(trouble);
        hands.act(&look, again).await?;
    }
}

impl<'a> Hands<'a> {
    async fn new(cx: &'a Context, step: &'a StepId, profile: &str, wanted: &Wanted) -> Result<Self, Failure> {
        let tool = Tools::in_folder(&cx.workspace.state()).find(Kind::Minikube, &cx.cancel).await?;
        let mut wanted = wanted.clone();
        // What this machine needs comes first, so that the project may say otherwise.
        let of_machine = Machine::read()?.minikube.start_args;
        wanted.start_args = of_machine.into_iter().chain(wanted.start_args).collect();
        let host = Daemon::of_host()?;
        Ok(Self {
            cx,
            step,
            minikube: Minikube::new(tool.path, profile, &host),
            host,
            wanted,
            log: Log::create(cx, step)?,
            started: None,
        })
    }

    /// Whatever minikube does needs docker: the daemon and the client. What it says without them helps nobody.
    async fn require_docker(&self) -> Result<(), Failure> {
        self.host.api_version().await?;
        if process::resolve(OsStr::new("docker"), None).is_none() {
            return Err(Failure::environment("no docker found on PATH")
                .because("minikube makes its node by docker's command line client")
                .help("install docker: https://docs.docker.com/engine/install/"));
        }
        Ok(())
    }

    /// Does about `look` what has a chance to help; `again` when the same has been done before and did not.
    async fn act(&mut self, look: &Look, again: bool) -> Result<(), Failure> {
        match look {
            Look::NoProfile => {
                let ports: Vec<_> = self.wanted.ports.iter().filter_map(|port| Some(mapping(port)?.0)).collect();
                self.require_free(&ports).await?;
                let mark = Making::of(&Home::find(), self.minikube.profile());
                mark.begin()?;
                // The node's daemon reads nothing of what the host's was told.
                let flags = bases::mirror_flags(&bases::mirrors(&self.host).await, &self.wanted.start_args);
                self.wanted.start_args.extend(flags);
                self.start(Verb::Create).await?;
                mark.end()
            }
            // minikube cannot go on from there. The next look finds no profile.
            Look::Unfinished(profile) if profile.made_for() == Some(self.cx.cluster_project.as_str()) => {
                self.call(Verb::Delete).await
            }
            Look::Unfinished(profile) => {
                let name = &profile.name;
                Err(Failure::new(Class::Cluster, format!("the minikube profile `{name}` was not made to its end"))
                    .because("it was not made for this project, so it is not removed from here")
                    .help(format!("remove it, then deploy: `minikube delete -p {name}`")))
            }
            Look::NodeMissing(profile) => {
                mend::forget_settings(&self.host, profile).await?;
                self.started = Some(Timestamp::now());
                self.start(Verb::BringBack).await
            }
            Look::NodePaused => node::unpause(&self.host, self.minikube.profile()).await,
            // Takes a second where a start takes half a minute; where it cannot be done, a start can.
            Look::ContextMissing(_) if !again => match self.call(Verb::UpdateContext).await {
                Err(failure) if failure.class == Class::Step => self.start(Verb::BringBack).await,
                done => done,
            },
            Look::NodeStopped(node) => {
                let ports =
                    node.published.values().flatten().filter_map(|address| address.parse().ok()).collect::<Vec<_>>();
                self.require_free(&ports).await?;
                self.started = Some(Timestamp::now());
                match self.restart().await {
                    // Whoever made it was ended before everything was in it.
                    Err(failure) if failure.class == Class::Step => self.start(Verb::BringBack).await,
                    done => done,
                }
            }
            // What a start does not mend may be mended by one from the ground up: a port that the API server needs may be
            // held by one before it that the node's daemon has lost sight of.
            Look::DaemonSilent(_) | Look::ApiSilent(_) | Look::ContextMissing(_) if again => self.start_anew().await,
            Look::DaemonSilent(_) | Look::ApiSilent(_) => {
                // Of the machine's and the project's own, which come later, those count.
                let usual = self.wanted.start_args.clone();
                self.wanted.start_args.insert(0, format!("--wait-timeout={}s", PATIENCE.as_secs()));
                let started = self.start(Verb::BringBack).await;
                self.wanted.start_args = usual;
                match started {
                    Err(failure) if failure.class == Class::Step => self.start_anew().await,
                    done => done,
                }
            }
            _ => self.start(Verb::BringBack).await,
        }
    }

    /// Stops the node, with all that runs in it, and starts it.
    async fn start_anew(&mut self) -> Result<(), Failure> {
        self.call(Verb::Stop).await?;
        self.started = Some(Timestamp::now());
        self.start(Verb::BringBack).await
    }

    /// Removes what an earlier run of ours has begun to make and not ended: nothing has ever run in it.
    async fn clear_half_made(&mut self) -> Result<(), Failure> {
        let home = Home::find();
        let mark = Making::of(&home, self.minikube.profile());
        if !mark.was_cut_short() {
            return Ok(());
        }
        if Profile::read(&home, self.minikube.profile())?.is_some() {
            self.cx.progress(self.step, format!("{} was not made to its end", self.minikube.profile()));
            self.call(Verb::Delete).await?;
        }
        mark.end()
    }

    /// Has minikube start a node again that has all its parts.
    async fn restart(&mut self) -> Result<(), Failure> {
        let profile = Profile::read(&Home::find(), self.minikube.profile())?;
        let usual = self.wanted.start_args.clone();
        self.wanted.start_args.extend(profile.iter().flat_map(|profile| node_image::again(&profile.image)));
        let called = self.call(Verb::BringBack).await;
        self.wanted.start_args = usual;
        called
    }

    /// Has minikube start a node, with what it cannot get by itself on this machine.
    async fn start(&mut self, verb: Verb) -> Result<(), Failure> {
        let (declared, args) = (self.wanted.kubernetes.as_deref(), &self.wanted.start_args);
        let Some(assembled) = node_image::provide(self.cx, declared, args).await? else { return self.call(verb).await };
        let usual = self.wanted.clone();
        self.wanted.kubernetes = Some(assembled.kubernetes.to_owned());
        self.wanted.start_args.extend(assembled.args.iter().cloned());
        let called = self.call(verb).await;
        self.wanted = usual;
        let taken_back = assembled.take_back().await;
        called.and(taken_back)
    }

    async fn call(&mut self, verb: Verb) -> Result<(), Failure> {
        let (cx, step, log) = (self.cx, self.step, &mut self.log);
        let mut told = |told: Told<'_>| match told {
            Told::Line(line) => log.line(line),
            Told::Step(text) => cx.progress(step, text),
            Told::Warning(text) => cx.line(step, text),
        };
        let work = &mut Work { told: &mut told, cancel: &cx.cancel };
        let called = match verb {
            Verb::Create => self.minikube.create(&self.wanted, &cx.cluster_project, work).await,
            Verb::BringBack => self.minikube.bring_back(&self.wanted, work).await,
            Verb::UpdateContext => self.minikube.update_context(work).await,
            Verb::Stop => self.minikube.stop(work).await,
            Verb::Delete => self.minikube.delete(work).await,
        };
        called.map_err(|failure| match failure.class {
            Class::Interrupted => failure,
            _ => failure.help(format!("the whole log is in {}", self.log.shown())),
        })
    }

    /// The ports that the node will take on this machine have to be free: minikube finds out only after minutes.
    async fn require_free(&self, ports: &[SocketAddr]) -> Result<(), Failure> {
        match ports.iter().find(|at| !port_holder::is_free(at.ip(), at.port())) {
            Some(at) => Err(port_holder::in_use(&self.host, at.ip(), at.port())
                .await
                .because(format!("the node of the minikube profile `{}` needs it", self.minikube.profile()))
                .help("or choose another one: `ports` in the table [cluster] of xtask.toml")),
            None => Ok(()),
        }
    }

    /// What the declaration says of the node's making and the node is not.
    fn tell_what_cannot_change(&self, ready: &Ready) {
        let Ready { profile, node, .. } = ready;
        let mut differences = Vec::new();
        if let Some(cpus) = self.wanted.cpus.filter(|cpus| *cpus != profile.cpus) {
            differences.push(format!("{} CPUs instead of {cpus}", profile.cpus));
        }
        if let Some(memory) = self.wanted.memory.filter(|memory| *memory != profile.memory) {
            differences.push(format!("{} MiB of memory instead of {memory}", profile.memory));
        }
        differences.extend(unpublished(&self.wanted.ports, node).map(|port| format!("no port {port}")));
        if !differences.is_empty() {
            let what = differences.join(", ");
            let name = &profile.name;
            let text = format!(
                "the node {name} has {what}: that is settled when a node is made (`minikube delete -p {name}`, then deploy)"
            );
            self.cx.note(self.step, Level::Warning, text);
        }
    }
}

/// What minikube is told to do.
#[derive(Clone, Copy)]
enum Verb {
    Create,
    BringBack,
    UpdateContext,
    Stop,
    Delete,
}

/// The two sides of `127.0.0.1:30080:30080`.
fn mapping(port: &str) -> Option<(SocketAddr, u16)> {
    let (host, node) = port.rsplit_once(':')?;
    Some((host.parse().ok()?, node.parse().ok()?))
}

/// The declared ports that lead into the node.
fn published<'a>(declared: &'a [String], node: &Node) -> impl Iterator<Item = &'a String> {
    declared.iter().filter(|port| leads_into(node, port))
}

/// The declared ports that do not.
fn unpublished<'a>(declared: &'a [String], node: &Node) -> impl Iterator<Item = &'a String> {
    declared.iter().filter(|port| !leads_into(node, port))
}

fn leads_into(node: &Node, port: &str) -> bool {
    mapping(port).is_some_and(|(at, inner)| {
        let same = |address: &String| address.parse::<SocketAddr>().is_ok_and(|other| other.port() == at.port());
        node.published.get(&inner).is_some_and(|addresses| addresses.iter().any(same))
    })
}

/// Whether teardown takes the cluster away, and if not, why.
async fn fate(project: &str, profile: &Profile, scope: Scope) -> Option<String> {
    match profile.made_for() {
        None => return Some("it was not made by this tool".to_owned()),
        Some(other) if other != project => return Some(format!("it was made for the project {other}")),
        Some(_) => {}
    }
    if !scope.cluster {
        return Some("--cluster removes it".to_owned());
    }
    if scope.data {
        return None;
    }
    match volumes(&profile.name).await {
        Some(0) => None,
        Some(_) => Some("there are volumes in it: --cluster --data removes both".to_owned()),
        None => Some("it does not answer, and there may be volumes in it: --cluster --data removes both".to_owned()),
    }
}

/// How many volumes there are; `None` when the cluster does not answer.
async fn volumes(context: &str) -> Option<usize> {
    // One that is paused would take a request and never answer it.
    let Ok(Look::Ready(_)) = Look::at(&Daemon::of_host().ok()?, &Home::find(), context).await else { return None };
    let client = kube_client::client(context).await.ok()?;
    let volumes: Api<PersistentVolume> = Api::all(client);
    Some(volumes.list_metadata(&ListParams::default()).await.ok()?.items.len())
}

pub(super) async fn belongings(project: &str, name: &str, scope: Scope) -> Result<Vec<Belonging>, Failure> {
    let Some(profile) = Profile::read(&Home::find(), name)? else { return Ok(Vec::new()) };
    let what = format!("minikube cluster {name} with all that is in it");
    Ok(vec![Belonging { what, kept: fate(project, &profile, scope).await }])
}

pub(super) async fn remove(cx: &Context, step: &StepId, name: &str, scope: Scope) -> Result<(), Failure> {
    match Profile::read(&Home::find(), name)? {
        Some(profile) if fate(&cx.cluster_project, &profile, scope).await.is_none() => {
            Hands::new(cx, step, name, &Wanted::default()).await?.call(Verb::Delete).await
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use engine::failure::Class;

    use super::{Node, Profile, Wanted, older_than, published, unpublished};

    fn profile(kubernetes: &str) -> Profile {
        let text = format!(
            r#"{{"Driver": "docker", "KubernetesConfig": {{"KubernetesVersion": "{kubernetes}", "ContainerRuntime": "docker"}}}}"#
        );
        Profile::parse(&text, "todo", "config.json".into()).unwrap()
    }

    #[test]
    fn kubernetes_is_raised_but_never_lowered() {
        let rows = [
            (None, "v1.34.4", Ok(None)),
            (Some("1.34"), "v1.34.4", Ok(None)),
            (Some("1.34.4"), "v1.34.4", Ok(None)),
            (Some("1.34.4"), "v1.34.3", Ok(Some("1.34.4"))),
            (Some("1.3"), "v1.34.4", Err(Class::Cluster)),
            (Some("1.35"), "v1.34.4", Ok(Some("1.35"))),
            (Some("1.33"), "v1.34.4", Err(Class::Cluster)),
            (Some("1.34.1"), "v1.34.4", Err(Class::Cluster)),
        ];
        for (declared, is, expected) in rows {
            let wanted = Wanted { kubernetes: declared.map(str::to_owned), ..Wanted::default() };
            let found = older_than(&wanted, &profile(is)).map_err(|failure| failure.class);
            assert_eq!(found, expected, "{declared:?} {is}");
        }
    }

    #[test]
    fn declared_ports_that_lead_nowhere_are_found() {
        let ports = [(30080, vec!["127.0.0.1:30080".to_owned()]), (30443, vec!["127.0.0.1:8443".to_owned()])].into();
        let node = Node { state: crate::world::minikube::node::State::Running, published: ports };
        let declared = ["127.0.0.1:30080:30080", "127.0.0.1:9443:30443", "127.0.0.1:1:2"].map(str::to_owned);
        let found: Vec<_> = unpublished(&declared, &node).collect();
        assert_eq!(found, ["127.0.0.1:9443:30443", "127.0.0.1:1:2"]);
        assert_eq!(published(&declared, &node).collect::<Vec<_>>(), ["127.0.0.1:30080:30080"]);
    }
}
