//! The local ports of the loop: one for each Service that is checked, open from the beginning to the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::config::{GraphFile, ServicePort};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::screen::Screen;
use crate::world::World;
use crate::world::forward::listener::{Event, Forward, PATIENCE};
use crate::world::forward::{At, Port};
use crate::world::inherited::Sockets;

/// How long connections have to end before the loop goes on in another program.
const ENDING: Duration = Duration::from_secs(1);

/// Open ports. Dropped, they are closed.
pub struct Ports {
    /// Those that the program before this one had opened.
    inherited: Sockets,
    open: BTreeMap<At, Open>,
    told: JoinSet<()>,
    teller: mpsc::UnboundedSender<(At, Event)>,
    tales: mpsc::UnboundedReceiver<(At, Event)>,
}

struct Open {
    service: ServicePort,
    /// The cluster that it leads to, by its kubeconfig context.
    context: String,
    forward: Forward,
}

impl Ports {
    /// None yet; those of `inherited` are open as soon as a graph file names them.
    pub fn new(inherited: Sockets) -> Self {
        let (teller, tales) = mpsc::unbounded_channel();
        Self { inherited, open: BTreeMap::new(), told: JoinSet::new(), teller, tales }
    }

    /// The sockets, for the program that goes on with them.
    pub async fn hand_over(self) -> Sockets {
        let handed =
            self.open.into_iter().map(|(at, open)| async move { (name(&at), open.forward.hand_over(ENDING).await) });
        join_all(handed).await.into_iter().collect()
    }

    /// Opens those of `file` that are not open yet, and closes those that it does not name any more. Those that lead to
    /// another cluster lead to this one from now on.
    pub async fn follow(&mut self, file: &GraphFile, world: &Arc<World>, screen: &Screen) {
        let wanted: BTreeMap<At, &ServicePort> = file
            .checks
            .values()
            .map(|check| {
                let port = Port::Number(check.service.port);
                (At { namespace: check.namespace.clone(), service: check.service.name.clone(), port }, &check.service)
            })
            .collect();
        self.open.retain(|at, _| wanted.contains_key(at));
        let elsewhere = self.open.extract_if(.., |_, open| open.context != world.context()).collect::<Vec<_>>();
        for (at, open) in elsewhere {
            self.inherited.insert(name(&at), open.forward.hand_over(ENDING).await);
        }
        // Those that were closed have nothing more to tell.
        while self.told.try_join_next().is_some() {}
        for (at, service) in wanted {
            if self.open.contains_key(&at) {
                continue;
            }
            let inherited = self.inherited.remove(&name(&at));
            let inherited =
                inherited.and_then(|socket| Forward::on(Arc::clone(world), at.clone(), socket, PATIENCE).ok());
            let opened = match inherited {
                Some(forward) => Some(forward),
                None => open(world, &at, file.local_port(service), screen).await,
            };
            if let Some(forward) = opened {
                screen.good("Forwarding", &format!("{} to {at}", url(&forward)));
                screen
                    .fact(&json!({"event": "forwarding", "service": at.service, "local": forward.local().to_string()}));
                let (mut events, teller, of) = (forward.events(), self.teller.clone(), at.clone());
                self.told.spawn(async move {
                    while let Some(event) = events.next().await {
                        // Nobody listening means that the loop is ending.
                        let _ = teller.send((of.clone(), event));
                    }
                });
                self.open.insert(at, Open { service: service.clone(), context: world.context().to_owned(), forward });
            }
        }
        // Whoever connects to one that nobody serves would wait for ever.
        self.inherited.clear();
    }

    /// What happens to one of them next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> (At, Event) {
        match self.tales.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    /// Where each Service is open.
    pub fn local(&self) -> BTreeMap<String, u16> {
        self.open.values().map(|open| (open.service.to_string(), open.forward.local().port())).collect()
    }

    /// Where they answer, in one line.
    pub fn line(&self) -> String {
        let ports = self.open.iter().map(|(at, open)| format!("{} {}", url(&open.forward), at.service));
        ports.collect::<Vec<_>>().join("   ")
    }

    /// The address for a browser: that of the Service with the lowest port, which is a web server's if any is.
    pub fn first(&self) -> Option<String> {
        let first = self.open.values().min_by_key(|open| open.service.port)?;
        Some(url(&first.forward))
    }
}

/// Where a browser finds it: by the name that applications are told of themselves, for sign-ins hold for one name only.
fn url(forward: &Forward) -> String {
    format!("http://localhost:{}", forward.local().port())
}

/// What a socket is called from one program to the next.
fn name(at: &At) -> String {
    format!("{}/{at}", at.namespace)
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
pub fn tell(screen: &Screen, at: &At, event: &Event) {
    let fact = |name: &str, failure: Value| {
        screen.fact(&json!({"event": name, "service": at.service, "failure": failure}));
    };
    match event {
        Event::Pods(_) => {}
        Event::Waiting(why) => {
            screen.warning("Waiting", &format!("a connection to {at}: {why}"));
            fact("waiting", json!(why));
        }
        Event::Dropped(why) => {
            screen.warning("Dropped", &format!("a connection to {at}: {why}"));
            fact("dropped", json!(why));
        }
        Event::Lost(why) => {
            screen.warning("Lost", &format!("{why}; trying again"));
            fact("contact-lost", json!(why));
        }
        Event::Back => {
            screen.good("Back", &format!("{at}: the API server answers again"));
            fact("contact-back", Value::Null);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;

    use super::Ports;
    use crate::cli::Format;
    use crate::cli::dev::screen::Screen;
    use crate::report::terminal::Verbosity;
    use crate::world::World;
    use crate::world::inherited::Sockets;

    #[tokio::test]
    async fn a_port_stays_where_another_cluster_is_declared_and_what_nobody_names_is_closed() {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (own, gone) = (free(), free());
        let gone_at = gone.local_addr().unwrap();
        let port = own.local_addr().unwrap().port();
        let text = format!(
            "project = \"p\"\n[cluster]\nprofile = \"p\"\n[release.r]\nchart = \"chart\"\nnamespace = \"n\"\n\
             [check.web]\nservice = \"web:{port}\"\nget = \"/\"\n"
        );
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("chart")).unwrap();
        fs::write(folder.path().join("chart/Chart.yaml"), "name: r").unwrap();
        fs::write(folder.path().join("xtask.toml"), text).unwrap();
        let (file, _) = engine::graph::load(&folder.path().join("xtask.toml")).unwrap();
        let screen = Screen::new(Format::Json, Verbosity::Normal);
        let inherited = Sockets::from([("n/web:8000".to_owned(), gone)]);
        drop(own);
        let mut ports = Ports::new(inherited);
        for context in ["first", "second"] {
            ports.follow(&file, &Arc::new(World::of_context(context)), &screen).await;
            assert_eq!(ports.local().into_values().collect::<Vec<_>>(), [port], "in {context}");
            let leads: Vec<&str> = ports.open.values().map(|open| open.context.as_str()).collect();
            assert_eq!(leads, [context]);
            TcpStream::connect(("127.0.0.1", port)).unwrap();
            TcpStream::connect(gone_at).unwrap_err();
        }
    }
}
