//! What each agent does with what it is told.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Process, RUNTIMES, interpreter, is_executable, python, write};
use crate::dev::message::Order;
use crate::dev::overlay::Agent as Runtime;

fn names(files: &serde_json::Value) -> Vec<&str> {
    let mut names: Vec<&str> = files.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn what_is_sent_is_there_with_its_mode_its_links_and_its_odd_names() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let mut peer = agent.connect().await;
        let odd = "0/a b/ünï '\"\\\n$(x).txt";
        let mut give = async |orders: &[(Order<'_>, &str)]| {
            peer.give(orders, 1, false).await;
            peer.until("applied").await;
            peer.files().await
        };
        let run = (Order::Write { to: "0/run", executable: true, size: 1 }, "x");
        let link = (Order::Link { to: "0/link", target: "../elsewhere" }, "");
        let files = give(&[write(odd, "odd"), write("0/empty", ""), run, link]).await;
        assert_eq!(names(&files), [odd, "0/empty", "0/link", "0/run"], "{runtime:?}");
        assert_eq!(files["0/link"], "link ../elsewhere");
        assert!(is_executable(agent.root().join("run")) && files["0/run"].as_str().unwrap().starts_with("x "));
        assert!(!is_executable(agent.root().join("empty")) && files["0/empty"].as_str().unwrap().starts_with("f "));

        // A file in place of a folder, a folder in place of a file, a file in place of a link.
        let files = give(&[write("0/a b", "file"), write("0/run/deep/x", "1"), write("0/link", "file")]).await;
        assert_eq!(names(&files), ["0/a b", "0/empty", "0/link", "0/run/deep/x"], "{runtime:?}");
        let files = give(&[(Order::Remove { to: "0/run/deep/x" }, ""), (Order::Remove { to: "0/never" }, "")]).await;
        assert!(files.get("0/run/deep/x").is_none() && !agent.root().join("run").exists(), "{runtime:?}");
    }
}

#[tokio::test]
async fn of_a_commit_with_an_order_that_cannot_be_obeyed_nothing_is_done_and_nothing_is_left() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let mut peer = agent.connect().await;
        for bad in ["0/../evil", "7/a", "-1/a", "a", "0/", "0//a"] {
            peer.give(&[write("0/before", "1"), write(bad, "2"), write("0/after", "3")], 1, true).await;
            let told = peer.next().await.expect("the connection stays");
            assert_eq!(told["is"], "refused", "{runtime:?} {bad}: {told}");
            assert_eq!(fs::read_dir(agent.root()).unwrap().count(), 0, "{runtime:?} {bad}");
        }
        // A folder that is not there any more cannot be written to; what was begun goes with it.
        fs::remove_dir(agent.root()).unwrap();
        peer.give(&[write("0/a", "1")], 2, true).await;
        assert_eq!(peer.next().await.unwrap()["is"], "refused", "{runtime:?}");
        fs::create_dir(agent.root()).unwrap();

        peer.give(&[write("0/good", "1")], 3, false).await;
        assert_eq!(peer.until("applied").await["id"], 3, "{runtime:?}");
        assert!(!agent.beside("evil").exists(), "{runtime:?}");
    }
}

#[tokio::test]
async fn who_speaks_of_anything_else_is_cut_off_and_nobody_else_notices() {
    let deep = "[".repeat(20_000);
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let mut peer = agent.connect().await;
        for stranger in [
            "GET / HTTP/1.1\r\nHost: localhost:27190\r\n\r\n{\"do\":\"write\",\"to\":\"0/a\",\"executable\":true,\"size\":0}\n",
            "{}\n",
            "[]\n",
            "null\n",
            "{\"do\":\"toString\"}\n",
            "{\"do\":[]}\n",
            "{\"do\":\"write\",\"to\":\"0/a\"}\n",
            "{\"do\":\"write\",\"to\":\"0/a\",\"executable\":true,\"size\":-1}\n",
            "{\"do\":\"write\",\"to\":7,\"executable\":true,\"size\":1}\n",
            "{\"do\":\"commit\"}\n",
            &format!("{deep}\n"),
            &"x".repeat(100_000),
        ] {
            let mut other = agent.connect().await;
            other.say(stranger.as_bytes()).await;
            assert_eq!(other.next().await, None, "{runtime:?}: {}", &stranger[..20.min(stranger.len())]);
        }
        assert_eq!(peer.files().await, serde_json::json!({}), "{runtime:?}");
    }
}

