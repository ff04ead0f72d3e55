//! `dev`: deploys, then keeps running containers as the sources are, until it is told to stop.

mod alone;
mod deploying;
mod keys;
mod logs;
mod own_sources;
mod ports;
mod restore;
mod screen;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use engine::config::GraphFile;
use engine::failure::{Class, Failure};
use engine::files::Gatherer;
use engine::lock::Locks;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Global;
use super::isolate::Isolate;
use super::problem::Problem;
use super::session::{Project, listen, verbosity};
use crate::dev::concern::{Concern, Concerned};
use crate::dev::link::{Desired, News, What};
use crate::dev::pods;
use crate::dev::sources::Sources;
use crate::dev::watch::{Burst, Watch};
use crate::redact::Redactor;
use crate::report::{failure, words};
use crate::workspace::Workspace;
use crate::world::backoff::Backoff;
use crate::world::contact::Contact;
use crate::world::forward::listener::Event as PortEvent;
use crate::world::pods::follow::News as LogNews;
use crate::world::process::Command;
use crate::world::{World, inherited, kube_client, pause};
use alone::alone;
use deploying::{Deploying, Ended, Orders};
use keys::{Key, Keys};
use logs::Followed;
use own_sources::OwnSources;
use ports::Ports;
use restore::{Restored, restore};
use screen::{Place, Screen};

/// How to develop.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// At the end, leave the pods as they are; the next deploy puts them back
    #[arg(long)]
    pub keep: bool,
    /// Which deployment
    #[command(flatten)]
    pub isolate: Isolate,
    /// Which log lines are shown
    #[command(flatten)]
    pub logs: logs::Wanted,
    /// Do not ask before this machine is changed: docker installed or started
    #[arg(long)]
    pub yes: bool,
}

/// Deploys and follows the sources until it is interrupted.
///
/// # Errors
/// When the graph file has mistakes, the workspace cannot be watched, or the pods cannot be put back.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let project = Project::load(global)?;
    if project.file.dev.is_empty() {
        return Err(Failure::usage("no image says how it is developed").help(
            "add a table: [dev.NAME] with target, runtime, sync and command, NAME being an image's; docs/development.md has \
             one for FastAPI and one for Next.js",
        )
        .into());
    }
    let stop = CancellationToken::new();
    listen(stop.clone())?;
    let screen = Screen::new(global.format, verbosity(global));
    let keys = if screen.is_live() { Keys::listen() } else { None };
    let (sender, news) = mpsc::unbounded_channel();
    let redactor: Arc<Redactor> = Arc::default();
    let watch = Watch::begin(&project.file.root)?;
    let mut file = project.file.clone();
    if let Some(isolation) = request.isolate.name() {
        file.isolate(isolation, &BTreeMap::new())?;
    }
    let _alone = alone(&file, &Locks::of_this_user()?)?;
    let mut development = Development {
        global: global.clone(),
        request: request.clone(),
        screen: screen.clone(),
        root: project.file.root.clone(),
        images: BTreeMap::new(),
        concern: None,
        own: OwnSources::below(&project.file.root),
        builds: JoinSet::new(),
        anew: false,
        opened: JoinSet::new(),
        looks: BTreeMap::new(),
        look: 0,
        news: sender,
        tasks: JoinSet::new(),
        ports: Ports::new(inherited::take()),
        logs: Followed::new(request.logs.clone(), Arc::clone(&redactor)),
        redactor,
        url: None,
        why: Vec::new(),
        deploying: None,
        again: None,
        again_at: None,
        backoff: Backoff::between(SOON, SELDOM),
        failures: Vec::new(),
        paused: None,
        broken: BTreeMap::new(),
    };
    let ended = development.live(watch, news, keys, &stop).await;
    development.tasks.abort_all();
    if let (Ok(End::Anew), Some(own)) = (&ended, &development.own) {
        // It finds the pods as they are, and the ports open.
        screen.close();
        return Err(own.start_anew(&development.ports.hand_over().await).into());
    }
    screen.set(Place::Keys, "");
    screen.set(Place::State, "putting pods back on built images; Ctrl-C again leaves them");
    let restored = development.leave().await;
    screen.close();
    ended?;
    restored?;
    Ok(ExitCode::from(if stop.is_cancelled() { Class::Interrupted.exit_code() } else { 0 }))
}

/// Why the loop ends.
enum End {
    /// Somebody wants it to.
    Told,
    /// It goes on in a program that was built anew.
    Anew,
}

