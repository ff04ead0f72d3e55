//! The end of a loop: what it has synced is put back, whatever has become of the graph file meanwhile.

use serde_json::json;

use super::Development;
use super::deploying::Deploying;
use super::restore::{Restored, restore, restore_former};
use crate::cli::problem::Problem;
use crate::report::failure;

impl Development {
    /// Ends the run under way, if there is one.
    pub(super) async fn end_run(&mut self) {
        if let Some(mut deploying) = self.deploying.take() {
            deploying.cancel();
            deploying.ended().await;
            self.note_patched(&deploying);
        }
    }

    /// Ends what runs and puts the pods back, unless told otherwise.
    pub(super) async fn leave(&mut self) -> Result<(), Problem> {
        self.end_run().await;
        if self.request.keep {
            self.screen.warning("Left", "pods run what was synced; `cargo xtask deploy` puts them back");
            return Ok(());
        }
        let context = self.project.file.cluster.as_ref().map_or("", |cluster| cluster.kube_context());
        let had_cluster = self.patched.has_cluster(context);
        let present = restore(self.project.clone(), self.isolation(), &self.leave, had_cluster, &self.screen).await;
        // Whatever came in the way of the present ones.
        let former = self.restore_former().await;
        let mut restored = present?;
        restored.extend(former?);
        self.tell_restored(restored)
    }

    /// Puts back what whoever begins with the graph file as it is now would know nothing of, unless told otherwise.
    pub(super) async fn leave_former(&mut self) -> Result<(), Problem> {
        if self.request.keep {
            return Ok(());
        }
        let restored = self.restore_former().await?;
        self.tell_restored(restored)
    }

    /// Remembers which releases a run may have synced.
    pub(super) fn note_patched(&mut self, run: &Deploying) {
        if let Some(project) = run.in_cluster() {
            self.patched.note(project, self.request.isolate.name());
        }
    }

    /// Puts back what the graph file as it is now knows nothing of.
    async fn restore_former(&self) -> Result<Restored, Problem> {
        let mut restored = Restored::default();
        for (place, former) in self.patched.beside(&self.project, self.isolation()) {
            let ended = restore_former(&place, former, self.isolation(), &self.leave, &self.screen).await;
            restored.extend(ended?);
        }
        Ok(restored)
    }

    fn tell_restored(&self, Restored { back, left, failures }: Restored) -> Result<(), Problem> {
        if !back.is_empty() {
            let text = format!("{} runs built images; `cargo xtask deploy` builds what changed", back.join(", "));
            self.screen.good("Restored", &text);
            self.screen.fact(&json!({"event": "restored", "releases": back}));
        }
        if !left.is_empty() {
            let text = format!(
                "{} as it is: pods run what was synced; `cargo xtask deploy` builds it, by the graph file that declares it",
                left.join(", ")
            );
            self.screen.warning("Left", &text);
            self.screen.fact(&json!({"event": "left", "releases": left}));
        }
        let mut failures = failures.into_iter();
        let first = failures.next();
        failures.for_each(|failed| self.screen.line(&failure::render(&failed)));
        first.map_or(Ok(()), |failed| Err(failed.into()))
    }
}
