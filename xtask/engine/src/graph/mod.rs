//! The steps of a graph file and what each needs: a directed graph without cycles.
//!
//! It knows steps by name only. What they do, whether they are fresh and when they run is decided elsewhere.

mod cycle;
pub mod render;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::config::{self, Diagnostic, GraphFile, Why};
use crate::step::StepId;

/// A step that another needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The step that has to be done before.
    pub step: StepId,
    /// Each reason for that; at least one.
    pub why: BTreeSet<Why>,
}

/// The steps, each behind all that it needs.
///
/// ```
/// # use std::path::Path;
/// use engine::config;
/// use engine::graph::Graph;
///
/// let text = r#"
///     command.lint.run = ["cargo", "clippy"]
///     command.lint.after = ["command:format"]
///     command.format.run = ["cargo", "fmt"]
/// "#;
/// let file = config::parse(text, Path::new("xtask.toml")).unwrap();
/// let graph = Graph::from_file(&file).unwrap();
/// let order: Vec<_> = graph.order().iter().map(ToString::to_string).collect();
/// assert_eq!(order, ["command:format", "command:lint"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// In an order in which they can run.
    order: Vec<StepId>,
    /// The place of each step in `order`.
    places: BTreeMap<StepId, usize>,
    /// By place; each list by step.
    dependencies: Vec<Vec<Dependency>>,
    /// By place; places in order.
    dependents: Vec<Vec<usize>>,
}

/// Reads a graph file and the graph in it; the mistakes of both are the error, in order of position.
pub fn load(path: &Path) -> Result<(GraphFile, Graph), Vec<Diagnostic>> {
    complete(config::read_file(path)?)
}

/// As [`load`], from a text. `origin` is where the file is (or would be).
pub fn parse(text: &str, origin: &Path) -> Result<(GraphFile, Graph), Vec<Diagnostic>> {
    complete(config::read_text(text, origin))
}

fn complete(outcome: config::Outcome) -> Result<(GraphFile, Graph), Vec<Diagnostic>> {
    let mut problems = outcome.problems;
    let graph = Graph::from_file(&outcome.file).unwrap_or_else(|cycles| {
        problems.extend(cycles);
        Graph::default()
    });
    if problems.is_empty() {
        return Ok((outcome.file, graph));
    }
    problems.sort_by_key(Diagnostic::order);
    Err(problems)
}

impl Graph {
    /// The graph of a file's steps. The error names each cycle.
    pub fn from_file(file: &GraphFile) -> Result<Self, Vec<Diagnostic>> {
        let mut needs: Needs = file.steps().into_iter().map(|step| (step, BTreeMap::new())).collect();
        for (by, on, why) in file.edges() {
            // A file with mistakes may name steps that are not there, or a step itself; both were reported.
            if by != on
                && needs.contains_key(&on)
                && let Some(dependencies) = needs.get_mut(&by)
            {
                dependencies.entry(on).or_insert_with(BTreeSet::new).insert(why);
            }
        }
        match sorted(&needs) {
            Ok(order) => Ok(Self::new(order, needs)),
            Err(stuck) => Err(cycle::report(file, &cycle::find(&needs, &stuck))),
        }
    }

    /// The graph with a further step `beside`, which needs what `step` needs. Of the steps that need `step`, those for
    /// which `by` holds need it as well. Without `step` nothing is changed.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use engine::graph;
    /// let text = "[command.a]\nrun = [\"true\"]\n[command.b]\nrun = [\"true\"]\nafter = [\"command:a\"]\n";
    /// let (_, graph) = graph::parse(text, Path::new("xtask.toml")).unwrap();
    /// let graph = graph.with_beside(&"command:a".parse().unwrap(), "command:z".parse().unwrap(), |_| true);
    /// let order: Vec<_> = graph.order().iter().map(ToString::to_string).collect();
    /// assert_eq!(order, ["command:a", "command:z", "command:b"]);
    /// ```
    #[must_use]
    pub fn with_beside(&self, step: &StepId, beside: StepId, by: impl Fn(&StepId) -> bool) -> Self {
        if !self.contains(step) {
            return self.clone();
        }
        let of = |step: &StepId| -> BTreeMap<StepId, BTreeSet<Why>> {
            self.dependencies(step).iter().map(|needed| (needed.step.clone(), needed.why.clone())).collect()
        };
        let mut needs: Needs = self.order.iter().map(|step| (step.clone(), of(step))).collect();
        for (_, needed) in needs.iter_mut().filter(|(dependent, _)| by(dependent)) {
            if let Some(why) = needed.get(step).cloned() {
                needed.insert(beside.clone(), why);
            }
        }
        needs.insert(beside, of(step));
        // It stands where `step` does, so it closes no circle.
        sorted(&needs).map_or_else(|_| self.clone(), |order| Self::new(order, needs))
    }

