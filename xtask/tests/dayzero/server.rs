//! A server on loopback that stands for all hosts: the first folder of a path is the host that was meant.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// What a test waits for.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// Somebody asks and is left without the rest of an answer.
    Hangs,
    /// What the test has started has ended.
    Ended,
}

/// What a host says.
#[derive(Clone)]
enum Answer {
    Whole(Vec<u8>),
    /// Half of it, and then nothing more.
    Half(Vec<u8>),
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    asked: BTreeMap<String, usize>,
    /// Of those, the questions for more than whether it is there.
    fetched: BTreeMap<String, usize>,
    /// How many more are answered, where not all are.
    left: Option<usize>,
}

pub struct Server {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    teller: Sender<Told>,
    told: Receiver<Told>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (teller, told) = channel();
        let (shared, sender) = (state.clone(), teller.clone());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, sender) = (shared.clone(), sender.clone());
                std::thread::spawn(move || answer(stream, &state, &sender));
            }
        });
        Self { address, state, teller, told }
    }

    /// For whoever else has something to tell.
    pub fn teller(&self) -> Sender<Told> {
        self.teller.clone()
    }

    /// Waits for the next that is told.
    pub fn told(&self) -> Told {
        self.told.recv().unwrap()
    }

    /// Answers so many questions and no more, and forgets what has been told; all of them with `None`.
    pub fn answer_only(&self, questions: Option<usize>) {
        self.state.lock().unwrap().left = questions;
        while self.told.try_recv().is_ok() {}
    }

    /// Has `host` give `bytes`, whatever it is asked for.
    pub fn serve(&self, host: &str, bytes: &[u8]) {
        self.say(host, Answer::Whole(bytes.to_vec()));
    }

    /// Has `host` give the first half of `bytes` and then go silent.
    pub fn serve_half(&self, host: &str, bytes: &[u8]) {
        self.say(host, Answer::Half(bytes.to_vec()));
    }

    fn say(&self, host: &str, answer: Answer) {
        self.state.lock().unwrap().answers.insert(host.to_owned(), answer);
    }

    pub fn until_half_is_sent(&self) {
        assert_eq!(self.told(), Told::Hangs);
    }

    /// How often `host` was asked.
    pub fn asked(&self, host: &str) -> usize {
        self.state.lock().unwrap().asked.get(host).copied().unwrap_or(0)
    }

    /// How often something was fetched from `host`.
    pub fn fetched(&self, host: &str) -> usize {
        self.state.lock().unwrap().fetched.get(host).copied().unwrap_or(0)
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>, teller: &Sender<Told>) {
    let mut request = [0; 4096];
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let host = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let host = host.split('/').next().unwrap_or_default().to_owned();
    let answer = {
        let mut state = state.lock().unwrap();
        *state.asked.entry(host.clone()).or_default() += 1;
        if request.starts_with("GET") {
            *state.fetched.entry(host.clone()).or_default() += 1;
        }
        match &mut state.left {
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                Some(state.answers.get(&host).cloned())
            }
            None => Some(state.answers.get(&host).cloned()),
        }
    };
    let Some(answer) = answer else {
        let _ = teller.send(Told::Hangs);
        // Until the other side goes.
        let _ = stream.read(&mut [0]);
        return;
    };
    let head =
        |bytes: &[u8]| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
    // Whoever asked may be gone: that is what some tests are about.
    match answer {
        // Nothing is said, and the connection ends.
        None => {}
        Some(Answer::Whole(bytes)) if request.starts_with("HEAD") => drop(stream.write_all(head(&bytes).as_bytes())),
        Some(Answer::Whole(bytes)) => {
            drop(stream.write_all(head(&bytes).as_bytes()).and_then(|()| stream.write_all(&bytes)));
        }
        Some(Answer::Half(bytes)) => {
            drop(stream.write_all(head(&bytes).as_bytes()).and_then(|()| stream.write_all(&bytes[..bytes.len() / 2])));
            let _ = teller.send(Told::Hangs);
            // Until the other side goes.
            let _ = stream.read(&mut [0]);
        }
    }
}