/// An image whose containers follow their sources.
struct Image {
    sources: Sources,
    desired: watch::Sender<Desired>,
}

/// What has changed while changes wait.
#[derive(Default)]
struct Waiting {
    anything: bool,
    graph_file: bool,
}

/// What is done where a look finds what the last one has found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Nothing.
    Compare,
    /// It is sent once more: what was found could not be read.
    Send,
}

/// A look at the files that has found a change.
struct Look {
    since: Instant,
    image: String,
    change: String,
    /// It is in the container, where the application starts with it.
    starting: bool,
}

struct Development {
    global: Global,
    request: Request,
    screen: Screen,
    root: PathBuf,
    images: BTreeMap<String, Image>,
    /// Which files the graph depends on, once the graph file could be read.
    concern: Option<Concern>,
    /// The tool itself, where its sources are here.
    own: Option<OwnSources>,
    builds: JoinSet<Result<(), Failure>>,
    /// The loop goes on in a new program when the run under way has ended.
    anew: bool,
    /// Browsers that were opened.
    opened: JoinSet<()>,
    /// The looks that have not become live yet.
    looks: BTreeMap<u64, Look>,
    look: u64,
    news: mpsc::UnboundedSender<News>,
    tasks: JoinSet<()>,
    ports: Ports,
    logs: Followed,
    /// Knows the secrets of all runs.
    redactor: Arc<Redactor>,
    /// Where the node publishes the application, if it does.
    url: Option<String>,
    /// Why steps of the last run ran.
    why: Vec<String>,
    deploying: Option<Deploying>,
    /// The graph has to run once more when the present run has ended.
    again: Option<Orders>,
    /// When the graph is run again although no file has changed: something out there is not as it was.
    again_at: Option<Instant>,
    /// Between such runs that failed.
    backoff: Backoff,
    /// What the last run failed with.
    failures: Vec<Failure>,
    /// Changes wait; those that do.
    paused: Option<Waiting>,
    /// What is wrong, by what it is wrong with, until it is mended.
    broken: BTreeMap<String, String>,
}

impl Development {
    async fn live(
        &mut self,
        mut watch: Watch,
        mut news: mpsc::UnboundedReceiver<News>,
        mut keys: Option<Keys>,
        stop: &CancellationToken,
    ) -> Result<End, Problem> {
        self.screen.set(Place::Keys, if keys.is_some() { keys::HELP } else { "" });
        self.follow_images(Instant::now()).await?;
        self.deploy(Orders { may_change_machine: self.request.yes, ..Orders::default() });
        loop {
            let key = async {
                match &mut keys {
                    Some(keys) => keys.next().await,
                    None => std::future::pending().await,
                }
            };
            let deployed = async {
                match &mut self.deploying {
                    Some(deploying) => deploying.ended().await,
                    None => std::future::pending().await,
                }
            };
            let (again_at, paused) = (self.again_at, self.paused.is_some());
            tokio::select! {
                burst = watch.burst() => self.changed(burst?).await,
                Some(heard) = news.recv() => self.heard(heard).await,
                told = self.logs.next() => {
                    self.logs.show(&told, &self.screen);
                    if matches!(told, LogNews::Contact(Contact::Back)) {
                        self.reached_again();
                    }
                }
                (at, told) = self.ports.next() => {
                    ports::tell(&self.screen, &at, &told);
                    if matches!(told, PortEvent::Back) {
                        self.reached_again();
                    }
                }
                ended = deployed => {
                    self.why = self.deploying.take().map(|deploying| deploying.reasons()).unwrap_or_default();
                    if self.anew && self.builds.is_empty() {
                        return Ok(End::Anew);
                    }
                    self.deployed(ended);
                }
                Some(built) = self.builds.join_next(), if !self.builds.is_empty() => {
                    self.anew = self.own_built(built);
                    // A run that is under way would be half done.
                    if self.anew && self.deploying.is_none() {
                        return Ok(End::Anew);
                    }
                }
                () = until(again_at), if !paused => {
                    self.again_at = None;
                    self.deploy(Orders::default());
                }
                Some(key) = key => match key {
                    Key::Quit => return Ok(End::Told),
                    key => self.pressed(key).await,
                },
                () = stop.cancelled() => return Ok(End::Told),
            }
        }
    }

    fn isolation(&self) -> Option<&str> {
        self.request.isolate.name()
    }

