//! The command line: flags become a request, and nothing below this folder reads a flag.
//!
//! One file per command; each has a `run` that is given the request and a [`session::Session`].

pub mod check;
pub mod ci;
pub mod confirm;
pub mod deploy;
pub mod dev;
pub mod doctor;
pub mod env;
pub mod explain;
pub mod forecast;
pub mod forward;
pub mod graph;
pub mod isolate;
pub mod logs;
pub mod post_render;
pub mod problem;
pub mod rollback;
pub mod session;
pub mod status;
pub mod teardown;
pub mod test;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::failure::Failure;

use problem::Problem;

use crate::world::process;

/// Make a Kubernetes cluster run what the working tree says, and do nothing when that is already so.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 a step failed, 2 usage or graph file, 3 the machine lacks something, \
                        4 the cluster is not the one declared, 130 interrupted.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The graph file [default: xtask.toml in this folder or the nearest one above it]
    #[arg(long, global = true, value_name = "PATH")]
    pub graph_file: Option<PathBuf>,
    /// Facts and events as text, or as JSON on standard output
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Only failures and the last line
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// All reasons, fresh steps and all output
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

/// How facts and events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs: one JSON object, or one per line where things happen one by one.
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR or CI say otherwise.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build, install and check what is not as the working tree says
    Deploy(deploy::Request),
    /// Deploy, then keep running containers as the sources are
    Dev(dev::Request),
    /// Remove what was deployed; data and the cluster stay unless told
    Teardown(teardown::Request),
    /// What is deployed, and what a deploy would do
    Status(status::Request),
    /// Why a step would run, or what it was made of
    Explain(explain::Request),
    /// The steps and what they need
    Graph(graph::Request),
    /// Ask what the checks ask, now
    Check(check::Request),
    /// Lead local ports to Services
    Forward(forward::Request),
    /// What the workloads write
    Logs(logs::Request),
    /// Print what makes a shell's docker use the daemon that the pods' images come from
    Env(env::Request),
    /// What a deploy needs of this machine, and what mends what is missing
    Doctor,
    /// What a pipeline calls: commands, a deployment of its own, its checks, and the removal of all that
    Ci(ci::Request),
    /// Run every test of this repository
    Test(test::Request),
    /// Go back to the last revision of a release that passed its checks
    Rollback(rollback::Request),
    /// What helm runs on the manifests that it has rendered
    #[command(name = crate::world::helm::annotate::VERB, hide = true)]
    PostRender(post_render::Request),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let choice = match arguments.global.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return end(Err(Failure::environment("could not start the asynchronous runtime").because(error).into()));
        }
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = dispatch(arguments) => outcome,
            () = session::told_twice_to_stop() => {
                process::kill_all();
                Err(Failure::interrupted().into())
            }
        }
    });
    // Threads that wait for another run's lock end with the process, not before.
    runtime.shutdown_background();
    end(outcome)
}

async fn dispatch(arguments: Arguments) -> Result<ExitCode, Problem> {
    let Arguments { command, global } = arguments;
    match command {
        Command::Deploy(request) => deploy::run(&global, &request).await,
        Command::Dev(request) => dev::run(&global, &request).await,
        Command::Teardown(request) => teardown::run(&global, &request).await,
        Command::Status(request) => status::run(&global, &request).await,
        Command::Explain(request) => explain::run(&global, &request).await,
        Command::Graph(request) => graph::run(&global, &request),
        Command::Check(request) => check::run(&global, &request).await,
        Command::Forward(request) => forward::run(&global, &request).await,
        Command::Logs(request) => logs::run(&global, &request).await,
        Command::Env(request) => env::run(&global, &request).await,
        Command::Doctor => doctor::run(&global).await,
        Command::Ci(request) => ci::run(&global, &request).await,
        Command::Test(request) => test::run(&global, &request).await,
        Command::Rollback(request) => rollback::run(&global, &request).await,
        Command::PostRender(request) => post_render::run(&request),
    }
}

fn end(outcome: Result<ExitCode, Problem>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(problem) => {
            // Standard error may be closed; the exit code still tells.
            let _ = write!(anstream::stderr(), "{}", problem.render());
            ExitCode::from(problem.exit_code())
        }
    }
}
