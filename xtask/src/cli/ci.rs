//! `ci`: what a pipeline calls. The graph file's commands, then an isolated deployment with its checks, then its removal,
//! however the run ended.
//!
//! Nothing asks a question. Both reports on disk are whole at any moment; what a killed run leaves in the cluster, the
//! next one finds by its name and removes.

mod run_name;
mod sweep;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use engine::event::{Event, Level, Tally};
use engine::failure::{Class, Failure};
use engine::lock::Locks;
use engine::step::StepId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::session::{Project, Record, Session, may_change_machine, verbosity};
use super::{Format, Global};
use crate::ask::Person;
use crate::dayzero::{consent, tools};
use crate::report::heartbeat::{Pulse, SILENCE};
use crate::report::pipeline::{Book, Fate, Scribe, State};
use crate::report::style::{BAD, DOING, FAINT, GOOD, WARNING, verb};
use crate::report::{Reporter, failure, github, words};
use crate::run;
use crate::world::{pause, process};
use run_name::RunName;

/// Longer ones could outlive the age at which other machines take a run for dead.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// More often nobody wants a sign of life.
const SHORTEST: Duration = Duration::from_secs(1);

/// What is silent for longer looks as if it hung, to people and to services that end such runs.
const SILENT_AT_MOST: Duration = Duration::from_secs(30);

/// Where reports are unless told otherwise, in the workspace.
const REPORTS: &str = ".xtask/ci";

/// The suites of the reports.
const COMMANDS: &str = "commands";
const DEPLOY: &str = "deploy";
const TEARDOWN: &str = "teardown";

/// How the pipeline runs.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// The folder for junit.xml and ci.json [default: .xtask/ci beside the graph file]
    #[arg(long, value_name = "FOLDER")]
    pub reports: Option<PathBuf>,
    /// How long everything but the teardown may take, such as 30m [default: the graph file's, or 45m]
    #[arg(long, value_name = "TIME", value_parser = engine::config::duration)]
    pub deadline: Option<Duration>,
    /// How long it may be silent before it tells what runs, 30s at most [default: 20s]
    #[arg(long, value_name = "TIME", value_parser = silence)]
    pub heartbeat: Option<Duration>,
    /// Only remove what runs that were killed have left
    #[arg(long)]
    pub sweep: bool,
    /// This machine may be changed: docker and packages installed, docker started. `CI` in the environment says so, too
    #[arg(long)]
    pub yes: bool,
}

/// A silence that can be kept.
fn silence(text: &str) -> Result<Duration, String> {
    let silence = engine::config::duration(text)?;
    match silence {
        _ if silence < SHORTEST => Err(format!("at least {}", words::duration(SHORTEST))),
        _ if silence > SILENT_AT_MOST => Err(format!("at most {}", words::duration(SILENT_AT_MOST))),
        _ => Ok(silence),
    }
}

/// Runs the pipeline.
///
/// # Errors
/// When nothing could be begun; what fails later is told, reported and decides the exit code.
pub async fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let ended = begin(global, request).await;
    if let Err(problem) = &ended
        && !request.sweep
    {
        report_none(global, request, problem);
    }
    ended
}

/// Leaves reports of a run that could not begin: those of the run before, in the same folder, would be taken for its own.
fn report_none(global: &Global, request: &Request, problem: &Problem) {
    let root = Project::path(global).ok().and_then(|path| Some(path.parent()?.to_owned()));
    let Some(folder) = request.reports.clone().or_else(|| Some(root.as_ref()?.join(REPORTS))) else { return };
    let project = root.as_ref().and_then(|root| root.file_name()).unwrap_or_default().to_string_lossy();
    // Where they cannot be written, the run's own failure is what there is to tell.
    let _ = Book::open(&folder, "ci", &project).and_then(|book| book.close(State::Failed, Some(&failure_of(problem))));
}