    /// Reads the graph file and follows the images that it names.
    async fn follow_images(&mut self, since: Instant) -> Result<(), Problem> {
        let mut file = Project::load(&self.global)?.file;
        let mut workspace = Workspace::at(self.root.clone());
        if let Some(isolation) = self.isolation() {
            workspace = workspace.isolated(isolation);
            file.isolate(isolation, &workspace.local_ports())?;
        }
        self.tasks = JoinSet::new();
        self.images.clear();
        let gatherer = Arc::new(Gatherer::new(workspace.for_dev().stat_cache()));
        let context = file.cluster.as_ref().map_or("", |cluster| cluster.kube_context());
        let world = Arc::new(World::of_context(context));
        self.ports.follow(&file, &world, &self.screen).await;
        self.screen.set(Place::Ports, &self.ports.line());
        self.logs.follow(&file, &world);
        self.concern = Some(Concern::of(&file, Arc::clone(&gatherer)).await?);
        for (name, dev) in &file.dev {
            let Some(image) = file.images.get(name) else { continue };
            let sources = Sources::new(name, image, dev, &self.root, Arc::clone(&gatherer))?;
            let (desired, wanted) = watch::channel(Desired::default());
            for namespace in namespaces(&file, name) {
                let (source, wanted, news) = (sources.source(), wanted.clone(), self.news.clone());
                let context = context.to_owned();
                self.tasks.spawn(async move {
                    loop {
                        // Before the first deploy there may be no cluster yet, and it may be made anew.
                        if let Ok(client) = kube_client::client(&context).await {
                            pods::keep(client, namespace.clone(), Arc::clone(&source), wanted.clone(), news.clone())
                                .await;
                        }
                        pause(AGAIN).await;
                    }
                });
            }
            self.images.insert(name.clone(), Image { sources, desired });
        }
        self.look_at(since, Again::Compare, |_| true).await;
        Ok(())
    }

    /// Has the tool built from its changed sources.
    fn build_own(&mut self) {
        let Some(own) = self.own.clone() else { return };
        // One that is under way compiles what was there before.
        self.builds.abort_all();
        self.screen.doing("Building", "the tool, whose sources have changed");
        self.screen.fact(&json!({"event": "building-tool"}));
        self.builds.spawn(async move { own.build(&CancellationToken::new()).await });
    }

    /// Whether the loop goes on in the program that was built.
    fn own_built(&mut self, built: Result<Result<(), Failure>, tokio::task::JoinError>) -> bool {
        match built {
            Ok(Ok(())) => return true,
            Ok(Err(failed)) => {
                self.screen.line(&failure::render(&failed));
                self.screen.fact(&json!({"event": "tool-not-built", "failure": failed}));
                self.broken.insert(TOOL.to_owned(), failed.message);
                self.show_trouble();
            }
            // Another build has taken its place.
            Err(_) => {}
        }
        false
    }

    /// Files may have changed.
    async fn changed(&mut self, burst: Burst) {
        if burst.lost {
            self.screen.warning("Overflow", "more has changed than the kernel could tell; looking at all files");
            self.screen.fact(&json!({"event": "overflow"}));
        }
        if self.own.as_ref().is_some_and(|own| own.concern(&burst.paths)) {
            self.build_own();
        }
        let graph_file =
            burst.lost || burst.paths.iter().any(|path| path.parent() == Some(&self.root) && is_graph_file(path));
        if let Some(waiting) = &mut self.paused {
            waiting.anything = true;
            waiting.graph_file |= graph_file;
            return;
        }
        if graph_file {
            self.read_graph_file(burst.since).await;
        }
        self.look_at(burst.since, Again::Compare, |sources| burst.paths.iter().any(|path| sources.syncs(path))).await;
        let concerned = match &mut self.concern {
            Some(concern) => concern.of_changes(&burst.paths, burst.lost).await,
            None => Concerned::default(),
        };
        if (graph_file || concerned.any()) && !self.broken.contains_key(GRAPH_FILE) {
            if let Some(deploying) = &self.deploying {
                deploying.supersede(&concerned.images);
            }
            self.deploy(Orders::default());
        }
    }

    /// Follows the images of a graph file that has changed; while it has mistakes, those of the last good one.
    async fn read_graph_file(&mut self, since: Instant) {
        match self.follow_images(since).await {
            Ok(()) => drop(self.broken.remove(GRAPH_FILE)),
            Err(problem) => {
                self.screen.line(&problem.render());
                self.broken.insert(GRAPH_FILE.to_owned(), "the graph file has mistakes".to_owned());
            }
        }
        self.show_trouble();
    }

