//! Looks at the sources that have found a change, until the change is live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// A look that has found a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// When the first of its files was written.
    pub since: Instant,
    /// Whose sources they are.
    pub image: String,
    /// Which files, for people: `app/main.py and 2 more`.
    pub change: String,
    /// It is in a container, where the application starts with it.
    starting: bool,
}

/// See the module. Looks have numbers: a later one has found what all before it have.
#[derive(Debug, Default)]
pub struct Looks {
    last: u64,
    waiting: BTreeMap<u64, Look>,
}

impl Looks {
    /// The number of the next look.
    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Look `number` has found `files` of `image` changed.
    pub fn found(&mut self, number: u64, since: Instant, image: &str, files: &BTreeSet<String>) {
        let Some(first) = files.first() else { return };
        let change = match files.len() {
            1 => first.clone(),
            several => format!("{first} and {} more", several - 1),
        };
        self.waiting.insert(number, Look { since, image: image.to_owned(), change, starting: false });
    }

    /// What look `number` has found, if it is not live yet.
    pub fn get(&self, number: u64) -> Option<&Look> {
        self.waiting.get(&number)
    }

    /// The files of look `number` are in a container of `image`, whose application starts with them.
    pub fn starting(&mut self, number: u64, image: &str) {
        let with_it = self.waiting.range_mut(..=number).filter(|(_, look)| look.image == image);
        with_it.for_each(|(_, look)| look.starting = true);
    }

    /// The files of look `number` are in a container of `image`, whose application reads them as they are. Those that
    /// it starts with are live once it has started.
    pub fn synced(&mut self, number: u64, image: &str) {
        self.waiting.retain(|other, look| *other > number || look.image != image || look.starting);
    }

    /// The application of `image` has started with the files of look `number`, and so of all before it.
    pub fn started(&mut self, number: u64, image: &str) -> Option<Look> {
        let look = self.waiting.remove(&number);
        self.waiting.retain(|other, look| *other > number || look.image != image);
        look
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Instant;

    use super::Looks;

    fn three() -> Looks {
        let mut looks = Looks::default();
        for (image, files) in [("backend", "a.py"), ("frontend", "a.tsx"), ("backend", "b.py")] {
            let number = looks.number();
            looks.found(number, Instant::now(), image, &BTreeSet::from([files.to_owned()]));
        }
        looks
    }

    fn waiting(looks: &Looks) -> Vec<u64> {
        (1..=looks.last).filter(|number| looks.get(*number).is_some()).collect()
    }

    #[test]
    fn what_was_found_before_is_live_with_what_was_found_later() {
        let mut looks = three();
        looks.synced(3, "backend");
        assert_eq!(waiting(&looks), [2]);

        let mut looks = three();
        assert_eq!(looks.started(3, "backend").map(|look| look.change), Some("b.py".to_owned()));
        assert_eq!(waiting(&looks), [2]);
    }

    #[test]
    fn what_an_application_starts_with_is_live_only_when_it_has_started() {
        let mut looks = three();
        looks.starting(1, "backend");
        looks.synced(3, "backend");
        assert_eq!(waiting(&looks), [1, 2]);
        looks.started(1, "backend");
        assert_eq!(waiting(&looks), [2]);
    }

    #[test]
    fn several_files_are_told_by_the_first() {
        let mut looks = Looks::default();
        let files = BTreeSet::from(["a.py", "b.py", "c.py"].map(str::to_owned));
        looks.found(1, Instant::now(), "backend", &files);
        assert_eq!(looks.get(1).map(|look| look.change.as_str()), Some("a.py and 2 more"));
        looks.found(2, Instant::now(), "backend", &BTreeSet::new());
        assert_eq!(looks.get(2), None);
    }
}
