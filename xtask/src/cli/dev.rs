//! `dev`: deploys, then keeps running containers as the sources are, until it is told to stop.

mod alone;
mod claims;
mod deploying;
mod heard;
mod images;
mod keys;
mod leaving;
mod logs;
mod looks;
mod others;
mod own_sources;
mod patched;
mod person;
mod ports;
mod restore;
mod retry;
mod screen;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use engine::failure::{Class, Failure};
use engine::files::Gatherer;
use engine::lock::Locks;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Global;
use super::isolate::Isolate;
use super::problem::Problem;
use super::session::{Project, listen, may_change_machine, verbosity};
use crate::ask::Question;
use crate::dev::aliases::Aliases;
use crate::dev::concern::{Concern, Concerned};
use crate::dev::link::News;
use crate::dev::reads::Reads;
use crate::dev::sources::Sources;
use crate::dev::walked::Walked;
use crate::dev::watch::{Burst, Watch};
use crate::redact::Redactor;
use crate::report::{failure, words};
use crate::workspace::Workspace;
use crate::world::contact::Contact;
use crate::world::forward::listener::Event as PortEvent;
use crate::world::pods::follow::News as LogNews;
use crate::world::{inherited, pause, process};
use alone::alone;
use claims::Claims;
use deploying::{Deploying, Ended, Leave, Orders, Shared};
use images::{Again, Image};
use keys::{Key, Keys};
use logs::Followed;
use looks::Looks;
use own_sources::OwnSources;
use patched::Patched;
use ports::Ports;
use retry::{MendedBy, Retry};
use screen::{Place, Screen};
use trouble::{Part, Trouble};

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
    let (reader, questions) = mpsc::unbounded_channel();
    let leave = Leave { may_change_machine: may_change_machine(request.yes), reader: keys.as_ref().map(|_| reader) };
    let redactor: Arc<Redactor> = Arc::default();
    let reads = Reads::of(&project.file);
    let links = Aliases::new(reads.links());
    let watch = Watch::begin(Walked::of(reads, links)?)?;
    let mut file = project.file.clone();
    if let Some(isolation) = request.isolate.name() {
        file.isolate(isolation, &BTreeMap::new())?;
    }
    let _alone = alone(&file, &Locks::of_this_user()?)?;
    tokio::select! {
        looked = Claims::look(&file, &screen) => looked?,
        () = stop.cancelled() => return Err(Failure::interrupted().into()),
    }
    let workspace = Workspace::at(project.file.root.clone());
    let (state, gatherer) = (workspace.state(), Arc::new(Gatherer::new(workspace.for_dev().stat_cache())));
    let mut development = Development {
        global: global.clone(),
        request: request.clone(),
        leave,
        screen: screen.clone(),
        root: project.file.root.clone(),
        walked: None,
        images: BTreeMap::new(),
        concern: None,
        own: OwnSources::below(&project.file.root),
        project,
        builds: JoinSet::new(),
        anew: false,
        opened: JoinSet::new(),
        looks: Looks::default(),
        news: sender,
        tasks: JoinSet::new(),
        ports: Ports::new(inherited::take()),
        logs: Followed::new(request.logs.clone(), Arc::clone(&redactor), &state),
        shared: Shared { redactor, gatherer, others: Arc::default() },
        aliases: Aliases::default(),
        url: None,
        why: Vec::new(),
        question: None,
        claims: Claims::none(screen.clone()),
        deploying: None,
        patched: Patched::default(),
        mistakes: None,
        again: None,
        retry: Retry::never(),
        failures: Vec::new(),
        paused: None,
        trouble: Trouble::on(screen.clone()),
    };
    let ended = development.live(watch, news, Terminal { keys, questions }, &stop).await;
    development.tasks.abort_all();
    if let (Ok(End::Anew), Some(own)) = (&ended, development.own.clone()) {
        // It finds the pods as they are, and the ports open; it reads the graph file as that is now, and no other.
        if let Err(problem) = development.leave_former().await {
            screen.line(&problem.render());
        }
        development.logs.hand_over(&state, &screen).await;
        screen.close();
        return Err(own.start_anew(&development.ports.hand_over().await).into());
    }
    if let Ok(End::Taken(failure)) = ended {
        // The pods are somebody else's by now.
        development.end_run().await;
        screen.close();
        return Err(failure.into());
    }
    screen.set(Place::Keys, "");
    screen.set(Place::State, "putting pods back on built images; Ctrl-C leaves them");
    let told_to_stop = stop.is_cancelled();
    let restored = tokio::select! {
        restored = development.leave() => restored,
        // The second word, where the first was a key. Where it was a signal, the whole program ends at the second.
        () = stop.cancelled(), if !told_to_stop => {
            process::kill_all();
            Err(Failure::interrupted().into())
        }
    };
    development.claims.release().await;
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
    /// Another loop has its pods.
    Taken(Failure),
}

