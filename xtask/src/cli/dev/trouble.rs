//! What is wrong, until it is mended. On a terminal it stays in view.

use std::collections::{BTreeMap, BTreeSet};

use super::screen::{Place, Screen};

/// What something can be wrong with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The way to the API server.
    Contact,
    /// The last run of the graph.
    Graph,
    /// The graph file.
    GraphFile,
    /// The tool itself, whose sources have changed.
    Tool,
    /// The application of an image in one of its pods.
    Application {
        /// The image.
        image: String,
        /// The pod.
        pod: String,
    },
    /// The files of this image, here.
    Files(String),
    /// The files in this pod.
    Pod(String),
}

/// See the module.
pub struct Trouble {
    screen: Screen,
    parts: BTreeMap<Part, String>,
}

impl Trouble {
    /// None yet.
    pub fn on(screen: Screen) -> Self {
        Self { screen, parts: BTreeMap::new() }
    }

    /// Whether anything is wrong with `part`.
    pub fn with(&self, part: &Part) -> bool {
        self.parts.contains_key(part)
    }

    /// `part` is wrong, as `text` says in few words.
    pub fn add(&mut self, part: Part, text: impl Into<String>) {
        self.parts.insert(part, text.into());
        self.show();
    }

    /// Nothing is wrong with `part` any more.
    pub fn mended(&mut self, part: &Part) {
        if self.parts.remove(part).is_some() {
            self.show();
        }
    }

    /// Other links are followed from now on, of `images` only: what is wrong with a pod is told again by its new link, which
    /// starts what does not run, and what has gone meanwhile tells nothing any more.
    pub fn begun_anew(&mut self, images: &BTreeSet<&str>) {
        self.parts.retain(|part, _| match part {
            Part::Pod(_) | Part::Application { .. } => false,
            Part::Files(image) => images.contains(image.as_str()),
            Part::Contact | Part::Graph | Part::GraphFile | Part::Tool => true,
        });
        self.show();
    }

    fn show(&self) {
        let texts: Vec<&str> = self.parts.values().map(String::as_str).collect();
        self.screen.set(Place::Trouble, &texts.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Part, Trouble};
    use crate::cli::Format;
    use crate::cli::dev::screen::Screen;
    use crate::report::terminal::Verbosity;

    #[test]
    fn an_application_is_mended_pod_by_pod() {
        let mut trouble = Trouble::on(Screen::new(Format::Json, Verbosity::Normal));
        let [first, second] = ["backend-1", "backend-2"]
            .map(|pod| Part::Application { image: "backend".to_owned(), pod: pod.to_owned() });
        trouble.add(first.clone(), "it ended");
        trouble.mended(&second);
        assert!(trouble.with(&first), "another pod answers");
        trouble.mended(&first);
        assert!(!trouble.with(&first));
    }

    #[test]
    fn with_other_links_only_what_is_still_there_is_wrong() {
        let mut trouble = Trouble::on(Screen::new(Format::Json, Verbosity::Normal));
        let image = |name: &str| name.to_owned();
        let application = |pod: &str| Part::Application { image: image("backend"), pod: pod.to_owned() };
        let mut check = |part: Part, stays: bool| {
            trouble.add(part.clone(), "it is broken");
            trouble.begun_anew(&BTreeSet::from(["backend"]));
            assert_eq!(trouble.with(&part), stays, "{part:?}");
        };
        let rows = [
            (Part::Contact, true),
            (Part::Graph, true),
            (Part::GraphFile, true),
            (Part::Tool, true),
            (application("backend-1"), false),
            (Part::Files(image("backend")), true),
            (Part::Files(image("renamed")), false),
            (Part::Pod("backend-1".to_owned()), false),
        ];
        for (part, stays) in rows {
            check(part, stays);
        }
    }
}
