//! The graph for Graphviz and for Mermaid. Arrows point the way things run: from what is needed to what needs it.

use std::fmt::Write as _;

use super::{Shown, reasons};
use crate::graph::Graph;
use crate::step::{Kind, StepId};

/// A colour for each kind of step, light enough for black letters.
const fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "#d9d9d9",
        Kind::Image => "#cfe2f3",
        Kind::Secrets => "#f4cccc",
        Kind::Manifests => "#d9ead3",
        Kind::Release => "#d9ead3",
        Kind::Check => "#fff2cc",
        Kind::Command => "#ead1dc",
    }
}

/// In Graphviz' language: `cargo xtask graph --format dot | dot -Tsvg`.
pub fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph steps {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\"];\n");
    for step in graph.order() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  \"{step}\" [fillcolor=\"{}\"];", colour(step.kind));
    }
    arrows(graph, |from, to, why| {
        let why = why.replace('\\', "\\\\").replace('"', "\\\"");
        let label = if why.is_empty() { String::new() } else { format!(" [label=\"{why}\"]") };
        let _ = writeln!(text, "  \"{from}\" -> \"{to}\"{label};");
    });
    text.push_str("}\n");
    text
}

/// In Mermaid's language, which GitHub draws in Markdown.
pub fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for step in graph.order() {
        let _ = writeln!(text, "  {}[\"{step}\"]:::{}", step.file_stem(), step.kind.word());
    }
    arrows(graph, |from, to, why| {
        let why = why.replace('"', "#quot;").replace('|', "#124;");
        let label = if why.is_empty() { String::new() } else { format!("|\"{why}\"|") };
        let _ = writeln!(text, "  {} -->{label} {}", from.file_stem(), to.file_stem());
    });
    for kind in Kind::ALL.into_iter().filter(|kind| graph.order().iter().any(|step| step.kind == *kind)) {
        let _ = writeln!(text, "  classDef {} fill:{},color:#000", kind.word(), colour(kind));
    }
    text
}

fn arrows(graph: &Graph, mut draw: impl FnMut(&StepId, &StepId, String)) {
    let shown = Shown::new(graph);
    for step in graph.order() {
        for dependency in shown.dependencies(step) {
            draw(&dependency.step, step, reasons(dependency));
        }
    }
}