    /// Lets changes through that have waited.
    async fn go_on(&mut self, waiting: Waiting) {
        self.show_state();
        if !waiting.anything {
            return;
        }
        match waiting.graph_file {
            true => self.read_graph_file(Instant::now()).await,
            false => self.look_at(Instant::now(), Again::Compare, |_| true).await,
        }
        if let Some(concern) = &mut self.concern {
            concern.of_changes(&BTreeSet::new(), true).await;
        }
        if !self.broken.contains_key(GRAPH_FILE) {
            self.deploy(Orders::default());
        }
    }

    /// Looks at the images that are concerned, and has what has changed sent.
    async fn look_at(&mut self, since: Instant, again: Again, concerned: impl Fn(&Sources) -> bool) {
        for (name, image) in &self.images {
            if !concerned(&image.sources) {
                continue;
            }
            let wanted = match image.sources.look().await {
                Ok(wanted) => wanted,
                Err(failed) => {
                    self.screen.line(&failure::render(&failed));
                    self.broken.insert(files_of(name), failed.message);
                    continue;
                }
            };
            self.broken.remove(&files_of(name));
            let Desired { look: last, wanted: before, .. } = image.desired.borrow().clone();
            let changed = wanted.changed_since(&before);
            if changed.is_empty() && last > 0 {
                if again == Again::Send {
                    image.desired.send_modify(|_| {});
                }
                continue;
            }
            self.look += 1;
            if let Some(first) = changed.first().filter(|_| last > 0) {
                let change = match changed.len() {
                    1 => first.clone(),
                    more => format!("{first} and {} more", more - 1),
                };
                self.looks.insert(self.look, Look { since, image: name.clone(), change, starting: false });
            }
            let look = self.look;
            image.desired.send_modify(|desired| {
                desired.look = look;
                desired.wanted = Arc::new(wanted);
            });
        }
        self.show_trouble();
    }

    /// Begins a run of the graph, or has the present one followed by another.
    fn deploy(&mut self, orders: Orders) {
        match &self.deploying {
            Some(_) => {
                let before = self.again.unwrap_or_default();
                self.again = Some(Orders { rebuild: orders.rebuild || before.rebuild, ..orders });
            }
            None => {
                self.remember_ports();
                self.deploying =
                    Some(Deploying::begin(&self.global, self.isolation(), orders, &self.screen, &self.redactor));
                self.show_state();
            }
        }
    }

    /// Every run tells the application the addresses that are open here, also those to come from this checkout.
    fn remember_ports(&self) {
        let Some(isolation) = self.isolation() else { return };
        let workspace = Workspace::at(self.root.clone()).isolated(isolation);
        if let Err(failed) = workspace.remember_local_ports(&self.ports.local()) {
            self.screen.line(&failure::render(&failed));
        }
    }

    fn deployed(&mut self, ended: Ended) {
        match ended {
            Ended::Well(headline) => {
                self.broken.remove(GRAPH);
                self.failures.clear();
                self.backoff.reset();
                let words = headline.as_deref().into_iter().flat_map(str::split_whitespace);
                self.url = words.into_iter().find(|word| word.starts_with("http")).map(str::to_owned);
            }
            // What a further change has overtaken is not worth a word.
            Ended::Badly { .. } if self.again.is_some() => {}
            Ended::Badly { failures, may_mend_itself } => {
                // What the next attempt fails with, too, is at the bottom of the screen.
                for failed in failures.iter().filter(|failed| !self.failures.contains(failed)) {
                    self.screen.line(&failure::render(failed));
                }
                let first = failures.first().map_or_else(String::new, |failed| failed.message.clone());
                self.broken.insert(GRAPH.to_owned(), first);
                self.failures = failures;
                if may_mend_itself {
                    self.try_again_later();
                }
            }
            Ended::Never(problem) => {
                self.screen.line(&problem.render());
                self.screen.fact(&json!({"event": "not-run", "why": problem.render()}));
                self.broken.insert(GRAPH.to_owned(), "the graph could not be run".to_owned());
                if problem.exit_code() == Class::Environment.exit_code() {
                    self.try_again_later();
                }
            }
            Ended::Cancelled => {}
        }
        self.show_trouble();
        match self.again.take() {
            Some(orders) => self.deploy(orders),
            None => {
                self.show_state();
                self.screen.fact(&json!({"event": "watching"}));
            }
        }
    }

    /// A pod that was replaced is nothing; a Deployment, a namespace or a node that has gone is found by looking.
    fn look_again(&mut self) {
        self.again_at.get_or_insert(Instant::now() + SETTLED);
    }

