//! The agents as real processes beside real folders, for tests: they are spoken to as `dev` speaks to them.

mod tests;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::message::{Order, push};
use super::overlay::Agent as Runtime;

/// Far beyond what anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// Both of them.
pub const RUNTIMES: [Runtime; 2] = [Runtime::Python, Runtime::Node];

/// An agent with one synced folder, `app` in its working folder, and an application with one port.
pub struct Process {
    child: Child,
    folder: TempDir,
    runtime: Runtime,
    listen: u16,
    port: u16,
}

impl Process {
    /// Starts it with the runtime's usual command.
    pub async fn start(runtime: Runtime) -> Self {
        let command = match runtime {
            Runtime::Python => ["python3", "-m", "app"].as_slice(),
            Runtime::Node => &["node", "app/main.mjs"],
        };
        Self::start_with(runtime, command, "").await
    }

    /// Starts it in `cwd`, relative to its folder, to run `command`.
    pub async fn start_with(runtime: Runtime, command: &[&str], cwd: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap().join("app");
        fs::create_dir(&root).unwrap();
        fs::create_dir(folder.path().join("elsewhere")).unwrap();
        let (listen, port) = (free_port(), free_port());
        let settings = json!({"roots": [root], "command": command, "ports": [port], "listen": listen});
        let output = fs::File::create(folder.path().join("output")).unwrap();
        let (program, arguments) = runtime.command().split_first().unwrap();
        let child = Command::new(program)
            .args(arguments)
            .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/dev/agent").join(runtime.file()))
            .stdout(output)
            .current_dir(folder.path().join(cwd))
            .env("XTASK_DEV", settings.to_string())
            .env("TMPDIR", folder.path())
            .env("PYTHONPATH", folder.path().join("elsewhere"))
            .env_remove("PYTHONDONTWRITEBYTECODE")
            .env("PORT", port.to_string())
            .env("PATH", path())
            .spawn()
            .unwrap();
        let this = Self { child, folder, runtime, listen, port };
        this.connect().await;
        this
    }

    /// The synced folder, as the container would know it.
    pub fn root(&self) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join("app")
    }

    /// A file beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Connects to it.
    pub async fn stream(&self) -> TcpStream {
        reached(self.listen).await
    }

    /// Connects to it, to speak of files.
    pub async fn connect(&self) -> Peer {
        let (read, write) = tokio::io::split(self.stream().await);
        Peer { lines: BufReader::new(read).lines(), write }
    }

    /// What the application says to whoever connects.
    pub async fn says(&self) -> String {
        let mut stream = reached(self.port).await;
        let mut said = String::new();
        let read = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut said);
        timeout(LONG, read).await.unwrap().unwrap();
        said
    }

    /// The source of an application that says `word`, and where it belongs.
    pub fn application(&self, word: &str) -> (&'static str, String) {
        match self.runtime {
            Runtime::Python => ("0/__main__.py", python(&format!("\"{word}\""), "")),
            Runtime::Node => (
                "0/main.mjs",
                format!(
                    "import net from 'node:net';\nconst serve = (s) => s.on('error', () => {{}}).end('{word}');\n\
                     net.createServer(serve).listen(+process.env.PORT);\n"
                ),
            ),
        }
    }

    /// Asks it to end, as the kubelet does.
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> ExitStatus {
        let waited = tokio::task::spawn_blocking(move || self.child.wait().unwrap());
        timeout(LONG, waited).await.expect("it ends").unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
            let _ = self.child.wait();
        }
    }
}

/// A Python program that serves `said`, an expression, after `first`.
pub fn python(said: &str, first: &str) -> String {
    format!(
        "import os, socket\n{first}\nlistener = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n\
         while True:\n    stream, _ = listener.accept()\n    stream.sendall(str({said}).encode())\n    stream.close()\n"
    )
}

/// The Python that runs here, by its own name.
pub fn interpreter() -> PathBuf {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// Where programs are found, that Python first: as in an image, there is no script in its place that chooses one.
fn path() -> std::ffi::OsString {
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let folders = interpreter().parent().map(PathBuf::from).into_iter().chain(std::env::split_paths(&usual));
    std::env::join_paths(folders).unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn reached(port: u16) -> TcpStream {
    let reached = async {
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
                return stream;
            }
            crate::world::pause(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, reached).await.expect("somebody listens")
}

/// A connection to an agent.
pub struct Peer {
    lines: Lines<BufReader<ReadHalf<TcpStream>>>,
    write: WriteHalf<TcpStream>,
}

impl Peer {
    /// Says exactly this.
    pub async fn say(&mut self, bytes: &[u8]) {
        // Whoever was cut off may not get to the end.
        let _ = self.write.write_all(bytes).await;
    }

    /// Gives orders and a commit.
    pub async fn give(&mut self, orders: &[(Order<'_>, &str)], id: u64, restart: bool) {
        let mut bytes = Vec::new();
        for (order, body) in orders {
            push(&mut bytes, order, body.as_bytes());
        }
        push(&mut bytes, &Order::Commit { id, restart }, b"");
        self.say(&bytes).await;
    }

    /// What is told next; nothing when the connection was closed.
    pub async fn next(&mut self) -> Option<Value> {
        let line = timeout(LONG, self.lines.next_line()).await.expect("something is told").ok().flatten();
        line.map(|line| serde_json::from_str(&line).unwrap())
    }

    /// Waits until something of the kind `is` is told.
    pub async fn until(&mut self, is: &str) -> Value {
        loop {
            let told = self.next().await.expect("the connection stays");
            if told["is"] == is {
                return told;
            }
            assert!(told["is"] != "refused" && told["is"] != "exited", "waiting for {is}: {told}");
        }
    }

    /// What is in the synced folder.
    pub async fn files(&mut self) -> Value {
        let mut hello = Vec::new();
        push(&mut hello, &Order::Hello, b"");
        self.say(&hello).await;
        self.until("here").await["files"].take()
    }
}

/// An order to write `body`.
pub fn write<'a>(to: &'a str, body: &'a str) -> (Order<'a>, &'a str) {
    (Order::Write { to, executable: false, size: body.len() }, body)
}

/// Whether the owner of `path` may execute it.
pub fn is_executable(path: PathBuf) -> bool {
    fs::metadata(path).unwrap().permissions().mode() & 0o100 != 0
}