    /// `order` has every step of `needs` behind what it needs.
    fn new(order: Vec<StepId>, mut needs: Needs) -> Self {
        let places: BTreeMap<_, _> = order.iter().enumerate().map(|(place, step)| (step.clone(), place)).collect();
        let mut dependents = vec![Vec::new(); order.len()];
        let mut dependencies = Vec::with_capacity(order.len());
        for (place, step) in order.iter().enumerate() {
            let needed = needs.remove(step).unwrap_or_default();
            for on in needed.keys() {
                if let Some(dependents) = places.get(on).and_then(|on| dependents.get_mut(*on)) {
                    dependents.push(place);
                }
            }
            dependencies.push(needed.into_iter().map(|(step, why)| Dependency { step, why }).collect());
        }
        Self { order, places, dependencies, dependents }
    }

    /// All steps, each behind those that it needs. The same file gives the same order.
    pub fn order(&self) -> &[StepId] {
        &self.order
    }

    /// Whether the step is there.
    pub fn contains(&self, step: &StepId) -> bool {
        self.places.contains_key(step)
    }

    /// What a step needs itself, by step; nothing for a step that is not there.
    pub fn dependencies(&self, step: &StepId) -> &[Dependency] {
        self.places.get(step).and_then(|place| self.dependencies.get(*place)).map_or(&[], Vec::as_slice)
    }

    /// The steps that need a step themselves, in order.
    pub fn dependents(&self, step: &StepId) -> impl Iterator<Item = &StepId> {
        let places = self.places.get(step).and_then(|place| self.dependents.get(*place));
        places.into_iter().flatten().filter_map(|place| self.order.get(*place))
    }

    /// For each step, the time from its start to the end of the last step that waits for it, if nothing else holds
    /// them up. Of the steps that could start, the one with the longest time should. `duration` is a step's own.
    pub fn priorities(&self, duration: &dyn Fn(&StepId) -> Duration) -> BTreeMap<StepId, Duration> {
        let mut behind = vec![Duration::ZERO; self.order.len()];
        let mut priorities = BTreeMap::new();
        for (place, step) in self.order.iter().enumerate().rev() {
            let longest = behind.get(place).copied().unwrap_or_default().saturating_add(duration(step));
            for dependency in self.dependencies(step) {
                if let Some(other) = self.places.get(&dependency.step).and_then(|place| behind.get_mut(*place)) {
                    *other = longest.max(*other);
                }
            }
            priorities.insert(step.clone(), longest);
        }
        priorities
    }
}

/// For each step what it needs, and why.
type Needs = BTreeMap<StepId, BTreeMap<StepId, BTreeSet<Why>>>;