    /// The API server was away, and what waits for it need not wait for long.
    fn reached_again(&mut self) {
        self.backoff.reset();
        let soon = Instant::now() + SOON;
        self.again_at = Some(self.again_at.map_or(soon, |at| at.min(soon)));
    }

    fn try_again_later(&mut self) {
        let wait = self.backoff.grow();
        self.again_at = Some(Instant::now() + wait);
        self.screen.fact(&json!({"event": "trying-again", "after_ms": wait.as_millis()}));
        self.screen.warning("Waiting", &format!("{} before the next attempt", words::duration(wait)));
    }

    /// Something happened to a pod.
    async fn heard(&mut self, News { image, pod, what }: News) {
        self.screen.fact(&fact(&image, &pod, &what));
        let step = format!("image:{image}");
        match what {
            What::Applied { look, change, restart } => {
                self.broken.remove(&files_in(&pod));
                self.show_trouble();
                match self.looks.get(&look) {
                    Some(seen) if !restart => {
                        let took = words::duration(seen.since.elapsed());
                        let text = format!("{step:<18} {}, live in {took}", seen.change);
                        self.screen.good("Synced", &text);
                        self.screen.set(Place::Change, &text);
                    }
                    Some(_) => {}
                    None if restart && change == NOTHING => {
                        self.screen.doing("Restarting", &format!("{step:<18} {pod}"));
                    }
                    None if restart => self.screen.doing("Starting", &format!("{step:<18} {pod}, {change}")),
                    None => self.screen.good("Synced", &format!("{step:<18} {pod}, {change}")),
                }
                // What came before it is in the container with it, and either live or about to be.
                let of_image = |seen: &Look| seen.image == image;
                match restart {
                    true => self.looks.range_mut(..=look).filter(|(_, seen)| of_image(seen)).for_each(|(_, seen)| {
                        seen.starting = true;
                    }),
                    false => self.looks.retain(|other, seen| *other > look || !of_image(seen) || seen.starting),
                }
            }
            What::Answering { look } => {
                self.broken.remove(&image);
                match self.looks.remove(&look) {
                    Some(seen) => {
                        let took = words::duration(seen.since.elapsed());
                        let text = format!("{step:<18} {}, live in {took}", seen.change);
                        self.screen.good("Restarted", &text);
                        self.screen.set(Place::Change, &text);
                    }
                    None => self.screen.good("Started", &format!("{step:<18} {pod} answers")),
                }
                // What came before it is live with it.
                self.looks.retain(|other, seen| *other > look || seen.image != image);
                self.show_trouble();
            }
            What::Exited { code } => {
                let text = format!("{step:<18} the application ended with {code}; it is started with the next change");
                self.screen.bad("Ended", &text);
                self.broken.insert(image, format!("{step} ended with {code}"));
                self.show_trouble();
            }
            What::Moved => self.look_at(Instant::now(), Again::Send, |sources| sources.source().image == image).await,
            What::Refused(why) => {
                self.screen.bad("Refused", &format!("{step:<18} {pod}: {why}"));
                self.broken.insert(files_in(&pod), format!("{step} is not as the files are: {why}"));
                self.show_trouble();
            }
            What::Lost(why) => {
                self.screen.warning("Lost", &format!("{step:<18} {pod}: {why}"));
                self.look_again();
            }
            What::Gone => {
                self.broken.remove(&files_in(&pod));
                self.show_trouble();
                self.look_again();
            }
        }
    }

    fn show_state(&self) {
        let state = match (&self.paused, &self.deploying) {
            (Some(_), _) => "paused: changes wait",
            (None, Some(_)) => "deploying",
            (None, None) => "watching for changes",
        };
        self.screen.set(Place::State, state);
    }

    fn show_trouble(&self) {
        let text = self.broken.values().cloned().collect::<Vec<_>>().join("; ");
        self.screen.set(Place::Trouble, &text);
    }

    async fn pressed(&mut self, key: Key) {
        match key {
            Key::Rebuild => self.deploy(Orders { rebuild: true, ..Orders::default() }),
            Key::Restart => {
                for image in self.images.values() {
                    image.desired.send_modify(|desired| desired.restarts += 1);
                }
            }
            Key::Pause => match self.paused.take() {
                None => {
                    self.paused = Some(Waiting::default());
                    self.show_state();
                }
                Some(waiting) => self.go_on(waiting).await,
            },
            Key::Why if self.why.is_empty() => self.screen.good("Why", "no step had to run"),
            Key::Why => self.why.iter().for_each(|reason| self.screen.doing("Why", reason)),
            Key::Open => self.open(),
            Key::Logs => {
                let which = self.logs.choose_next();
                self.screen.good("Logs", &which);
            }
            Key::Quit => {}
        }
    }