async fn begin(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let project = Project::load(global)?;
    let locks = Locks::of_this_user()?;
    let (format, quiet) = (global.format, global.quiet);
    let log = Log { format, quiet, github: std::env::var_os("GITHUB_ACTIONS").is_some() };
    let pulse = Pulse::new(request.heartbeat.unwrap_or(SILENCE), verbosity(global));
    // Ends with everything that is in it when this returns.
    let mut beside = JoinSet::new();
    beside.spawn(pulse.clone().beat(move |sign| log.sign(&sign)));
    if request.sweep {
        let failures = sweep_up(global, &project, &locks, &pulse, log, &CancellationToken::new()).await?;
        failures.iter().for_each(|failure| log.failure(&project, failure));
        return Ok(ExitCode::from(engine::run::worst(&failures).map_or(0, |failure| failure.class.exit_code())));
    }
    let deadline = request.deadline.unwrap_or(project.file.ci.deadline);
    if deadline > LONGEST {
        return Err(Failure::usage(format!("a deadline of {} is too long", words::duration(deadline)))
            .because("after a day, others take a run for dead and remove its deployment")
            .help(format!("{} is the longest", words::duration(LONGEST)))
            .into());
    }
    let name = RunName::new(&locks)?;
    let _claim = name.claim(&locks)?;
    let folder = request.reports.clone().unwrap_or_else(|| project.file.root.join(REPORTS));
    let book = Book::open(&folder, &name.to_string(), &project.file.project)?;
    let told = may_change_machine(request.yes);
    let pipeline = Pipeline { global, project, locks, name, book, pulse, log, told, overdue: Arc::default() };
    pipeline.run(deadline, &mut beside).await
}

/// One run.
struct Pipeline<'a> {
    global: &'a Global,
    project: Project,
    locks: Locks,
    name: RunName,
    book: Book,
    pulse: Pulse,
    log: Log,
    /// Whether it was told that this machine may be changed.
    told: bool,
    overdue: Arc<AtomicBool>,
}

/// What came of the stages before the teardown.
#[derive(Default)]
struct Ended {
    failures: Vec<Failure>,
    /// There may be something of it in the cluster.
    deployed: bool,
    interrupted: bool,
}

