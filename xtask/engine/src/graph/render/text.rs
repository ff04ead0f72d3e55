//! The graph as a tree, as `cargo tree` shows crates: each last step with what it needs below it, and why behind it.

use std::collections::BTreeSet;

use super::{Shown, reasons};
use crate::graph::{Dependency, Graph};
use crate::step::StepId;

/// What stands behind a step whose needs are shown further up.
const AGAIN: &str = " (*)";

/// The graph as lines of text, each ended by a newline.
pub fn text(graph: &Graph) -> String {
    let shown = Shown::new(graph);
    let mut lines = Vec::new();
    let mut expanded = BTreeSet::new();
    let last = graph.order().iter().filter(|step| graph.dependents(step).next().is_none());
    let mut last: Vec<_> = last.collect();
    last.sort();
    for step in last {
        lines.push(Line { tree: step.to_string(), why: String::new() });
        // A stack instead of recursion: a graph may be as deep as it has steps.
        let mut open = children(&shown, step, "", &mut expanded);
        while let Some(Branch { dependency, indent, is_last }) = open.pop() {
            let step = &dependency.step;
            let (arm, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let seen = expanded.contains(step) && !graph.dependencies(step).is_empty();
            let again = if seen { AGAIN } else { "" };
            lines.push(Line { tree: format!("{indent}{arm}{step}{again}"), why: reasons(dependency) });
            if !seen {
                open.extend(children(&shown, step, &format!("{indent}{below}"), &mut expanded));
            }
        }
    }
    aligned(&lines)
}

struct Line {
    tree: String,
    why: String,
}

struct Branch<'g> {
    dependency: &'g Dependency,
    indent: String,
    is_last: bool,
}

/// What a step needs, the first one on top of the stack.
fn children<'g>(
    shown: &Shown<'g>,
    step: &'g StepId,
    indent: &str,
    expanded: &mut BTreeSet<&'g StepId>,
) -> Vec<Branch<'g>> {
    expanded.insert(step);
    let branch = |dependency| Branch { dependency, indent: indent.to_owned(), is_last: false };
    let mut branches: Vec<_> = shown.dependencies(step).map(branch).collect();
    if let Some(last) = branches.last_mut() {
        last.is_last = true;
    }
    branches.reverse();
    branches
}

/// The reasons in a column of their own.
fn aligned(lines: &[Line]) -> String {
    let width = lines.iter().filter(|line| !line.why.is_empty()).map(|line| line.tree.chars().count()).max();
    let width = width.unwrap_or(0);
    let shown = lines.iter().map(|Line { tree, why }| match why.as_str() {
        "" => format!("{tree}\n"),
        why => format!("{tree:width$}  {why}\n"),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use crate::graph::tests::commands;

    #[test]
    fn what_was_shown_is_not_shown_again() {
        let graph = commands(&["a: b c", "b: d", "c: b e", "d:", "e:"]).unwrap();
        let expected = "\
command:a
├─ command:b         after
│  └─ command:d      after
└─ command:c         after
   ├─ command:b (*)  after
   └─ command:e      after
";
        assert_eq!(super::text(&graph), expected);
    }
}