#[tokio::test]
async fn an_application_starts_and_restarts_with_what_was_sent_and_its_end_is_told() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let mut peer = agent.connect().await;
        for (id, word) in [(1, "one"), (2, "two"), (3, "two.")] {
            let (path, source) = agent.application(word);
            peer.give(&[write(path, &source)], id, true).await;
            assert_eq!(peer.until("started").await["id"], id, "{runtime:?}");
            assert_eq!(peer.until("answering").await["run"], id, "{runtime:?}");
            assert_eq!(agent.says().await, word, "{runtime:?}");
        }
        let (path, _) = agent.application("");
        peer.give(&[write(path, "nonsense(")], 4, true).await;
        while peer.next().await.expect("the connection stays")["is"] != "exited" {}
        agent.terminate();
        assert!(agent.ended().await.success(), "{runtime:?}");
    }
}

#[tokio::test]
async fn a_lot_is_received_with_signs_of_life() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let mut peer = agent.connect().await;
        let much = "x".repeat(4 << 20);
        peer.give(&[write("0/much", &much)], 1, false).await;
        peer.until("receiving").await;
        peer.until("applied").await;
        assert_eq!(fs::metadata(agent.root().join("much")).unwrap().len(), 4 << 20, "{runtime:?}");
    }
}

#[tokio::test]
async fn a_module_that_never_ends_loading_keeps_nothing_from_ending() {
    let agent = Process::start(Runtime::Python).await;
    fs::write(agent.beside("elsewhere/endless.py"), "import threading\nthreading.Event().wait()\n").unwrap();
    let mut peer = agent.connect().await;
    peer.give(&[write("0/__main__.py", "import endless\n")], 1, true).await;
    peer.until("applied").await;
    peer.files().await;
    agent.terminate();
    assert!(agent.ended().await.success());
}

#[tokio::test]
async fn a_module_that_starts_a_thread_of_any_kind_is_not_loaded_beforehand() {
    let agent = Process::start(Runtime::Python).await;
    let native =
        "import _thread\nlock = _thread.allocate_lock()\nlock.acquire()\n_thread.start_new_thread(lock.acquire, ())\n";
    fs::write(agent.beside("elsewhere/native.py"), native).unwrap();
    let mut peer = agent.connect().await;
    let source = python("len(os.listdir('/proc/self/task'))", "import native");
    for id in [1, 2] {
        peer.give(&[write("0/__main__.py", &source)], id, true).await;
        peer.until("answering").await;
        assert_eq!(agent.says().await, "2", "a fork would lack the thread");
    }
}

#[tokio::test]
async fn modules_from_elsewhere_are_loaded_by_the_first_start_and_once_for_all_others() {
    let agent = Process::start(Runtime::Python).await;
    let loads = format!("with open({:?}, 'a') as file:\n    file.write('x')\n", agent.beside("loads"));
    fs::write(agent.beside("elsewhere/heavy.py"), loads).unwrap();
    let mut peer = agent.connect().await;
    for id in [1, 2, 3] {
        peer.give(&[write("0/__main__.py", &python(&id.to_string(), "import heavy"))], id, true).await;
        peer.until("answering").await;
        assert_eq!(agent.says().await, id.to_string());
    }
    assert_eq!(fs::read_to_string(agent.beside("loads")).unwrap(), "xx");
}

