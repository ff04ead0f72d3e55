//! Cuts what comes out of a pipe into lines.
//!
//! A carriage return ends a line too: progress bars write one instead of a newline. It never waits for a pipe's end.

use std::collections::VecDeque;
use std::io;

use tokio::net::unix::pipe;

/// A line longer than this, in bytes, is cut, so that a child cannot fill the memory.
const LONGEST: usize = 1 << 20;

/// The lines of one pipe.
pub struct Lines {
    pipe: Option<pipe::Receiver>,
    /// Complete lines that nobody has taken yet.
    ready: VecDeque<String>,
    /// The line that is being read.
    partial: Vec<u8>,
    /// The last byte was a carriage return: a newline now belongs to it.
    returned: bool,
}

impl Lines {
    /// The lines that come out of `pipe`.
    pub fn new(pipe: pipe::Receiver) -> Self {
        Self { pipe: Some(pipe), ready: VecDeque::new(), partial: Vec::new(), returned: false }
    }

    /// Whether the pipe was closed by all who write to it, and every line is taken.
    pub fn ended(&self) -> bool {
        self.pipe.is_none() && self.ready.is_empty()
    }

    /// The next line, as soon as there is one; `None` at the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            let pipe = self.pipe.as_ref()?;
            let mut buffer = [0; 8192];
            let read = match pipe.readable().await {
                Ok(()) => pipe.try_read(&mut buffer),
                Err(error) => Err(error),
            };
            self.received(read.map(|length| &buffer[..length]));
        }
    }

    /// Takes what is in the pipe now, without waiting for more, and ends.
    pub fn rest(&mut self, mut taken: impl FnMut(&str)) {
        while let Some(pipe) = &self.pipe {
            let mut buffer = [0; 8192];
            // Read past the runtime, whose idea of "nothing to read" may be older than the child's last words.
            let read = rustix::io::read(pipe, &mut buffer[..]).map_err(io::Error::from);
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                read => self.received(read.map(|length| &buffer[..length])),
            }
        }
        self.finish_partial();
        self.ready.drain(..).for_each(|line| taken(&line));
    }

    fn received(&mut self, read: io::Result<&[u8]>) {
        match read {
            Ok([]) => self.close(),
            Ok(bytes) => self.cut(bytes),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.close(),
        }
    }

    fn cut(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.returned => {}
                b'\n' | b'\r' => self.finish_line(),
                byte => {
                    if self.partial.len() == LONGEST {
                        self.finish_line();
                    }
                    self.partial.push(*byte);
                }
            }
            self.returned = *byte == b'\r';
        }
    }

    fn close(&mut self) {
        self.finish_partial();
        self.pipe = None;
    }

    fn finish_line(&mut self) {
        let line = std::mem::take(&mut self.partial);
        self.ready.push_back(String::from_utf8_lossy(&line).into_owned());
    }

    /// The last line of a child that ended it by nothing.
    fn finish_partial(&mut self) {
        if !self.partial.is_empty() {
            self.finish_line();
        }
    }
}
