//! The way from the program to the API server, which a test can cut and mend.

use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::project::Project;

/// The kubeconfig context that leads this way.
pub const CONTEXT: &str = "way";

/// A port of this machine that leads to the API server of the test cluster, and a kubeconfig that says so.
pub struct Way {
    kubeconfig: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    refuses: bool,
    /// Both ends of what is connected.
    ends: Vec<TcpStream>,
}

impl Way {
    /// A way to the cluster of `project`, in whose folder its kubeconfig is written.
    pub fn of(project: &Project) -> Self {
        Self::by_name(project, CONTEXT)
    }

    /// The same where the context that leads this way is called as the cluster's own: images are built in its node.
    pub fn of_its_own_name(project: &Project) -> Self {
        Self::by_name(project, &Cluster::of_environment().context)
    }

    fn by_name(project: &Project, name: &str) -> Self {
        let context = &Cluster::of_environment().context;
        let arguments = ["config", "view", "--raw", "--minify", "--flatten", "--output", "json"];
        let mut config: Value =
            serde_json::from_str(&project.cluster.kubectl(&arguments)).expect("kubectl prints JSON");
        let server = config["clusters"][0]["cluster"]["server"].as_str().expect("a cluster has a server").to_owned();
        let server = server.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        config["clusters"][0]["cluster"]["server"] = json!(format!("https://127.0.0.1:{port}"));
        assert_eq!(config["contexts"][0]["name"].as_str(), Some(context.as_str()), "only this context is in it");
        config["contexts"][0]["name"] = json!(name);
        config["current-context"] = json!("");
        project.write("kubeconfig.json", &config.to_string());
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // One that is refused is closed as soon as it is there.
                let _ = carry(stream, &server, &shared);
            }
        });
        Self { kubeconfig: project.path("kubeconfig.json"), state }
    }

    /// The variable that makes the program go this way.
    pub fn variable(&self) -> (&'static str, &str) {
        ("KUBECONFIG", self.kubeconfig.to_str().expect("the path is text"))
    }

    /// Ends everything that is connected now.
    pub fn cut(&self) {
        for end in lock(&self.state).ends.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Ends everything, and takes nothing more until it is mended.
    pub fn close(&self) {
        lock(&self.state).refuses = true;
        self.cut();
    }

    /// Takes connections again.
    pub fn mend(&self) {
        lock(&self.state).refuses = false;
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.close();
        let _ = fs::remove_file(&self.kubeconfig);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn carry(client: TcpStream, server: &str, state: &Mutex<State>) -> io::Result<()> {
    let mut state = lock(state);
    if state.refuses {
        return Ok(());
    }
    let server = TcpStream::connect(server)?;
    let ends = [(client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?)];
    state.ends.extend([client, server]);
    for (mut from, mut to) in ends {
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