impl Pipeline<'_> {
    async fn run(self, deadline: Duration, beside: &mut JoinSet<()>) -> Result<ExitCode, Problem> {
        let begun = Instant::now();
        let mut ended = Ended::default();
        if let Err(problem) = self.stages(deadline, beside, &mut ended).await {
            ended.failures.push(failure_of(&problem));
        }
        let overdue = self.overdue.load(Ordering::Relaxed);
        self.book.skip_rest(if overdue { "the deadline had passed" } else { "the run had ended" });
        if overdue {
            let text = format!("the run did not end within {}", words::duration(deadline));
            ended.failures.push(Failure::step(text).help("give it more time with --deadline, or in the table [ci]"));
        }
        if ended.deployed {
            ended.failures.extend(self.take_down().await);
        }
        let state = match (overdue, ended.interrupted, ended.failures.is_empty()) {
            (true, ..) => State::Overdue,
            (_, true, _) => State::Interrupted,
            (_, _, true) => State::Passed,
            _ => State::Failed,
        };
        if let Err(failure) = self.book.close(state, ended.failures.first()) {
            ended.failures.push(failure);
        }
        ended.failures.iter().for_each(|failure| self.log.failure(&self.project, failure));
        self.log.end(state, &self.name, begun.elapsed());
        Ok(ExitCode::from(match engine::run::worst(&ended.failures) {
            _ if state == State::Interrupted => Class::Interrupted.exit_code(),
            Some(failure) => failure.class.exit_code(),
            None => 0,
        }))
    }

    async fn stages(&self, deadline: Duration, beside: &mut JoinSet<()>, ended: &mut Ended) -> Result<(), Problem> {
        let listeners: Vec<Box<dyn Reporter>> =
            vec![Box::new(Scribe::new(self.book.clone(), DEPLOY)), Box::new(self.pulse.clone())];
        let isolation = self.name.to_string();
        let mut session = Session::begin_as(self.global, "ci", Record::Run, Some(&isolation), listeners)?;
        session.cx.person = Person::Nobody;
        session.cx.may_change_machine = self.told;
        let cancel = session.cx.cancel.clone();
        beside.spawn(at_deadline(deadline, self.overdue.clone(), cancel.clone()));
        let plan = session.plan(&[], false);
        let commands = &self.project.file.ci.run;
        self.book.expect(COMMANDS, commands.iter().map(|words| words.join(" ")));
        self.book.expect(DEPLOY, plan.iter().map(|planned| planned.step.to_string()));
        self.book.expect(TEARDOWN, [isolation]);
        let mut tally = Tally::default();
        let outcome = async {
            let left = sweep_up(self.global, &self.project, &self.locks, &self.pulse, self.log, &cancel).await?;
            for failure in left {
                let text = format!("what an earlier run has left could not be removed: {failure}");
                session.cx.tell(Event::Note { step: None, level: Level::Warning, text });
            }
            for words in commands {
                self.command(&session, words).await?;
            }
            self.log.open("deploy");
            tools::prepare(&session.cx, &session.project.file, &plan).await?;
            let summary = run::execute(&session.cx, &session.steps, plan, &session.locks).await;
            tally = summary.tally();
            ended.failures.extend(summary.failures);
            Ok::<(), Problem>(())
        };
        let outcome = outcome.await;
        let cluster = StepId::cluster();
        ended.deployed = session.cx.output(&cluster).is_some() || !session.steps.contains_key(&cluster);
        ended.interrupted = cancel.is_cancelled();
        if ended.interrupted {
            ended.failures.retain(|failure| failure.class != Class::Interrupted);
        }
        session.finish(tally, None).await;
        self.log.close();
        match outcome {
            Err(Problem::Failure(failure)) if failure.class == Class::Interrupted => Ok(()),
            other => other,
        }
    }

    /// One of the graph file's commands, its output shown as it comes.
    async fn command(&self, session: &Session, words: &[String]) -> Result<(), Failure> {
        let [program, args @ ..] = words else { return Ok(()) };
        let name = words.join(" ");
        self.log.open(&name);
        self.book.begin(COMMANDS, &name);
        self.pulse.begin(&name);
        let command = process::Command::new(program.as_str()).args(args).cwd(session.cx.workspace.root());
        let command = consent::hand_on(command.redact(session.cx.redact()), self.told);
        let finished = command
            .run(&session.cx.cancel, |_, line| {
                if self.log.line(line) {
                    self.pulse.told();
                }
            })
            .await;
        self.pulse.end(&name);
        let outcome = finished.and_then(|finished| finished.success(Class::Step));
        self.book.end(
            COMMANDS,
            &name,
            match &outcome {
                Ok(_) => Fate::Passed(String::new()),
                Err(failure) if failure.class == Class::Interrupted => Fate::Skipped("stopped with the run".to_owned()),
                Err(failure) => Fate::Failed(Box::new(failure.clone())),
            },
        );
        self.log.close();
        outcome.map(drop)
    }

    /// Removes this run's deployment. It has its own time and its own signals: those of the run have done their work.
    async fn take_down(&self) -> Vec<Failure> {
        let name = self.name.to_string();
        self.log.open("teardown");
        self.book.begin(TEARDOWN, &name);
        let time = CancellationToken::new();
        let removed = sweep::remove(self.global, &self.name, vec![Box::new(self.pulse.clone())], &time).await;
        let failures = removed.unwrap_or_else(|problem| vec![failure_of(&problem)]);
        let fate = failures.first().map_or(Fate::Passed("removed".to_owned()), |failure| {
            Fate::Failed(Box::new(failure.clone().help("`cargo xtask ci --sweep` tries again")))
        });
        self.book.end(TEARDOWN, &name, fate);
        self.log.close();
        failures
    }
}

