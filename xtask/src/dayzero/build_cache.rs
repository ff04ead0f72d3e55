//! What the host's BuildKit keeps of builds that nobody goes on from: the archives that it was sent, and stages that
//! are in no image. It is as large as what was made, and whoever makes it again has changed it.
//!
//! Only what came while a run built is removed: records of other builds cost their owners time. What was there before is
//! written down, so that the next run knows what one that was killed has left.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bollard::query_parameters::PruneBuildOptionsBuilder;
use engine::failure::Failure;
use engine::receipt::write_atomically;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::world::daemon::Daemon;

/// Where it is written down.
const BOOK: &str = "build-cache.json";

/// How long a run builds at most, in seconds. What came later than that after one that was killed had begun is somebody
/// else's.
const LONGEST: i64 = 3600;

/// The daemon's list. Engines of 2026 and later call it another name.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    #[serde(default)]
    build_cache: Option<Vec<Record>>,
    #[serde(default)]
    build_cache_usage: Option<Items>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Items {
    #[serde(default)]
    items: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "ID")]
    id: String,
    /// Layers of an image, which stay with it.
    #[serde(rename = "Shared", default)]
    shared: bool,
    #[serde(rename = "CreatedAt", default)]
    created: Option<String>,
}

/// A run's beginning.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Before {
    /// When, in seconds since 1970.
    at: i64,
    /// The records of others that were there, by their IDs.
    records: BTreeSet<String>,
}

impl Before {
    /// A beginning `at` a moment when there are `records`; `former` is that of a run that has not removed its own.
    fn of(records: &[Record], former: Option<&Self>, at: i64) -> Self {
        let is_others = |record: &&Record| {
            former.is_none_or(|former| {
                let created = record.created.as_deref().and_then(|created| created.parse::<Timestamp>().ok());
                let late = created.is_some_and(|created| created.as_second() - former.at > LONGEST);
                late || former.records.contains(&record.id)
            })
        };
        Self { at, records: records.iter().filter(is_others).map(|record| record.id.clone()).collect() }
    }
}

/// What is there while a run builds. Where [`BuildCache::remove_own`] is not come to, the next run does it.
pub(super) struct BuildCache<'a> {
    host: &'a Daemon,
    book: PathBuf,
    before: Before,
}

/// Whether a run that was working in `root` was killed, or failed, before it had removed its own.
pub(super) fn is_open(root: &Path) -> bool {
    root.join(BOOK).is_file()
}

impl<'a> BuildCache<'a> {
    /// Writes down in `root` what is there now and is not ours.
    ///
    /// # Errors
    /// When the daemon does not answer, or the book cannot be written.
    pub(super) async fn open(root: &Path, host: &'a Daemon) -> Result<Self, Failure> {
        let book = root.join(BOOK);
        // Written in one go: one that cannot be read was damaged from outside, and costs some space.
        let former: Option<Before> = fs::read(&book).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let before = Before::of(&records(host).await?, former.as_ref(), Timestamp::now().as_second());
        let text = serde_json::to_vec(&before)
            .map_err(|error| Failure::environment("could not write down what builds have kept").because(error))?;
        write_atomically(&book, &text)?;
        Ok(Self { host, book, before })
    }

    /// Removes what has come since, and what earlier runs have left of theirs.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(super) async fn remove_own(self) -> Result<(), Failure> {
        let docker = self.host.connect().await?;
        let is_own = |record: &Record| !record.shared && !self.before.records.contains(&record.id);
        let mut before = usize::MAX;
        loop {
            let own: Vec<Record> = records(self.host).await?.into_iter().filter(is_own).collect();
            // A record goes only when none is made on it any more.
            if own.is_empty() || own.len() >= before {
                break;
            }
            before = own.len();
            for record in own {
                let options =
                    PruneBuildOptionsBuilder::new().all(true).filters(&[("id", vec![record.id])].into()).build();
                docker.prune_build(Some(options)).await.map_err(|error| self.host.unreachable(&error))?;
            }
        }
        match fs::remove_file(&self.book) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::io("remove", &self.book, &error)),
            _ => Ok(()),
        }
    }
}

async fn records(host: &Daemon) -> Result<Vec<Record>, Failure> {
    let doing = "tell what it keeps of builds";
    let answer = host.endpoint()?.get("/system/df?type=build-cache&verbose=true").await;
    let answer = answer.map_err(|error| host.failure(doing, error))?;
    let usage = serde_json::from_slice(answer.body()).map_err(|error| {
        Failure::environment(format!("the docker daemon at {host} would not {doing}")).because(error)
    })?;
    Ok(listed(usage))
}