/// What has changed while changes wait.
#[derive(Default)]
struct Waiting {
    anything: bool,
    graph_file: bool,
}

/// What comes from the person at the terminal, and what they are asked.
struct Terminal {
    /// None without a terminal.
    keys: Option<Keys>,
    questions: mpsc::UnboundedReceiver<Question>,
}

struct Development {
    global: Global,
    request: Request,
    leave: Leave,
    screen: Screen,
    root: PathBuf,
    /// The graph file, as it was when it had no mistakes the last time.
    project: Project,
    /// What is to be watched from now on, where that has changed.
    walked: Option<Walked>,
    images: BTreeMap<String, Image>,
    /// Which files the graph depends on, once the graph file could be read.
    concern: Option<Concern>,
    /// The tool itself, where its sources are here.
    own: Option<OwnSources>,
    builds: JoinSet<Result<bool, Failure>>,
    /// The loop goes on in a new program when nothing is in its way any more.
    anew: bool,
    /// Browsers that were opened.
    opened: JoinSet<()>,
    looks: Looks,
    news: mpsc::UnboundedSender<News>,
    tasks: JoinSet<()>,
    ports: Ports,
    logs: Followed,
    shared: Shared,
    /// What is watched because links lead there.
    aliases: Aliases,
    /// Where the node publishes the application, if it does.
    url: Option<String>,
    /// Why the last thing was done that was done.
    why: Vec<String>,
    /// What a run has asked and was not answered yet.
    question: Option<Question>,
    /// The releases that no other loop may have meanwhile.
    claims: Claims,
    deploying: Option<Deploying>,
    /// What runs may have synced.
    patched: Patched,
    /// What is wrong with the graph file.
    mistakes: Option<String>,
    /// The graph has to run once more when the present run has ended.
    again: Option<Orders>,
    /// When the graph is run again although no file has changed.
    retry: Retry,
    /// What the last run failed with.
    failures: Vec<Failure>,
    /// Changes wait; those that do.
    paused: Option<Waiting>,
    trouble: Trouble,
}

