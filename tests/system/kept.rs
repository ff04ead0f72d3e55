//! A connection that is kept for many requests, as browsers keep theirs, of a person who only reads.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use crate::person::Person;

/// After so many requests it is known whether connections are kept at all.
const MANY: usize = 20;

/// It, and another one once the server has asked to close it.
pub struct Kept {
    person: Person,
    connection: Option<BufReader<TcpStream>>,
    asked: usize,
    opened: usize,
}

/// What the head of an answer says.
#[derive(Default)]
struct Head {
    status: u16,
    length: usize,
    in_chunks: bool,
    closes: bool,
}

impl Kept {
    pub fn by(person: &Person) -> Self {
        Self { person: person.clone(), connection: None, asked: 0, opened: 0 }
    }

    /// Asks for `path`, over the connection that is there if one is. An error says what came instead of an answer.
    pub fn get(&mut self, path: &str) -> Result<(), String> {
        self.asked += 1;
        let status = self.exchange(path).map_err(|error| {
            self.connection = None;
            format!("GET {path} over a connection that is kept: {error}")
        })?;
        if self.asked >= MANY && self.opened == self.asked {
            return Err("no connection is kept".to_owned());
        }
        if status == 200 { Ok(()) } else { Err(format!("GET {path} over a connection that is kept: {status}")) }
    }

    fn exchange(&mut self, path: &str) -> io::Result<u16> {
        if self.connection.is_none() {
            self.opened += 1;
        }
        let mut connection = match self.connection.take() {
            Some(kept) => kept,
            None => BufReader::new(self.person.connect()?),
        };
        connection.get_mut().write_all(self.person.head("1.1", "GET", path, 0).as_bytes())?;
        let head = head(&mut connection)?;
        body(&mut connection, &head)?;
        if !head.closes {
            self.connection = Some(connection);
        }
        Ok(head.status)
    }
}

fn head(connection: &mut BufReader<TcpStream>) -> io::Result<Head> {
    let mut head = Head::default();
    let first = line(connection)?;
    head.status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| cut_off(&first))?;
    loop {
        let line = line(connection)?.to_ascii_lowercase();
        match line.split_once(": ") {
            Some(("content-length", length)) => head.length = length.parse().map_err(|_| cut_off(&line))?,
            Some(("transfer-encoding", how)) => head.in_chunks = how == "chunked",
            Some(("connection", how)) => head.closes = how == "close",
            Some(_) => {}
            None => return if line.is_empty() { Ok(head) } else { Err(cut_off(&line)) },
        }
    }
}

/// Reads it to its end; what it says is of no matter here.
fn body(connection: &mut BufReader<TcpStream>, head: &Head) -> io::Result<()> {
    if !head.in_chunks {
        return connection.read_exact(&mut vec![0; head.length]);
    }
    loop {
        let size = line(connection)?;
        let size = usize::from_str_radix(&size, 16).map_err(|_| cut_off(&size))?;
        connection.read_exact(&mut vec![0; size])?;
        line(connection)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn line(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| cut_off(&line))
}

fn cut_off(line: &str) -> io::Error {
    io::Error::other(format!("the answer was cut off at {line:?}"))
}