/// Removes what runs that are over have left, until `cancel` ends it; what could not be removed is returned.
async fn sweep_up(
    global: &Global,
    project: &Project,
    locks: &Locks,
    pulse: &Pulse,
    log: Log,
    cancel: &CancellationToken,
) -> Result<Vec<Failure>, Problem> {
    let mut failures = Vec::new();
    for (name, _held) in sweep::leftovers(project, locks).await? {
        if cancel.is_cancelled() {
            break;
        }
        log.open(&format!("what the run {name} has left"));
        failures.extend(sweep::remove(global, &name, vec![Box::new(pulse.clone())], cancel).await?);
        log.close();
    }
    Ok(failures)
}

/// Stops the run when its time is over.
async fn at_deadline(deadline: Duration, overdue: Arc<AtomicBool>, cancel: CancellationToken) {
    pause(deadline).await;
    if !cancel.is_cancelled() {
        overdue.store(true, Ordering::Relaxed);
        cancel.cancel();
    }
}

fn failure_of(problem: &Problem) -> Failure {
    match problem {
        Problem::Failure(failure) => (**failure).clone(),
        Problem::GraphFile(mistakes) => {
            Failure::usage("the graph file has mistakes").because(engine::config::render_all(mistakes, false))
        }
    }
}

/// Where the run is told of, beside the events of its steps.
#[derive(Debug, Clone, Copy)]
struct Log {
    format: Format,
    /// Only failures, signs of life and the end.
    quiet: bool,
    github: bool,
}

impl Log {
    fn human(self, line: &str) {
        if self.format == Format::Human {
            // Standard error may be closed; the reports and the exit code still tell.
            let _ = writeln!(anstream::stderr(), "{line}");
        }
    }

    /// A line of what a command prints; says whether it is shown.
    fn line(self, line: &str) -> bool {
        let shown = !self.quiet && self.format == Format::Human;
        if shown {
            self.human(line);
        }
        shown
    }

    /// A stage begins.
    fn open(self, stage: &str) {
        self.line(&match self.github {
            true => github::group(stage),
            false => format!("{}{stage}", verb(DOING, "Stage")),
        });
    }

    /// It has ended.
    fn close(self) {
        if self.github {
            self.line(github::END_OF_GROUP);
        }
    }

    /// A sign of life.
    fn sign(self, text: &str) {
        match self.format {
            Format::Human => self.human(&format!("{}{text}", verb(FAINT, "Running"))),
            Format::Json => {
                let event = Event::Note { step: None, level: Level::Info, text: format!("running: {text}") };
                if let Ok(line) = serde_json::to_string(&event) {
                    // Standard output may be closed: nobody waits for a sign.
                    let _ = writeln!(std::io::stdout(), "{line}");
                }
            }
        }
    }

    fn failure(self, project: &Project, failed: &Failure) {
        self.human(&format!("\n{}", failure::render(failed)));
        if self.github {
            self.human(&github::annotation(&project.file.root, failed));
        }
    }

    fn end(self, state: State, name: &RunName, took: Duration) {
        let (style, word) = match state {
            State::Passed => (GOOD, "Passed"),
            State::Interrupted => (WARNING, "Stopped"),
            _ => (BAD, "Failed"),
        };
        self.human(&format!("{}{name}  ({})", verb(style, word), words::duration(took)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::silence;

    #[test]
    fn no_silence_is_longer_than_what_is_promised() {
        for (text, expected) in [
            ("1s", Ok(1)),
            ("20s", Ok(20)),
            ("30s", Ok(30)),
            ("31s", Err("at most 30.0s")),
            ("10m", Err("at most 30.0s")),
            ("500ms", Err("at least 1.0s")),
        ] {
            let expected = expected.map(Duration::from_secs).map_err(str::to_owned);
            assert_eq!(silence(text), expected, "{text}");
        }
    }
}
