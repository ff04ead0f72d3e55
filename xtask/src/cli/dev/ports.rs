//! The local ports of the loop: one for each Service that is checked, open from the beginning to the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::config::GraphFile;
use serde_json::json;
use tokio::task::JoinSet;

use super::screen::Screen;
use crate::world::World;
use crate::world::forward::listener::{Event, Forward, PATIENCE};
use crate::world::forward::{At, Port};

/// Open ports. Dropped, they are closed.
#[derive(Default)]
pub struct Ports {
    open: BTreeMap<At, Forward>,
    told: JoinSet<()>,
}

impl Ports {
    /// Opens those of `file` that are not open yet, and closes those that it does not name any more.
    pub async fn follow(&mut self, file: &GraphFile, world: &Arc<World>, screen: &Screen) {
        let wanted: Vec<(At, u16)> = file
            .checks
            .values()
            .map(|check| {
                let port = Port::Number(check.service.port);
                let at = At { namespace: check.namespace.clone(), service: check.service.name.clone(), port };
                (at, file.local_port(&check.service))
            })
            .collect();
        self.open.retain(|at, _| wanted.iter().any(|(wanted, _)| wanted == at));
        for (at, local) in wanted {
            if self.open.contains_key(&at) {
                continue;
            }
            if let Some(forward) = open(world, &at, local, screen).await {
                screen.good("Forwarding", &format!("http://{} to {at}", forward.local()));
                screen
                    .fact(&json!({"event": "forwarding", "service": at.service, "local": forward.local().to_string()}));
                let (mut events, screen, at) = (forward.events(), screen.clone(), at.clone());
                self.told.spawn(async move {
                    while let Some(event) = events.next().await {
                        tell(&screen, &at, &event);
                    }
                });
                self.open.insert(forward.at().clone(), forward);
            }
        }
    }

    /// Where they answer, in one line.
    pub fn line(&self) -> String {
        let ports = self.open.iter().map(|(at, forward)| format!("http://{} {}", forward.local(), at.service));
        ports.collect::<Vec<_>>().join("   ")
    }

    /// The address of the first, for a browser.
    pub fn first(&self) -> Option<String> {
        self.open.values().next().map(|forward| format!("http://{}", forward.local()))
    }
}

/// The port, or the next free one where somebody has it.
async fn open(world: &Arc<World>, at: &At, local: u16, screen: &Screen) -> Option<Forward> {
    let taken = match Forward::open(Arc::clone(world), at.clone(), local, PATIENCE).await {
        Ok(forward) => return Some(forward),
        Err(taken) => taken,
    };
    screen.warning("In use", &format!("{}", taken.failure));
    match Forward::open(Arc::clone(world), at.clone(), taken.free?, PATIENCE).await {
        Ok(forward) => Some(forward),
        Err(taken) => {
            screen.bad("Closed", &format!("{}", taken.failure));
            None
        }
    }
}

/// Only what a person has to know: that pods come and go is told with what has made them.
fn tell(screen: &Screen, at: &At, event: &Event) {
    match event {
        Event::Pods(_) => {}
        Event::Waiting(why) => screen.warning("Waiting", &format!("a connection to {at}: {why}")),
        Event::Dropped(why) => screen.warning("Dropped", &format!("a connection to {at}: {why}")),
        Event::Lost(why) => screen.warning("Lost", &format!("{why}; trying again")),
        Event::Back => screen.good("Back", &format!("{at}: the API server answers again")),
    }
}