    /// Opens the application in a browser, as the desktop does it.
    fn open(&mut self) {
        let Some(url) = self.url.clone().or_else(|| self.ports.first()) else { return };
        let screen = self.screen.clone();
        screen.doing("Opening", &url);
        // Where the desktop has no daemon for it, it takes as long as the browser is open.
        self.opened.spawn(async move {
            let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
            let opened = Command::new(opener).arg(&url).run(&CancellationToken::new(), |_, _| {}).await;
            if opened.and_then(|finished| finished.success(Class::Environment)).is_err() {
                screen.warning("Open", &format!("{url} yourself: this machine has no {opener} that does"));
            }
        });
    }

    /// Ends what runs and puts the pods back, unless told otherwise.
    async fn leave(&mut self) -> Result<(), Problem> {
        if let Some(mut deploying) = self.deploying.take() {
            deploying.cancel();
            deploying.ended().await;
        }
        if self.request.keep {
            self.screen.warning("Left", "pods run what was synced; `cargo xtask deploy` puts them back");
            return Ok(());
        }
        let Restored { back, none_built, failures } = restore(&self.global, self.isolation(), &self.screen).await?;
        if !back.is_empty() {
            let text = format!("{} runs built images; `cargo xtask deploy` builds what changed", back.join(", "));
            self.screen.good("Restored", &text);
            self.screen.fact(&json!({"event": "restored", "releases": back}));
        }
        if !none_built.is_empty() {
            let text = format!(
                "{} was never deployed with built images: pods run what was synced, and `cargo xtask deploy` builds them",
                none_built.join(", ")
            );
            self.screen.warning("Left", &text);
            self.screen.fact(&json!({"event": "left", "releases": none_built}));
        }
        let mut failures = failures.into_iter();
        let first = failures.next();
        failures.for_each(|failed| self.screen.line(&failure::render(&failed)));
        first.map_or(Ok(()), |failed| Err(failed.into()))
    }
}

/// Between attempts to reach a cluster that is not there.
const AGAIN: Duration = Duration::from_secs(2);

/// What was sent when no file differed.
const NOTHING: &str = "0 files";

/// Between attempts at a graph that cannot be run: at first, and at most.
const SOON: Duration = Duration::from_secs(2);
const SELDOM: Duration = Duration::from_secs(60);

/// After a pod was lost, before it is looked whether more was.
const SETTLED: Duration = Duration::from_secs(5);

/// What stands for the graph among what is broken.
const GRAPH: &str = "";

/// What stands for the graph file.
const GRAPH_FILE: &str = "xtask.toml";

/// What stands for the files of an image.
fn files_of(image: &str) -> String {
    format!("files of {image}")
}

/// What stands for the files in a pod.
fn files_in(pod: &str) -> String {
    format!("files in {pod}")
}

/// What stands for the tool itself.
const TOOL: &str = "xtask";

/// Returns at `moment`; never, if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => pause(moment.saturating_duration_since(Instant::now())).await,
        None => std::future::pending().await,
    }
}

fn is_graph_file(path: &std::path::Path) -> bool {
    path.file_name().is_some_and(|name| name == engine::config::FILE_NAME)
}

/// The namespaces of the releases that use an image.
fn namespaces(file: &GraphFile, image: &str) -> BTreeSet<String> {
    let uses = file.releases.values().filter(|release| release.images.values().any(|used| used.image == image));
    uses.map(|release| release.namespace.clone()).collect()
}

fn fact(image: &str, pod: &str, what: &What) -> serde_json::Value {
    match what {
        What::Applied { look, change, restart } => {
            json!({"event": "applied", "image": image, "pod": pod, "look": look, "change": change, "restart": restart})
        }
        What::Answering { look } => json!({"event": "answering", "image": image, "pod": pod, "look": look}),
        What::Exited { code } => json!({"event": "exited", "image": image, "pod": pod, "code": code}),
        What::Refused(why) => json!({"event": "refused", "image": image, "pod": pod, "why": why}),
        What::Moved => json!({"event": "moved", "image": image, "pod": pod}),
        What::Gone => json!({"event": "gone", "image": image, "pod": pod}),
        What::Lost(why) => json!({"event": "lost", "image": image, "pod": pod, "why": why}),
    }
}
