//! Events as JSON lines, for programs.

use std::io::Write;

use engine::event::Event;

use super::Reporter;

/// Writes one JSON object per event and line.
pub struct Json<W> {
    to: W,
}

impl<W: Write + Send> Json<W> {
    /// Writes to `to`.
    pub const fn new(to: W) -> Self {
        Self { to }
    }
}

impl<W: Write + Send> Reporter for Json<W> {
    fn event(&mut self, event: &Event) {
        // Whoever reads may stop reading: that is no reason to stop a run.
        if let Ok(line) = serde_json::to_string(event) {
            let _ = writeln!(self.to, "{line}").and_then(|()| self.to.flush());
        }
    }
}