#[tokio::test]
async fn the_first_start_waits_for_no_module_that_it_does_not_need() {
    let agent = Process::start(Runtime::Python).await;
    fs::write(agent.beside("elsewhere/endless.py"), "import threading\nthreading.Event().wait()\n").unwrap();
    let mut peer = agent.connect().await;
    let main = python("'first'", "import sys");
    peer.give(&[write("0/__main__.py", &main), write("0/later.py", "import endless\n")], 1, true).await;
    peer.until("answering").await;
    assert_eq!(agent.says().await, "first");
}

#[tokio::test]
async fn a_module_from_elsewhere_that_loads_one_that_is_synced_is_not_loaded_beforehand() {
    let agent = Process::start(Runtime::Python).await;
    fs::write(agent.beside("elsewhere/shared.py"), "from app.models import WORD\n").unwrap();
    let mut peer = agent.connect().await;
    let main = python("shared.WORD", "import shared");
    for (id, word) in [(1, "one"), (2, "two")] {
        let models = format!("WORD = '{word}'\n");
        peer.give(&[write("0/__main__.py", &main), write("0/models.py", &models)], id, true).await;
        peer.until("answering").await;
        assert_eq!(agent.says().await, word, "what was saved");
    }
}

#[tokio::test]
async fn a_command_of_another_environment_has_the_libraries_of_that_one() {
    for command in [["venv/bin/python", "-m", "app"].as_slice(), &["venv/bin/tool"]] {
        let agent = Process::start_with(Runtime::Python, command, "").await;
        let (venv, ours) = (agent.beside("venv"), fs::canonicalize(interpreter()).unwrap());
        fs::create_dir_all(venv.join("bin")).unwrap();
        fs::write(venv.join("pyvenv.cfg"), format!("home = {}\n", ours.parent().unwrap().display())).unwrap();
        symlink(&ours, venv.join("bin/python")).unwrap();
        let tool = "import runpy, sys\nsys.path.insert(0, '')\nrunpy.run_module('app', run_name='__main__')\n";
        fs::write(venv.join("bin/tool"), format!("#!{}/bin/python\n{tool}", venv.display())).unwrap();
        fs::set_permissions(venv.join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut peer = agent.connect().await;
        peer.give(&[write("0/__main__.py", &python("sys.prefix", "import sys"))], 1, true).await;
        peer.until("answering").await;
        assert_eq!(agent.says().await, venv.display().to_string(), "{command:?}");
    }
}

#[tokio::test]
async fn a_module_of_ones_own_may_be_called_as_the_agent_is() {
    let agent = Process::start_with(Runtime::Python, &["python3", "main.py"], "app").await;
    let mut peer = agent.connect().await;
    let main = python("agent.WORD", "import agent");
    for (id, word) in [(1, "one"), (2, "two")] {
        let own = format!("WORD = '{word}'\n");
        peer.give(&[write("0/main.py", &main), write("0/agent.py", &own)], id, true).await;
        peer.until("answering").await;
        assert_eq!(agent.says().await, word);
    }
}

#[tokio::test]
async fn nothing_that_runs_caches_bytecode_beside_the_sources() {
    // Not run in a fork: another program that runs Python in turn.
    let agent = Process::start_with(Runtime::Python, &["env", "python3", "-m", "app"], "").await;
    let mut peer = agent.connect().await;
    let main = python("own.WORD", "from app import own");
    for (id, word) in [(1, "one"), (2, "two")] {
        let own = format!("WORD = '{word}'\n");
        peer.give(&[write("0/__main__.py", &main), write("0/own.py", &own)], id, true).await;
        peer.until("answering").await;
        assert_eq!(agent.says().await, word, "two edits of one size within a second");
        let files = peer.files().await;
        assert_eq!(files.as_object().unwrap().len(), 2, "{files}");
    }
}

#[tokio::test]
async fn what_an_application_prints_is_written_when_it_is_printed() {
    // In a fork, and as another program.
    for command in [["python3", "-m", "app"].as_slice(), &["env", "python3", "-m", "app"]] {
        let agent = Process::start_with(Runtime::Python, command, "").await;
        let mut peer = agent.connect().await;
        let prints = "import sys\nprint('one')\nsys.stdout.buffer.write(b'two')";
        peer.give(&[write("0/__main__.py", &python("1", prints))], 1, true).await;
        peer.until("answering").await;
        assert_eq!(fs::read_to_string(agent.beside("output")).unwrap(), "one\ntwo", "{command:?}");
    }
}

#[tokio::test]
async fn bytecode_of_any_python_is_as_new_as_its_source() {
    // Its cache is another than that of the agent's own interpreter as it runs.
    let agent = Process::start_with(Runtime::Python, &["python3", "-O", "-m", "app"], "").await;
    let mut peer = agent.connect().await;
    let main = python("own.WORD", "from app import own");
    for id in 1..=5 {
        let own = format!("WORD = '{id}'\n");
        peer.give(&[write("0/__main__.py", &main), write("0/own.py", &own)], id, true).await;
        peer.until("answering").await;
        assert_eq!(agent.says().await, id.to_string(), "edits of one size within a second");
    }
    // A link is another file when it leads elsewhere.
    let link = |target| (Order::Link { to: "0/own.py", target }, "");
    peer.give(&[write("0/a.py", "WORD = 'a'\n"), write("0/b.py", "WORD = 'b'\n")], 6, false).await;
    for (id, word, target) in [(7, "a", "a.py"), (8, "b", "b.py")] {
        peer.give(&[link(target)], id, true).await;
        peer.until("answering").await;
        assert_eq!(agent.says().await, word);
    }
}

#[tokio::test]
async fn a_container_that_is_told_to_end_starts_nothing_any_more() {
    let agent = Process::start(Runtime::Python).await;
    let mut peer = agent.connect().await;
    let waits = "import signal, time\ndef end(*_):\n    open('ending', 'x').close()\n    while not os.path.exists('go'):\n        \
        time.sleep(0.01)\n    os._exit(0)\nsignal.signal(signal.SIGTERM, end)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)";
    peer.give(&[write("0/__main__.py", &python("1", waits))], 1, true).await;
    peer.until("answering").await;
    agent.terminate();
    while !agent.beside("ending").exists() {
        tokio::task::yield_now().await;
    }
    peer.give(&[write("0/other.py", "")], 2, true).await;
    peer.until("applied").await;
    fs::write(agent.beside("go"), "").unwrap();
    assert!(agent.ended().await.success());
}

#[tokio::test]
async fn what_a_killed_agent_has_left_half_written_is_gone_when_it_starts_again() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let mut peer = agent.connect().await;
        peer.say(b"{\"do\":\"write\",\"to\":\"0/a\",\"executable\":false,\"size\":1}\nx").await;
        assert_eq!(peer.files().await, serde_json::json!({}));
        assert_eq!(fs::read_dir(agent.root()).unwrap().count(), 1, "{runtime:?}: it is staged");
        drop(peer);
        while fs::read_dir(agent.root()).unwrap().count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Makes and removes folders until told to stop.
fn churn(root: std::path::PathBuf, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            for name in ["a", "b", "c", "d"] {
                fs::create_dir_all(root.join("cache").join(name)).unwrap();
            }
            fs::remove_dir_all(root.join("cache")).unwrap();
        }
    })
}

#[tokio::test]
async fn folders_that_come_and_go_while_they_are_listed_are_no_reason_to_refuse() {
    for runtime in RUNTIMES {
        let agent = Process::start(runtime).await;
        let stop = Arc::new(AtomicBool::new(false));
        let churning = churn(agent.root(), Arc::clone(&stop));
        let mut peer = agent.connect().await;
        for _ in 0..500 {
            assert_eq!(names(&peer.files().await), Vec::<&str>::new(), "{runtime:?}");
        }
        stop.store(true, Ordering::Relaxed);
        churning.join().unwrap();
    }
}