/// The steps, each behind what it needs, otherwise by kind and name; or those that can never start.
fn sorted(needs: &Needs) -> Result<Vec<StepId>, BTreeSet<StepId>> {
    let mut waiting: BTreeMap<&StepId, usize> = needs.iter().map(|(step, needs)| (step, needs.len())).collect();
    let mut dependents: BTreeMap<&StepId, Vec<&StepId>> = BTreeMap::new();
    for (step, needs) in needs {
        needs.keys().for_each(|on| dependents.entry(on).or_default().push(step));
    }
    let mut ready: BTreeSet<&StepId> = waiting.iter().filter(|(_, left)| **left == 0).map(|(step, _)| *step).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(step) = ready.pop_first() {
        waiting.remove(step);
        order.push(step.clone());
        for dependent in dependents.get(step).into_iter().flatten() {
            if let Some(left) = waiting.get_mut(dependent) {
                *left -= 1;
                if *left == 0 {
                    ready.insert(dependent);
                }
            }
        }
    }
    if waiting.is_empty() { Ok(order) } else { Err(waiting.into_keys().cloned().collect()) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{Graph, parse};
    use crate::step::StepId;

    /// A graph of commands: `c: a b` needs two others.
    pub(super) fn commands(lines: &[&str]) -> Result<Graph, String> {
        let table = |line: &&str| {
            let (name, after) = line.split_once(':').unwrap();
            let after: Vec<_> = after.split_whitespace().map(|name| format!("\"command:{name}\"")).collect();
            format!("[command.{name}]\nrun = [\"true\"]\nafter = [{}]\n", after.join(", "))
        };
        let text: String = lines.iter().map(table).collect();
        let all = |problems: Vec<_>| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        parse(&text, Path::new("xtask.toml")).map(|(_, graph)| graph).map_err(all)
    }

    fn names(steps: &[StepId]) -> String {
        steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_step_comes_behind_what_it_needs_and_otherwise_by_name() {
        let check = |lines: &[&str], expected: &str| {
            assert_eq!(names(commands(lines).unwrap().order()), expected, "{lines:?}");
        };
        check(&["a:", "b:", "c:"], "a b c");
        check(&["c:", "b:", "a:"], "a b c");
        check(&["a: c", "b: a", "c:"], "c a b");
        check(&["a: b c", "b: d", "c: d", "d:"], "d b c a");
    }

    #[test]
    fn a_cycle_is_named_step_by_step() {
        let check = |lines: &[&str], expected: &str| assert_eq!(commands(lines).unwrap_err(), expected, "{lines:?}");
        check(
            &["a: b", "b: a", "c: a"],
            "xtask.toml:3:10: these steps wait for each other: command:a → command:b → command:a",
        );
        check(
            &["x:", "a: x b", "b: c", "c: a"],
            "xtask.toml:6:23: these steps wait for each other: command:a → command:b → command:c → command:a",
        );
    }

    #[test]
    fn dependents_are_dependencies_the_other_way_round() {
        let graph = commands(&["a: b c", "b: d", "c: d", "d:"]).unwrap();
        for step in graph.order() {
            for dependency in graph.dependencies(step) {
                assert!(graph.dependents(&dependency.step).any(|dependent| dependent == step), "{step}");
            }
        }
        let d = "command:d".parse().unwrap();
        assert_eq!(graph.dependents(&d).map(|step| step.name.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn the_longest_way_to_the_end_goes_first() {
        let graph = commands(&["a: b c", "b: d", "c:", "d:"]).unwrap();
        let seconds = |step: &StepId| {
            Duration::from_secs(match step.name.as_str() {
                "a" => 1,
                "b" => 10,
                "c" => 100,
                _ => 1000,
            })
        };
        let priorities = graph.priorities(&seconds);
        let of = |name: &str| priorities.iter().find(|(step, _)| step.name == name).unwrap().1.as_secs();
        assert_eq!([of("a"), of("b"), of("c"), of("d")], [1, 11, 101, 1011]);
    }

    #[test]
    fn a_thousand_steps_in_a_row_are_no_trouble() {
        let line = |n: usize| if n == 0 { "s0:".to_owned() } else { format!("s{n}: s{}", n - 1) };
        let lines: Vec<_> = (0..1000).map(line).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let graph = commands(&lines).unwrap();
        assert_eq!(graph.order().last().unwrap().name, "s999");
        let priorities = graph.priorities(&|_| Duration::from_secs(1));
        assert_eq!(priorities[&"command:s0".parse().unwrap()], Duration::from_secs(1000));
        assert_eq!(super::render::text(&graph).lines().count(), 1000);
    }
}
