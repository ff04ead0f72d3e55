//! A person who uses the deployed application through its public address, with a new connection for each request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// The origin that the application is configured for, whatever way leads to it here.
const ORIGIN: &str = "http://localhost:30080";

/// Longer than any answer takes. A request that waits so long is lost.
const LIMIT: Duration = Duration::from_secs(20);

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Person {
    address: SocketAddr,
    email: String,
    cookie: String,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// The cookies that it sets, as they are sent from then on.
    fn cookies(&self) -> String {
        let cookies = self.head.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then(|| value.split(';').next().unwrap_or_default())
        });
        cookies.collect::<Vec<_>>().join("; ")
    }
}

impl Person {
    /// Somebody new, at the frontend that answers at `address`.
    #[track_caller]
    pub fn sign_up(address: SocketAddr, name: &str) -> Self {
        let unique = std::time::UNIX_EPOCH.elapsed().expect("the clock is right").as_nanos();
        let email = format!("{name}-{unique}@example.com");
        let mut person = Self { address, email, cookie: String::new() };
        person.enter("sign-up");
        person
    }

    /// The same one, with a session of another sign-in.
    #[track_caller]
    pub fn sign_in(&self) -> Self {
        let mut person = Self { cookie: String::new(), ..self.clone() };
        person.enter("sign-in");
        person
    }

    #[track_caller]
    fn enter(&mut self, way: &str) {
        let body = json!({"email": self.email, "password": "correct horse battery", "name": "Ada"});
        let answer = self.request("POST", &format!("/api/auth/{way}/email"), Some(&body)).expect("it answers");
        assert_eq!(answer.status, 200, "{way}: {}", answer.body);
        self.cookie = answer.cookies();
    }

    /// The same one with the same session, by another way to the frontend.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// Asks for `path`, and goes on with the cookies that the answer sets, as browsers do. An error says what came
    /// instead of a success.
    pub fn visit(&mut self, path: &str) -> Result<(), String> {
        let answer = self.request("GET", path, None).map_err(|error| format!("GET {path}: {error}"))?;
        let cookies = answer.cookies();
        if !cookies.is_empty() {
            self.cookie = cookies;
        }
        if answer.status == 200 { Ok(()) } else { Err(format!("GET {path}: {} {}", answer.status, answer.body)) }
    }

    /// What a request for data is answered with; an error says what came instead.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let answer = self.request(method, path, body).map_err(|error| format!("{method} {path}: {error}"))?;
        match answer.status {
            204 => Ok(Value::Null),
            200..=299 => serde_json::from_str(&answer.body).map_err(|error| format!("{method} {path}: {error}")),
            status => Err(format!("{method} {path}: {status} {}", answer.body)),
        }
    }

    /// The titles of the person's tasks, in the order of their making.
    #[track_caller]
    pub fn tasks(&self) -> Vec<String> {
        let tasks = self.ask("GET", "/api/tasks?sort=created&order=asc", None).expect("tasks are listed");
        let titles = tasks.as_array().expect("a list").iter().map(|task| task["title"].as_str().expect("a title"));
        titles.map(str::to_owned).collect()
    }

    /// Adds a task; its number.
    #[track_caller]
    pub fn add(&self, title: &str) -> i64 {
        let added = self.ask("POST", "/api/tasks", Some(&json!({"title": title}))).expect("a task is added");
        added["id"].as_i64().expect("a task has a number")
    }

    /// Says something to the assistant in a conversation of its own, and hears the answer to its end; the
    /// conversation's number.
    pub fn say(&self, message: &str) -> Result<i64, String> {
        let body = json!({"message": message});
        let answer = self.request("POST", "/api/chat", Some(&body)).map_err(|error| format!("the chat: {error}"))?;
        let begun = answer.body.lines().nth(1).and_then(|line| line.strip_prefix("data: "));
        let begun = begun.and_then(|data| serde_json::from_str::<Value>(data).ok());
        let number = begun.and_then(|conversation| conversation["id"].as_i64());
        match (answer.status, number) {
            (200, Some(number)) if answer.body.contains("event: done\n") => Ok(number),
            (status, _) => Err(format!("the chat: {status} {}", answer.body)),
        }
    }

    /// What was said in a conversation.
    #[track_caller]
    pub fn messages(&self, conversation: i64) -> Value {
        self.ask("GET", &format!("/api/conversations/{conversation}/messages"), None).expect("messages are listed")
    }

    /// A connection to the frontend, with nothing sent yet.
    pub fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(stream)
    }

    /// The head of a request of HTTP `version`, whose body has so many bytes.
    pub fn head(&self, version: &str, method: &str, path: &str, length: usize) -> String {
        let cookie = if self.cookie.is_empty() { String::new() } else { format!("Cookie: {}\r\n", self.cookie) };
        format!(
            "{method} {path} HTTP/{version}\r\nHost: localhost:30080\r\nOrigin: {ORIGIN}\r\n{cookie}Content-Type: \
             application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        // An answer to this version is never sent in chunks, and ends with its connection.
        let request = self.head("1.0", method, path, body.len()) + &body;
        let mut stream = self.connect()?;
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let parts = text.split_once("\r\n\r\n").zip(status);
        let ((head, body), status) =
            parts.ok_or_else(|| std::io::Error::other(format!("the answer was cut off: {text:?}")))?;
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }
}
