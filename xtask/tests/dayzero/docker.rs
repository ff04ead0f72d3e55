//! A container engine that only tells: that it is there, what it is, and which images it has.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

pub struct Engine {
    pub socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What it says of itself.
#[derive(Clone)]
pub struct About {
    /// The images that it has, by their names.
    pub images: Vec<&'static str>,
    /// The proxy that it was told of.
    pub proxy: &'static str,
}

impl Engine {
    pub fn start(socket: PathBuf, about: About) -> Self {
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, about) = (Arc::clone(&shared), about.clone());
                std::thread::spawn(move || answer(stream, &shared, &about));
            }
        });
        Self { socket, asked }
    }

    /// Whether it was asked for `path`.
    pub fn was_asked(&self, path: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked == path)
    }
}

fn answer(mut stream: UnixStream, asked: &Mutex<Vec<String>>, about: &About) {
    let mut request = [0; 16384];
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split([' ', '?']).nth(1).unwrap_or_default();
    // In front of it there may be the version of the API.
    let path = path.strip_prefix("/v").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(path);
    asked.lock().unwrap().push(path.to_owned());
    let (status, body) = match path {
        "/_ping" => ("200 OK", json!("OK")),
        "/version" => {
            ("200 OK", json!({"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux"}))
        }
        "/info" => {
            let info = json!({
                "DockerRootDir": "/no/such/folder", "HttpsProxy": about.proxy, "RegistryConfig": {"Mirrors": []},
            });
            ("200 OK", info)
        }
        "/images/json" => ("200 OK", about.images.iter().map(|name| image(name)).collect()),
        _ => ("500 Internal Server Error", json!({"message": "this engine only tells"})),
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n");
    // Whoever asked may be gone.
    let _ = write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
}

fn image(name: &str) -> Value {
    json!({"Id": format!("sha256:{name}"), "RepoTags": [name], "RepoDigests": null, "Labels": null, "Created": 1, "Size": 1})
}
