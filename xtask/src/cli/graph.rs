//! `graph`: the steps and what they need, to look at or to hand to other programs.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use engine::graph::render;

use super::problem::Problem;
use super::session::Project;
use super::{Format, Global};

/// How the graph is drawn.
#[derive(Debug, Clone, Args)]
pub struct Request {
    /// Only these steps and what they need
    #[arg(value_name = "STEP")]
    pub steps: Vec<String>,
    /// How to draw it; `--format json` is short for `--as json`
    #[arg(long = "as", value_enum, default_value_t = Drawing::Text)]
    pub drawing: Drawing,
}

/// The ways to draw a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Drawing {
    /// A list for people.
    Text,
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
    /// For programs.
    Json,
}

/// Prints the graph.
///
/// # Errors
/// When the graph file has mistakes, or a named step is not in it.
pub fn run(global: &Global, request: &Request) -> Result<ExitCode, Problem> {
    let project = Project::load(global)?;
    let selected = project.graph.find(&request.steps)?;
    let graph = if selected.is_empty() { project.graph } else { project.graph.select(&selected) };
    let drawing = if global.format == Format::Json { Drawing::Json } else { request.drawing };
    let text = match drawing {
        Drawing::Text => render::text(&graph),
        Drawing::Dot => render::dot(&graph),
        Drawing::Mermaid => render::mermaid(&graph),
        Drawing::Json => render::json(&graph).to_string(),
    };
    // A closed pipe is the reader's choice.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    Ok(ExitCode::SUCCESS)
}
