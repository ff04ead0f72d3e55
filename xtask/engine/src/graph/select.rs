//! Parts of a graph: what was asked for, and all that it needs.

use std::collections::BTreeSet;

use super::{Graph, Needs};
use crate::config::{listed, nearest};
use crate::failure::Failure;
use crate::step::StepId;

impl Graph {
    /// The graph of the given steps and everything that they need. Steps that are not there are left out.
    pub fn select(&self, steps: &[StepId]) -> Self {
        let mut wanted: BTreeSet<&StepId> = BTreeSet::new();
        let mut open: Vec<&StepId> = steps.iter().filter(|step| self.contains(step)).collect();
        while let Some(step) = open.pop() {
            if wanted.insert(step) {
                open.extend(self.dependencies(step).iter().map(|dependency| &dependency.step));
            }
        }
        let needs =
            |step: &StepId| self.dependencies(step).iter().map(|on| (on.step.clone(), on.why.clone())).collect();
        let needs: Needs = wanted.iter().map(|step| ((*step).clone(), needs(step))).collect();
        let order = self.order.iter().filter(|step| wanted.contains(step)).cloned().collect();
        Self::new(order, needs)
    }

    /// The steps that words of the command line mean: `image:backend`, or just `backend` where one step alone has
    /// that name.
    pub fn find(&self, words: &[String]) -> Result<Vec<StepId>, Failure> {
        words.iter().map(|word| self.find_one(word)).collect()
    }

    fn find_one(&self, word: &str) -> Result<StepId, Failure> {
        if let Some(step) = word.parse::<StepId>().ok().filter(|step| self.contains(step)) {
            return Ok(step);
        }
        let named: Vec<_> = self.order.iter().filter(|step| !word.is_empty() && step.name == word).collect();
        match named.as_slice() {
            [only] => return Ok((*only).clone()),
            [] => {}
            several => {
                let names: Vec<_> = several.iter().map(ToString::to_string).collect();
                let failure = Failure::usage(format!("`{word}` could be {} steps", names.len()));
                return Err(failure.help(format!("write one of {}", listed(names.iter().map(String::as_str)))));
            }
        }
        let whole: Vec<_> = self.order.iter().map(ToString::to_string).collect();
        let near = nearest(word, whole.iter().map(String::as_str)).map(str::to_owned).or_else(|| {
            let near = nearest(word, self.order.iter().map(|step| step.name.as_str()))?;
            self.order.iter().find(|step| step.name == near).map(ToString::to_string)
        });
        let failure = Failure::usage(format!("there is no step `{word}`"));
        Err(match near {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None => failure.help("`cargo xtask graph` shows all steps"),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::tests::commands;

    #[test]
    fn a_selection_has_all_that_it_needs_and_nothing_else() {
        let graph = commands(&["a: b", "b: c", "c:", "d: c", "e:"]).unwrap();
        let check = |steps: &[&str], expected: &[&str]| {
            let steps: Vec<_> = steps.iter().map(|step| step.parse().unwrap()).collect();
            let selected = graph.select(&steps);
            let names: Vec<_> = selected.order().iter().map(|step| step.name.as_str()).collect();
            assert_eq!(names, expected, "{steps:?}");
        };
        check(&["command:a"], &["c", "b", "a"]);
        check(&["command:d", "command:e"], &["c", "d", "e"]);
        check(&["command:c"], &["c"]);
        check(&[], &[]);
        let c = "command:c".parse().unwrap();
        let only_d = graph.select(&["command:d".parse().unwrap()]);
        assert_eq!(only_d.dependents(&c).map(|step| step.name.as_str()).collect::<Vec<_>>(), ["d"]);
    }

    #[test]
    fn words_find_steps_or_the_nearest_name() {
        let text = "[command.lint]\nrun = [\"true\"]\n[command.backend]\nrun = [\"true\"]\n\
                    [image.backend]\ncontext = \"c\"\ndaemon = \"host\"\n";
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("c")).unwrap();
        std::fs::write(folder.path().join("c/Dockerfile"), "FROM scratch\n").unwrap();
        let (_, graph) = crate::graph::parse(text, &folder.path().join("xtask.toml")).unwrap();
        let check = |word: &str, expected: &str| {
            let found = match graph.find(&[word.to_owned()]) {
                Ok(steps) => steps.iter().map(ToString::to_string).collect(),
                Err(failure) => format!("{failure}; {}", failure.help.join("; ")),
            };
            assert_eq!(found, expected, "{word}");
        };
        check("image:backend", "image:backend");
        check("lint", "command:lint");
        check("backend", "`backend` could be 2 steps; write one of `image:backend` and `command:backend`");
        check("imgae:backend", "there is no step `imgae:backend`; did you mean `image:backend`?");
        check("lnit", "there is no step `lnit`; did you mean `command:lint`?");
        check("cluster", "there is no step `cluster`; `cargo xtask graph` shows all steps");
        check("", "there is no step ``; `cargo xtask graph` shows all steps");
    }
}
