//! The dev loop against the real cluster: what is saved becomes live, whatever happens meanwhile.

mod alone;
mod cluster;
mod files;
mod isolated;
mod leaving;
mod live;
mod logs;
mod long;
mod machine;
mod mishaps;
mod mistakes;
mod others;
mod overtaken;
mod own_sources;
mod sources;
mod terminal;

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::project::Project;
use crate::running::Running;

/// A loop that watches the checkout of a project.
pub struct Loop<'p> {
    pub project: &'p Project,
    pub running: Running,
    /// The local ports, by Service.
    ports: BTreeMap<String, u16>,
}

impl<'p> Loop<'p> {
    /// Begins it and returns when everything is deployed.
    pub fn begin(project: &'p Project, arguments: &[&str]) -> Self {
        Self::of(project, Running::start(project, &[&["dev"], arguments].concat()))
    }

    /// The same of a loop that has just begun.
    fn of(project: &'p Project, mut running: Running) -> Self {
        running.until("everything is deployed", |event| {
            // The facts of a port come before the first run.
            event["event"] == "watching"
        });
        let mut ports = BTreeMap::new();
        for event in running.events().filter(|event| event["event"] == "forwarding") {
            let local = event["local"].as_str().and_then(|local| local.rsplit(':').next()?.parse().ok());
            ports.insert(event["service"].as_str().expect("a name").to_owned(), local.expect("a port"));
        }
        Self { project, running, ports }
    }

    pub fn port(&self, service: &str) -> u16 {
        *self.ports.get(service).unwrap_or_else(|| panic!("{service} has a local port: {:?}", self.ports))
    }

    /// Waits for an event of that name.
    #[track_caller]
    pub fn until_told(&mut self, name: &str) {
        self.running.until(&format!("it tells `{name}`"), |event| event["event"] == name);
    }

    /// Waits until the application of an image was started with what was saved last.
    #[track_caller]
    pub fn until_answering(&mut self, image: &str, what: &str) {
        self.running.until(what, |event| event["event"] == "answering" && event["image"] == image);
    }

    pub fn end(self) {
        self.running.signal(Signal::INT);
        self.running.ended().expect_code(130);
    }
}
