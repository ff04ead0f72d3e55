//! Sends the files of a context, those that BuildKit asks for.
//!
//! The exchange: we send a description of every wanted entry, numbered from 0, and an empty one behind the last.
//! Meanwhile BuildKit asks by number for the files that it does not have; each is answered with its bytes and an
//! empty packet behind them. BuildKit ends it, and we confirm.
//!
//! A file's last packet goes out only after all its bytes had the listed digest, otherwise the transfer is aborted:
//! BuildKit throws away what an aborted transfer brought. Were it to keep the wrong bytes under the right time, no
//! later build would ask for them again.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bytes::BytesMut;
use hyper::Request;
use hyper::body::Incoming;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::context::{Context, Entry, Kind};
use crate::error::Error;
use crate::grpc::{Answer, Messages, Part, Status, encode, stream};
use crate::selection::{Wanted, select};

pub(crate) const DIFF_COPY: &str = "/moby.filesync.v1.FileSync/DiffCopy";

/// The name under which BuildKit asks for the Dockerfile.
pub(crate) const DOCKERFILE: &str = "Dockerfile";

/// BuildKit's own packets hold 32 KiB; up to 4 MiB are accepted. This is where larger ones stopped being faster.
const CHUNK: usize = 256 << 10;

/// What was sent in a build.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Files of the context whose bytes were sent.
    pub files: u64,
    /// Those files' bytes.
    pub bytes: u64,
}

/// The two folders that a build may ask for.
pub(crate) struct FileSync {
    context: Context,
    dockerfile: Vec<Entry>,
    dockerfile_bytes: Vec<Vec<u8>>,
    files: AtomicU64,
    bytes: AtomicU64,
    error: Mutex<Option<Error>>,
}

impl FileSync {
    pub(crate) fn new(context: Context, dockerfile: &[u8]) -> Self {
        // An ignore file of the Dockerfile's own goes before the context's: the entries are filtered already, and a
        // second filter would be BuildKit's version of the patterns' meaning. Only an empty file counts as missing.
        let files = [(DOCKERFILE, dockerfile), ("Dockerfile.dockerignore", b"# nothing\n".as_slice())];
        let entry = |(name, bytes): (&str, &[u8])| {
            let digest = Sha256::digest(bytes).into();
            let kind = Kind::File { executable: false, size: bytes.len() as u64, digest };
            Entry { path: name.to_owned(), kind }
        };
        Self {
            context,
            dockerfile: files.map(entry).into(),
            dockerfile_bytes: files.map(|(_, bytes)| bytes.to_owned()).into(),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            error: Mutex::new(None),
        }
    }

    pub(crate) fn context_key(&self) -> &str {
        self.context.key()
    }

