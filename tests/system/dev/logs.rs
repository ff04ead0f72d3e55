//! What the workloads write, between the loop's own lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Loop;
use super::cluster::pod;
use super::live::{self, save};
use crate::project::Project;

/// A loop as people see it without a terminal: what the workloads write is on its standard output.
struct Printing {
    running: Child,
    lines: Lines<BufReader<ChildStdout>>,
    shown: Vec<String>,
}

impl Printing {
    fn begin(project: &Project, arguments: &[&str]) -> Self {
        let mut command = project.command(&[&["dev"], arguments].concat());
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
        let lines = BufReader::new(running.stdout.take().expect("a pipe")).lines();
        Self { running, lines, shown: Vec::new() }
    }

    /// Waits for a line that `is_it`, and returns it.
    #[track_caller]
    fn until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines.next().unwrap_or_else(|| panic!("it never came that {what}: {:#?}", self.shown));
            let line = line.expect("it is text");
            self.shown.push(line.clone());
            if is_it(&line) {
                return line;
            }
        }
    }

    #[track_caller]
    fn until_shown(&mut self, word: &str) {
        self.until(&format!("{word} is shown"), |line| line.contains(word));
    }

    /// Ends it as from a keyboard; what it has shown before.
    #[track_caller]
    fn end(mut self) -> Vec<String> {
        let pid = Pid::from_raw(i32::try_from(self.running.id()).expect("a pid")).expect("a pid");
        kill_process(pid, Signal::INT).expect("the loop is there");
        assert_eq!(self.running.wait().expect("it ends").code(), Some(130));
        std::mem::take(&mut self.shown)
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        // A test that has failed leaves no loop behind; one that has ended is no error.
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

#[test]
fn a_line_of_a_pod_is_shown_once_behind_its_workloads_name() {
    let project = live::project();
    let mut printing = Printing::begin(&project, &[]);
    printing.until_shown("begun with first");
    save(&project, "second");
    printing.until_shown("begun with second");
    project.cluster.kubectl(&["delete", "pod", &pod(&project.cluster), "--wait=false"]);
    printing.until_shown("begun with second");
    save(&project, "third");
    printing.until_shown("begun with third");
    let shown = printing.end();
    for line in &shown {
        assert!(line.starts_with("live "), "the workload stands in front: {line:?}");
    }
    let times = |word: &str| shown.iter().filter(|line| line.contains(word)).count();
    let times = ["begun with first", "begun with second", "begun with third"].map(times);
    assert_eq!(times, [1, 2, 1], "each start of each pod once: {shown:?}");
    project.run(&["teardown"]).expect_success();
}

/// Numbered JSON lines, two hundred a second, and as the application ends how many there were.
const TALK: &str = r#"import json
import signal
import threading
import time

lock = threading.Lock()
count = 0


def talk():
    global count
    while True:
        with lock:
            level = "warning" if count % 15 == 0 else "info"
            print(json.dumps({"level": level, "message": f"{WORD} {count}", "half": count // 2}), flush=True)
            count += 1
        time.sleep(0.005)


def end(*_):
    lock.acquire()
    print(json.dumps({"message": f"{WORD} ended", "after": count}), flush=True)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
threading.Thread(target=talk, daemon=True).start()
"#;

/// The small application, which writes a lot.
fn talkative() -> Project {
    let project = live::project();
    project.edit("app/app/__main__.py", "print(f\"begun with {WORD}\", flush=True)\n", TALK);
    project
}

/// What an application has written from one start to its end.
#[derive(Debug)]
struct Run {
    word: String,
    numbers: Vec<u64>,
    /// How many lines there were, by its last one.
    of: Option<u64>,
}

/// The runs in each pod, in the order in which they were told.
#[derive(Debug, Default)]
struct Runs(BTreeMap<String, Vec<Run>>);

impl Runs {
    fn hear(&mut self, event: &Value) {
        let line = &event["line"];
        let Ok(said) = serde_json::from_str::<Value>(line["text"].as_str().unwrap_or_default()) else { return };
        let (word, last) = said["message"].as_str().and_then(|message| message.split_once(' ')).expect("two words");
        let runs = self.0.entry(line["pod"].as_str().expect("a line is of a pod").to_owned()).or_default();
        match last.parse() {
            Ok(0) => runs.push(Run { word: word.to_owned(), numbers: vec![0], of: None }),
            Ok(number) => runs.last_mut().expect("its first line was told").numbers.push(number),
            Err(_) => runs.last_mut().expect("its first line was told").of = said["after"].as_u64(),
        }
    }

    fn ended(&self) -> usize {
        self.0.values().flatten().filter(|run| run.of.is_some()).count()
    }

    /// Whether an application that says `word` has written a lot.
    fn is_said(&self, word: &str) -> bool {
        self.0.values().flatten().any(|run| run.of.is_none() && run.word == word && run.numbers.len() >= 100)
    }
}

#[test]
fn no_line_is_lost_or_doubled_as_applications_restart_and_pods_are_replaced() {
    let project = talkative();
    let mut development = Loop::begin(&project, &[]);
    let mut runs = Runs::default();
    development.running.events().for_each(|event| runs.hear(&event));
    let runs = RefCell::new(runs);
    let until = |development: &mut Loop<'_>, ended: usize, word: &str| {
        development.running.until(&format!("{ended} runs have ended, and the next says {word}"), |event| {
            let mut runs = runs.borrow_mut();
            runs.hear(event);
            runs.ended() == ended && runs.is_said(word)
        });
    };
    until(&mut development, 0, "first");
    save(&project, "second");
    until(&mut development, 1, "second");
    project.cluster.kubectl(&["delete", "pod", &pod(&project.cluster), "--wait=false"]);
    until(&mut development, 2, "second");
    save(&project, "third");
    until(&mut development, 3, "third");
    // A rollout.
    project.edit("values.yaml", "hello", "good morning");
    until(&mut development, 4, "third");

    let Runs(pods) = runs.into_inner();
    assert_eq!(pods.len(), 3, "{:?}", pods.keys());
    for (pod, runs) in pods {
        for Run { word, numbers, of } in runs {
            let count = of.unwrap_or(numbers.len() as u64);
            assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "each line of {word} in {pod} once, to its last");
        }
    }
    development.end();
    project.run(&["teardown"]).expect_success();
}

/// What is shown of a warning with a number that ends with 0: the pod's last word, and the number.
#[track_caller]
fn warning(line: &str, word: &str) -> (String, u64) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["live", pod, "WARN", said, number, half] = words[..] else { panic!("{line:?} is no warning") };
    let number: u64 = number.parse().unwrap_or_else(|_| panic!("{line:?} has a number"));
    assert_eq!((said, half), (word, &*format!("half={}", number / 2)), "{line:?}");
    (pod.to_owned(), number)
}

#[test]
fn lines_are_chosen_by_text_level_and_age_and_json_is_taken_apart() {
    let project = talkative();
    project.run(&["deploy"]).expect_success();
    let built = pod(&project.cluster);
    let lines_of = |pod: &str| project.cluster.kubectl(&["logs", pod]).lines().count() as u64;
    while lines_of(&built) < 200 {}

    // With what was written before it began.
    let chosen = ["--level", "warn", "--grep", "0\","];
    let mut printing = Printing::begin(&project, &[&chosen[..], &["--since", "1h"]].concat());
    printing
        .until("another pod writes", |line| !built.ends_with(&warning(line, "first").0) && line.contains("first 90 "));
    let mut of: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in printing.end() {
        let (pod, number) = warning(&line, "first");
        of.entry(pod).or_default().push(number);
    }
    assert_eq!(of.len(), 2, "the pod that was built, and the one that is synced: {:?}", of.keys());
    for (pod, numbers) in of {
        let expected = (0..numbers.len() as u64).map(|at| 30 * at);
        assert_eq!(numbers, expected.collect::<Vec<_>>(), "what is a warning and has the text, of {pod}");
    }

    // From now on.
    let built = pod(&project.cluster);
    let mut before = lines_of(&built);
    while before < 100 {
        before = lines_of(&built);
    }
    let mut printing = Printing::begin(&project, &chosen);
    printing.until("another pod writes", |line| !built.ends_with(&warning(line, "first").0));
    for line in printing.end() {
        let (pod, number) = warning(&line, "first");
        assert!(!built.ends_with(&pod) || number >= before, "{line:?} is older than the loop, which began at {before}");
    }
    project.run(&["teardown"]).expect_success();
}