fn listed(usage: Usage) -> Vec<Record> {
    usage.build_cache.or(usage.build_cache_usage.map(|usage| usage.items)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use jiff::Timestamp;
    use serde_json::json;

    use super::{Before, BuildCache, Record, is_open, listed};
    use crate::world::daemon::Daemon;

    /// The records of an engine; each is made on the one before it by the same owner, and goes only after what is made on
    /// it.
    type Records = Arc<Mutex<Vec<&'static str>>>;

    /// An engine that knows nothing but its records.
    fn serve(socket: &Path, records: Records) {
        let listener = UnixListener::bind(socket).unwrap();
        // It ends with the tests' process.
        std::thread::spawn(move || {
            listener.incoming().map_while(Result::ok).for_each(|stream| answer(stream, &records))
        });
    }

    fn answer(mut stream: UnixStream, records: &Records) {
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap();
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        let mut records = records.lock().unwrap();
        if request.contains("/build/prune") && records.last().is_some_and(|last| request.contains(last)) {
            records.pop();
        }
        let list: Vec<_> = records.iter().map(|id| json!({"ID": id, "Shared": *id == "a layer"})).collect();
        let body = json!({"BuildCache": list, "CachesDeleted": [], "SpaceReclaimed": 0}).to_string();
        let head = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nConnection: close\r\n";
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    }

    #[tokio::test]
    async fn what_a_killed_run_has_built_goes_with_the_next_one_and_what_is_not_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (root, socket) = (folder.path(), folder.path().join("docker.sock"));
        let records: Records = Arc::new(Mutex::new(vec!["theirs", "a layer"]));
        serve(&socket, Arc::clone(&records));
        let host = Daemon::Socket(socket);

        // It builds, and does not come to its end.
        drop(BuildCache::open(root, &host).await.unwrap());
        records.lock().unwrap().extend(["ours-context", "ours-stage"]);
        assert!(is_open(root));

        let next = BuildCache::open(root, &host).await.unwrap();
        records.lock().unwrap().push("ours-again");
        next.remove_own().await.unwrap();
        assert_eq!(*records.lock().unwrap(), ["theirs", "a layer"]);
        assert!(!is_open(root));
    }

    #[test]
    fn records_are_read_from_what_old_and_new_engines_say() {
        let rows = [
            (r#"{"BuildCache": [{"ID": "a", "Shared": true, "Size": 1}, {"ID": "b"}], "Images": []}"#, 2),
            (r#"{"BuildCacheUsage": {"TotalCount": 1, "Items": [{"ID": "a", "Shared": false}]}}"#, 1),
            (r#"{"BuildCache": [{"ID": "a", "CreatedAt": "2026-11-22T04:55:01.123456789Z"}]}"#, 1),
            (r#"{"BuildCache": null}"#, 0),
        ];
        for (text, expected) in rows {
            assert_eq!(listed(serde_json::from_str(text).unwrap()).len(), expected, "{text}");
        }
    }

    #[test]
    fn what_a_killed_run_has_left_is_told_from_what_others_have_built_before_and_since() {
        let records = [
            ("theirs-before", "2026-11-22T03:00:00Z"),
            ("ours", "2026-11-22T04:10:00Z"),
            ("theirs-since", "2026-11-22T07:00:00Z"),
        ];
        let record = |(id, created): (&str, &str)| Record {
            id: id.to_owned(),
            shared: false,
            created: Some(created.to_owned()),
        };
        let there = records.map(record);
        let at = |time: &str| time.parse::<Timestamp>().unwrap().as_second();
        let killed =
            Before { at: at("2026-11-22T04:00:00Z"), records: ["theirs-before".to_owned(), "gone".to_owned()].into() };
        let rows = [
            // Nothing is known to be ours.
            (None, vec!["ours", "theirs-before", "theirs-since"]),
            (Some(&killed), vec!["theirs-before", "theirs-since"]),
        ];
        for (former, expected) in rows {
            let before = Before::of(&there, former, at("2026-11-22T08:00:00Z"));
            assert_eq!(before.records.iter().collect::<Vec<_>>(), expected, "{former:?}");
        }
    }
}