    pub(crate) fn sent(&self) -> Sent {
        Sent { files: self.files.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Why a transfer was aborted, once. The daemon only knows that it was.
    pub(crate) fn take_error(&self) -> Option<Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers one DiffCopy call.
    pub(crate) fn diff_copy(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        let (parts_in, parts) = mpsc::channel(32);
        let header = |name| header_values(request.headers(), name);
        let directory = header("dir-name").into_iter().next().unwrap_or_default();
        let wanted = Wanted {
            follow: header("followpaths"),
            include: header("include-patterns"),
            exclude: header("exclude-patterns"),
        };
        let sync = Arc::clone(self);
        let (packets_in, packets) = mpsc::unbounded_channel();
        // Requests are taken off the stream as they come. Left lying they would fill its window, BuildKit would stop
        // in the middle of asking, and with it stop taking the data that we wait to send.
        tokio::spawn(receive(Messages::of(request), packets_in));
        tokio::task::spawn_blocking(move || {
            let (entries, source) = match directory.as_str() {
                "context" => (sync.context.entries(), Source::Folder(sync.context.root())),
                "dockerfile" => (sync.dockerfile.as_slice(), Source::Memory(&sync.dockerfile_bytes)),
                other => {
                    let status = Status::not_found(format!("no access to the folder {other:?}"));
                    drop(parts_in.blocking_send(Part::End(status)));
                    return;
                }
            };
            let mut transfer = Transfer { sync: &sync, entries, source, parts: parts_in, packets };
            let end = match transfer.run(&wanted) {
                Ok(()) => Status::ok(),
                Err(Stop::Failed(error)) => {
                    let status = Status::aborted(error.to_string());
                    sync.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    status
                }
                Err(Stop::Protocol(status)) => status,
                Err(Stop::Gone) => return,
            };
            drop(transfer.parts.blocking_send(Part::End(end)));
        });
        stream(parts)
    }
}

async fn receive(mut messages: Messages, packets: mpsc::UnboundedSender<Result<Packet, Status>>) {
    while let Some(packet) = messages.next().await.transpose() {
        let last = packet.is_err();
        if packets.send(packet).is_err() || last {
            return;
        }
    }
}

enum Source<'a> {
    Folder(&'a Path),
    /// The files' bytes, in the order of the entries.
    Memory(&'a [Vec<u8>]),
}

/// Why a transfer ended early.
enum Stop {
    Failed(Error),
    Protocol(Status),
    /// The daemon closed the stream: nobody is left to tell.
    Gone,
}

struct Transfer<'a> {
    sync: &'a FileSync,
    entries: &'a [Entry],
    source: Source<'a>,
    parts: mpsc::Sender<Part>,
    packets: mpsc::UnboundedReceiver<Result<Packet, Status>>,
}

impl Transfer<'_> {
    fn run(&mut self, wanted: &Wanted) -> Result<(), Stop> {
        let selected = select(self.entries, wanted);
        // Descriptions are small and many: sent one by one, the hand-over would cost more than the rest.
        let mut buffer = BytesMut::new();
        for stat in selected.iter().map(|at| Some(self.entries[*at].stat())).chain([None]) {
            encode(&Packet { r#type: PacketType::PacketStat.into(), stat, ..Packet::default() }, &mut buffer);
            if buffer.len() >= CHUNK {
                self.pass_on(&mut buffer)?;
            }
        }
        self.pass_on(&mut buffer)?;
        while let Some(packet) = self.packets.blocking_recv() {
            let packet = packet.map_err(Stop::Protocol)?;
            match packet.r#type() {
                PacketType::PacketReq => {
                    let at = selected.get(packet.id as usize).copied();
                    let at = at.ok_or_else(|| Stop::Protocol(Status::invalid_argument("no such file")))?;
                    self.send_file(packet.id, at)?;
                }
                PacketType::PacketFin => return self.send(PacketType::PacketFin, 0, Vec::new()),
                PacketType::PacketErr => {
                    return Err(Stop::Protocol(Status::aborted(String::from_utf8_lossy(&packet.data))));
                }
                PacketType::PacketStat | PacketType::PacketData => {}
            }
        }
        Err(Stop::Gone)
    }

    fn send(&self, kind: PacketType, id: u32, data: Vec<u8>) -> Result<(), Stop> {
        let mut buffer = BytesMut::new();
        encode(&Packet { r#type: kind.into(), id, data, ..Packet::default() }, &mut buffer);
        self.pass_on(&mut buffer)
    }

    fn pass_on(&self, buffer: &mut BytesMut) -> Result<(), Stop> {
        self.parts.blocking_send(Part::Messages(buffer.split().freeze())).map_err(|_| Stop::Gone)
    }

    fn send_file(&self, id: u32, at: usize) -> Result<(), Stop> {
        match self.source {
            Source::Memory(files) => self.send(PacketType::PacketData, id, files[at].clone())?,
            Source::Folder(root) => self.send_from_disk(id, root, &self.entries[at])?,
        }
        self.send(PacketType::PacketData, id, Vec::new())
    }

    fn send_from_disk(&self, id: u32, root: &Path, entry: &Entry) -> Result<(), Stop> {
        let Kind::File { size, digest, .. } = entry.kind else {
            return Err(Stop::Protocol(Status::invalid_argument("not a file")));
        };
        let changed = || Stop::Failed(Error::ChangedDuringBuild { path: entry.path.clone() });
        let path = root.join(&entry.path);
        let unreadable = |source| Stop::Failed(Error::Read { path: path.clone(), source });
        let mut file = open_file(&path).map_err(unreadable)?.ok_or_else(changed)?;
        let mut hasher = Sha256::new();
        let mut left = size;
        // One byte more than is expected: a file that grew is noticed without being read to its end.
        let mut buffer = vec![0; CHUNK.min(usize::try_from(size + 1).unwrap_or(CHUNK))];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            left = left.checked_sub(read as u64).ok_or_else(changed)?;
            hasher.update(&buffer[..read]);
            self.send(PacketType::PacketData, id, buffer[..read].to_vec())?;
        }
        if left != 0 || <[u8; 32]>::from(hasher.finalize()) != digest {
            return Err(changed());
        }
        self.sync.files.fetch_add(1, Ordering::Relaxed);
        self.sync.bytes.fetch_add(size, Ordering::Relaxed);
        Ok(())
    }
}

/// Opens a regular file; none if there is something else by now. A pipe in its place must not block, and a link in
/// its place is not the file that was listed.
fn open_file(path: &PathBuf) -> io::Result<Option<std::fs::File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let regular = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile;
    Ok(regular.then(|| file.into()))
}

/// All values of a header. Values with other than ASCII in them come query-escaped, and a second header says so.
fn header_values(headers: &hyper::HeaderMap, name: &str) -> Vec<String> {
    let escaped = headers.get(format!("{name}-encoded")).is_some_and(|value| value == "1" || value == "true");
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.map(|value| if escaped { unescape(value) } else { value.to_owned() }).collect()
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 2;
            }
            (b'+', _) => plain.push(b' '),
            (byte, _) => plain.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escaped_header_values_read_back() {
        let rows = [("a/b", "a/b"), ("gr%C3%BC%C3%9Fe+x", "grüße x"), ("%", "%"), ("%zz", "%zz"), ("100%25", "100%")];
        for (escaped, expected) in rows {
            assert_eq!(unescape(escaped), expected);
        }
    }
}
