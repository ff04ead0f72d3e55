//! Reporters: they turn events into what people and programs read, and decide nothing.

pub mod failure;
pub mod github;
pub mod heartbeat;
pub mod journal;
pub mod json;
pub mod junit;
pub mod live_lines;
pub mod log_line;
pub mod pipeline;
pub mod plain;
pub mod style;
pub mod terminal;
pub mod words;

use engine::event::Event;
use tokio::sync::mpsc::UnboundedReceiver;

/// Something that is told every event of a run, in order.
pub trait Reporter: Send {
    /// One thing happened.
    fn event(&mut self, event: &Event);
}

/// Hands every event to every reporter, until the run has finished or nobody can tell events any more.
pub async fn pump(mut events: UnboundedReceiver<Event>, mut reporters: Vec<Box<dyn Reporter>>) {
    while let Some(event) = events.recv().await {
        reporters.iter_mut().for_each(|reporter| reporter.event(&event));
        if matches!(event, Event::RunFinished { .. }) {
            break;
        }
    }
}