impl Development {
    async fn live(
        &mut self,
        mut watch: Watch,
        mut news: mpsc::UnboundedReceiver<News>,
        mut terminal: Terminal,
        stop: &CancellationToken,
    ) -> Result<End, Problem> {
        self.screen.set(Place::Keys, if terminal.keys.is_some() { keys::HELP } else { "" });
        self.follow_images(Instant::now()).await?;
        // What was saved while one program gave way to the next was told to neither.
        if self.own.as_ref().is_some_and(OwnSources::have_changed) {
            self.build_own();
        }
        self.deploy(Orders::default());
        loop {
            if let Some(walked) = self.walked.take() {
                watch.follow(walked);
            }
            let key = async {
                match &mut terminal.keys {
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
            let (again_at, paused) = (self.retry.at(), self.paused.is_some());
            tokio::select! {
                burst = watch.burst() => self.changed(burst).await,
                Some(heard) = news.recv() => self.heard(heard).await,
                told = self.logs.next() => {
                    self.logs.show(&told, &self.screen);
                    if let LogNews::Contact(contact) = &told {
                        self.note_contact(matches!(contact, Contact::Back));
                    }
                }
                (at, told) = self.ports.next() => {
                    ports::tell(&self.screen, &at, &told);
                    if matches!(told, PortEvent::Lost(_) | PortEvent::Back) {
                        self.note_contact(matches!(told, PortEvent::Back));
                    }
                }
                ended = deployed => {
                    if let Some(run) = self.deploying.take() {
                        self.learn_from(&run);
                    }
                    if self.goes_anew() {
                        return Ok(End::Anew);
                    }
                    self.deployed(ended);
                }
                Some(built) = self.builds.join_next(), if !self.builds.is_empty() => {
                    self.own_built(built);
                    if self.goes_anew() {
                        return Ok(End::Anew);
                    }
                }
                () = until(again_at), if !paused => {
                    if self.retry.due(self.deploying.is_some()) {
                        self.deploy(Orders::default());
                    }
                }
                Some(key) = key => match key {
                    Key::Quit => return Ok(End::Told),
                    key => {
                        self.pressed(key).await;
                        // It may have waited for the end of a pause.
                        if self.goes_anew() {
                            return Ok(End::Anew);
                        }
                    }
                },
                Some(question) = terminal.questions.recv() => self.asked(question),
                failure = self.claims.lost() => return Ok(End::Taken(failure)),
                () = stop.cancelled() => return Ok(End::Told),
            }
        }
    }

    fn isolation(&self) -> Option<&str> {
        self.request.isolate.name()
    }

    /// The API server does not answer, or answers again, as somebody has found who watches it.
    fn note_contact(&mut self, answers: bool) {
        if answers {
            self.trouble.mended(&Part::Contact);
            self.retry.soon();
        } else {
            self.trouble.add(Part::Contact, "the API server does not answer");
        }
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

    /// Whether the loop goes on in the program that was built, now. A run that is under way would be half done, a program
    /// cannot begin with a graph file that has mistakes, and one that begins lets no change wait.
    fn goes_anew(&self) -> bool {
        let may = self.deploying.is_none() && self.paused.is_none() && !self.trouble.with(&Part::GraphFile);
        self.anew && self.builds.is_empty() && may
    }

    /// A build of the tool has ended. Where it failed or was given up, what an earlier one has made is still there.
    fn own_built(&mut self, built: Result<Result<bool, Failure>, tokio::task::JoinError>) {
        match built {
            Ok(Ok(is_another)) => {
                self.trouble.mended(&Part::Tool);
                self.anew = is_another;
            }
            Ok(Err(failed)) => {
                self.screen.line(&failure::render(&failed));
                self.screen.fact(&json!({"event": "tool-not-built", "failure": failed}));
                self.trouble.add(Part::Tool, failed.message);
            }
            // Another build has taken its place.
            Err(_) => {}
        }
    }

    /// Files may have changed.
    async fn changed(&mut self, mut burst: Burst) {
        // What lies behind a link is read by the link's name.
        let reached: Vec<PathBuf> = burst.paths.iter().flat_map(|path| self.aliases.reached(path)).collect();
        burst.paths.extend(reached);
        if burst.lost {
            self.screen.warning("Overflow", "more has changed than the kernel could tell; looking at all files");
            self.screen.fact(&json!({"event": "overflow"}));
        }
        if let Some(why) = &burst.unwatched {
            self.screen.line(&failure::render(why));
            self.screen.fact(&json!({"event": "unwatched", "failure": why}));
        }
        if self.own.as_ref().is_some_and(|own| own.concern(&burst.paths) || (burst.lost && own.have_changed())) {
            self.build_own();
        }
        // An ignore file says which folders count, and one that has come with its folder is not told of.
        let may_say_what_counts = |path: &PathBuf| path.to_string_lossy().ends_with("dockerignore") || path.is_dir();
        if burst.lost || burst.paths.iter().any(may_say_what_counts) {
            self.walk_anew();
        }
        // What it lacks, a Dockerfile, say, may have come: while it has mistakes any change may mend them.
        let graph_file = burst.lost
            || self.trouble.with(&Part::GraphFile)
            || burst.paths.iter().any(|path| self.project.file.path.starts_with(path));
        if let Some(waiting) = &mut self.paused {
            waiting.anything = true;
            waiting.graph_file |= graph_file;
            return;
        }
        let mut concerned = Concerned::default();
        if graph_file {
            // Held against what was there before; when the file has been read anew, that is not known any more.
            concerned = self.concerned(&burst.paths, burst.lost).await;
            concerned.images.extend(self.read_graph_file(burst.since).await);
        }
        let syncs = |sources: &Sources| burst.lost || burst.paths.iter().any(|path| sources.syncs(path));
        self.look_at(burst.since, Again::Compare, syncs).await;
        if !graph_file {
            concerned = self.concerned(&burst.paths, burst.lost).await;
        }
        if (graph_file || concerned.any()) && !self.trouble.with(&Part::GraphFile) {
            self.overtake(&concerned);
            self.deploy(Orders { since: Some(burst.since), ..Orders::default() });
        }
    }

    async fn concerned(&mut self, paths: &BTreeSet<PathBuf>, lost: bool) -> Concerned {
        match &mut self.concern {
            Some(concern) => concern.of_changes(paths, lost).await,
            None => Concerned::default(),
        }
    }

    /// Gives up a run that builds what has changed meanwhile.
    fn overtake(&self, concerned: &Concerned) {
        if let Some(deploying) = &self.deploying {
            deploying.supersede(&concerned.images);
        }
    }

    /// Follows the images of a graph file that has changed; while it has mistakes, those of the last good one. Returns
    /// the images that are built in another way now.
    async fn read_graph_file(&mut self, since: Instant) -> BTreeSet<String> {
        match self.follow_images(since).await {
            Ok(images) => {
                self.trouble.mended(&Part::GraphFile);
                self.mistakes = None;
                images
            }
            Err(problem) => {
                let why = problem.render();
                // Those that are known already stay in view.
                if self.mistakes.as_ref() != Some(&why) {
                    self.screen.line(&why);
                    self.screen.fact(&json!({"event": "mistakes", "why": why}));
                    self.trouble.add(Part::GraphFile, "the graph file has mistakes");
                    self.mistakes = Some(why);
                }
                BTreeSet::new()
            }
        }
    }

    /// Lets changes through that have waited.
    async fn go_on(&mut self, waiting: Waiting) {
        self.show_state();
        if !waiting.anything {
            return;
        }
        let mut concerned = self.concerned(&BTreeSet::new(), true).await;
        if waiting.graph_file {
            concerned.images.extend(self.read_graph_file(Instant::now()).await);
        }
        self.look_at(Instant::now(), Again::Compare, |_| true).await;
        if !self.trouble.with(&Part::GraphFile) {
            self.overtake(&concerned);
            self.deploy(Orders::default());
        }
    }

    /// Begins a run of the graph, or has the present one followed by another.
    fn deploy(&mut self, orders: Orders) {
        match &self.deploying {
            Some(_) => {
                let before = self.again.unwrap_or_default();
                let rebuild = orders.rebuild || before.rebuild;
                self.again = Some(Orders { rebuild, since: orders.since.or(before.since) });
            }
            None => {
                self.remember_ports();
                self.deploying = Some(Deploying::begin(
                    &self.global,
                    self.isolation(),
                    orders,
                    &self.leave,
                    &self.screen,
                    &self.shared,
                ));
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
        // A link may lead where nobody has looked before.
        if self.aliases != self.aliases_now() {
            self.walk_anew();
        }
        match ended {
            Ended::Well(headline) => {
                self.trouble.mended(&Part::Graph);
                // Whoever has lost it may not watch it any more.
                self.trouble.mended(&Part::Contact);
                self.failures.clear();
                self.claims.take();
                self.retry.succeeded();
                let words = headline.as_deref().into_iter().flat_map(str::split_whitespace);
                self.url = words.into_iter().find(|word| word.starts_with("http")).map(str::to_owned);
            }
            // What a further change has overtaken is not worth a word.
            Ended::Badly { .. } if self.again.is_some() => {}
            Ended::Badly { failures, mended } => {
                // What the next attempt fails with, too, is at the bottom of the screen.
                for failed in failures.iter().filter(|failed| !self.failures.contains(failed)) {
                    self.screen.line(&failure::render(failed));
                }
                let first = failures.first().map_or_else(String::new, |failed| failed.message.clone());
                self.trouble.add(Part::Graph, first);
                // Unless the cluster may be another one than is meant.
                if failures.iter().all(|failed| failed.class == Class::Step) {
                    self.claims.take();
                }
                self.failures = failures;
                self.try_again_later(mended);
            }
            Ended::Never(problem) => {
                self.screen.line(&problem.render());
                self.screen.fact(&json!({"event": "not-run", "why": problem.render()}));
                self.trouble.add(Part::Graph, "the graph could not be run");
                if problem.exit_code() == Class::Environment.exit_code() {
                    self.try_again_later(MendedBy::Time);
                }
            }
            Ended::Cancelled => {}
        }
        match (self.again.take(), &mut self.paused) {
            // Unless a person asked for it, it waits with the changes.
            (Some(orders), Some(waiting)) if !orders.rebuild => {
                waiting.anything = true;
                self.show_state();
            }
            (Some(orders), _) => self.deploy(orders),
            (None, _) => {
                self.show_state();
                self.screen.fact(&json!({"event": "watching"}));
            }
        }
    }

    fn try_again_later(&mut self, mended: MendedBy) {
        let Some(wait) = self.retry.later(mended) else { return };
        self.screen.fact(&json!({"event": "trying-again", "after_ms": wait.as_millis()}));
        self.screen.warning("Waiting", &format!("{} before the next attempt", words::duration(wait)));
    }

    fn show_state(&self) {
        let state = match (&self.question, &self.paused, &self.deploying) {
            (Some(_), ..) => "waiting for an answer: y yes   n no",
            (None, Some(_), _) => "paused: changes wait",
            (None, None, Some(_)) => "deploying",
            (None, None, None) => "watching for changes",
        };
        self.screen.set(Place::State, state);
    }
}

/// Returns at `moment`; never, if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => pause(moment.saturating_duration_since(Instant::now())).await,
        None => std::future::pending().await,
    }
}
