//! Which vertex of a build is shown: one that is under way, and of several the one that was heard of last. BuildKit tells
//! of them in no order: of a command that runs for long before of its base, which was there already.

use std::sync::Arc;

use buildkit::{Change, Event};

/// The vertices under way, the one that is shown last.
#[derive(Debug, Default)]
pub struct Shown(Vec<Arc<str>>);

impl Shown {
    /// What is to be shown once `event` has happened, when that is something else than before.
    pub fn after(&mut self, event: &Event) -> Option<String> {
        match &event.change {
            Change::Started => {
                self.0.push(Arc::clone(&event.vertex));
                Some(event.vertex.to_string())
            }
            Change::Advanced { what, current, total } if *total > 0 => {
                self.forget(&event.vertex);
                self.0.push(Arc::clone(&event.vertex));
                Some(format!("{} {what} {}%", event.vertex, current * 100 / total))
            }
            Change::Advanced { .. } | Change::Wrote(_) => None,
            Change::Cached | Change::Completed(_) | Change::Failed(_) => {
                let was_shown = self.0.last() == Some(&event.vertex);
                self.forget(&event.vertex);
                self.0.last().filter(|_| was_shown).map(ToString::to_string)
            }
        }
    }

    fn forget(&mut self, vertex: &Arc<str>) {
        if let Some(at) = self.0.iter().position(|other| other == vertex) {
            self.0.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use buildkit::{Change, Event};

    use super::Shown;

    #[test]
    fn what_has_ended_is_not_shown_while_something_else_goes_on() {
        let mut shown = Shown::default();
        let mut after = |vertex: &str, change| shown.after(&Event { vertex: vertex.into(), line: None, change });
        let part = |current| Change::Advanced { what: "layer".into(), current, total: 4 };
        let done = || Change::Completed(Duration::ZERO);
        assert_eq!(after("run", Change::Started).as_deref(), Some("run"));
        assert_eq!(after("from", Change::Started).as_deref(), Some("from"));
        assert_eq!(after("workdir", Change::Cached), None);
        assert_eq!(after("from", done()).as_deref(), Some("run"), "it has gone on all the time");
        assert_eq!(after("run", Change::Wrote("a line".into())), None);
        assert_eq!(after("copy", Change::Started).as_deref(), Some("copy"));
        assert_eq!(after("run", part(1)).as_deref(), Some("run layer 25%"));
        assert_eq!(after("copy", done()), None, "it was not shown any more");
        assert_eq!(after("run", done()), None, "nothing else goes on");
    }
}
