//! Runs suites, each to its end or to its deadline, and counts what their runners say. It knows neither which suites
//! there are nor how the end is shown.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::failure::{Class, Failure};
use tokio_util::sync::CancellationToken;

use super::bed;
use super::freshness::{Freshness, Passed, SOAK, Standing};
use super::log::Log;
use super::suites::Suite;
use crate::dayzero::suite_tools::{self, Found};
use crate::report::style::{DOING, FAINT, GOOD, WARNING, paint, verb};
use crate::report::words;
use crate::world::{pause, process};

/// A suite that takes so many times its budget hangs, ...
const HANGS: u32 = 4;

/// ... and so many times while there is time for many rounds.
const HANGS_IN_A_SOAK: u32 = 20;

/// What the first suites of a new machine take beside: they compile what they test.
const COMPILING: Duration = Duration::from_secs(20 * 60);

/// What suites are run with.
pub struct Ground<'a> {
    /// The workspace's folder.
    pub root: &'a Path,
    /// Where the tools are.
    pub found: Found,
    /// Notes what passes.
    pub freshness: &'a Freshness,
    /// The folder for what suites say.
    pub logs: &'a Path,
    /// Where what this program was built from is kept, other people's code above all, which suites can use as it is.
    pub compiled: Option<PathBuf>,
    /// The kubeconfig context of the tests' cluster, when a suite needs one.
    pub context: Option<String>,
    /// Whether there is time for many rounds.
    pub soak: bool,
    /// Ends the suite that runs, and the run.
    pub cancel: &'a CancellationToken,
    /// Shows a line of what suites say, and which one begins.
    pub show: &'a Show<'a>,
}

/// Shows a line.
pub type Show<'a> = dyn Fn(&str) + Sync + 'a;

/// What became of a suite.
#[derive(Debug)]
pub struct Ended {
    /// Its name.
    pub name: &'static str,
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Why the suite failed; `None` when it passed.
    pub trouble: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Whether that is more than its budget.
    pub over: bool,
    /// How long ago it passed, when it did not have to run.
    pub fresh: Option<Duration>,
    /// What it said, when it ran.
    pub log: Option<PathBuf>,
}

impl Ended {
    fn fresh(suite: &Suite, passed: Passed) -> Self {
        let Passed { tests, ago } = passed;
        Self {
            name: suite.name,
            passed: tests,
            failed: 0,
            trouble: None,
            took: Duration::ZERO,
            over: false,
            fresh: Some(ago),
            log: None,
        }
    }
}

/// Runs those of `suites` that are stale, one after the other but for those that have lanes: most would share two cores.
/// One that fails stops none of the others.
///
/// What became of each is in `ended` also after an error.
///
/// # Errors
/// When the run is interrupted, a receipt of what is to run cannot be removed, or what it says not be kept.
pub async fn all(suites: &[(&Suite, Standing)], ground: &Ground<'_>, ended: &mut Vec<Ended>) -> Result<(), Failure> {
    let mut rest = suites;
    while !rest.is_empty() {
        let together = rest.iter().take_while(|(suite, _)| suite.lane.is_some()).count().max(1);
        let (stage, later) = rest.split_at(together);
        rest = later;
        let lanes = lanes(stage);
        let voices = Voices::new(lanes.len(), ground.show);
        let voices = &voices;
        let going = lanes.iter().enumerate().map(|(number, lane)| async move {
            let mut ended = Vec::new();
            for (suite, standing) in lane {
                ended.push(ended_of(suite, standing, ground, &|line| voices.show(number, line)).await);
                // Where the run has ended, none of those behind it begins.
                if ended.last().is_some_and(Result::is_err) {
                    break;
                }
            }
            voices.let_go(number);
            ended
        });
        let mut trouble = None;
        for one in futures_util::future::join_all(going).await.into_iter().flatten() {
            match one {
                Ok(one) => ended.push(one),
                Err(failure) => trouble = Some(failure),
            }
        }
        if let Some(failure) = trouble {
            return Err(failure);
        }
    }
    Ok(())
}

/// The suites of a stage by their lanes, both in the list's order.
fn lanes<'a, 'b>(stage: &'b [(&'a Suite, Standing)]) -> Vec<Vec<&'b (&'a Suite, Standing)>> {
    let mut lanes: Vec<Vec<&(&Suite, Standing)>> = Vec::new();
    for one in stage {
        match lanes.iter_mut().find(|lane| lane.first().is_some_and(|(first, _)| first.lane == one.0.lane)) {
            Some(lane) => lane.push(one),
            None => lanes.push(vec![one]),
        }
    }
    lanes
}

/// The lines of all lanes, of which one is heard at a time: of two that speak at once nobody understands either. What the
/// others say is kept until those before them have finished; but that a test has failed is told at once, too, as whoever
/// watches need not wait for the rest.
struct Voices<'a> {
    said: Mutex<Said>,
    show: &'a Show<'a>,
}

struct Said {
    /// The lane that is heard.
    speaker: usize,
    /// What the others have said, by lane.
    kept: Vec<Vec<String>>,
    /// Which lanes have come to their ends.
    ended: Vec<bool>,
}

impl<'a> Voices<'a> {
    fn new(lanes: usize, show: &'a Show<'a>) -> Self {
        let said = Said { speaker: 0, kept: vec![Vec::new(); lanes], ended: vec![false; lanes] };
        Self { said: Mutex::new(said), show }
    }

    fn show(&self, lane: usize, line: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.speaker == lane {
            (self.show)(line);
        } else if let Some(kept) = said.kept.get_mut(lane) {
            if line.ends_with(" ... FAILED") {
                (self.show)(line);
            }
            kept.push(line.to_owned());
        }
    }

    /// The lane has come to its end: when it was heard, the next one is.
    fn let_go(&self, lane: usize) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Said { speaker, kept, ended } = &mut *said;
        ended.iter_mut().skip(lane).take(1).for_each(|ended| *ended = true);
        while ended.get(*speaker).copied().unwrap_or(false) {
            *speaker += 1;
            let next = kept.get_mut(*speaker).map(std::mem::take).unwrap_or_default();
            next.iter().for_each(|line| (self.show)(line));
        }
    }
}

async fn ended_of(suite: &Suite, standing: &Standing, ground: &Ground<'_>, show: &Show<'_>) -> Result<Ended, Failure> {
    match standing {
        Standing::Fresh(passed) => {
            let told = format!("{} passed, {}", passed.tests, words::ago(passed.ago));
            show(&format!("{}{}  {told}", verb(GOOD, "Fresh"), suite.name));
            Ok(Ended::fresh(suite, *passed))
        }
        Standing::Stale(reason) => {
            let why = paint(FAINT, &format!("({reason})"));
            show(&format!("{}{}  {why}", verb(DOING, "Testing"), suite.name));
            noted(suite, ground, show, deadline(suite, ground.soak)).await
        }
    }
}

/// Runs a suite, and notes that it passed: whatever happens to this process meanwhile, nothing says so before.
async fn noted(suite: &Suite, ground: &Ground<'_>, show: &Show<'_>, deadline: Duration) -> Result<Ended, Failure> {
    let Ground { freshness, found, .. } = ground;
    let before = freshness.begin(suite, found).await?;
    let ended = one(suite, ground, show, deadline).await?;
    if ended.trouble.is_none()
        && let Err(why) = freshness.end(suite, found, before, ended.passed, ended.took).await
    {
        show(&format!("{}{} runs again the next time: {why}", verb(WARNING, "Note"), suite.name));
    }
    Ok(ended)
}

/// How long a suite may take before it is ended.
fn deadline(suite: &Suite, soak: bool) -> Duration {
    suite.budget * if soak { HANGS_IN_A_SOAK } else { HANGS } + COMPILING
}

async fn one(suite: &Suite, ground: &Ground<'_>, show: &Show<'_>, deadline: Duration) -> Result<Ended, Failure> {
    let begun = Instant::now();
    let mut log = Log::create(ground.logs, suite.name)?;
    let (mut passed, mut failed) = (0, 0);
    // Of its own: at the deadline this suite ends with all that it has started, and the run goes on.
    let stop = ground.cancel.child_token();
    let finished = {
        let running = command(suite, ground).run(&stop, |_, line| {
            let counts = counts(line);
            passed += counts.0;
            failed += counts.1;
            log.write(line);
            show(line);
        });
        tokio::pin!(running);
        tokio::select! {
            finished = &mut running => finished,
            () = pause(deadline) => {
                stop.cancel();
                running.await
            }
        }
    };
    if ground.cancel.is_cancelled() {
        return Err(Failure::interrupted());
    }
    let trouble = match finished {
        Err(_) if stop.is_cancelled() => Some(format!("it did not end within {}", words::duration(deadline))),
        Err(failure) => Some(failure.to_string()),
        Ok(finished) => match finished.success(Class::Step) {
            Err(failure) => Some(failure.message),
            // A filter that fits nothing any more ends well, and has shown nothing.
            Ok(_) if suite.counted && passed == 0 => Some("no test of it ran".to_owned()),
            Ok(_) => None,
        },
    };
    // Formatting and lints are one test each.
    if passed + failed == 0 {
        (passed, failed) = if trouble.is_none() { (1, 0) } else { (0, 1) };
    }
    let took = begun.elapsed();
    let (over, log) = (took > suite.budget, Some(log.into_path()));
    Ok(Ended { name: suite.name, passed, failed, trouble, took, over, fresh: None, log })
}

fn command(suite: &Suite, ground: &Ground<'_>) -> process::Command {
    let (program, arguments) = suite.command.split_first().unwrap_or((&"", &[]));
    let (subcommand, others) = arguments.split_at(arguments.len().min(1));
    let compiles = *program == "cargo" && matches!(subcommand, ["test" | "clippy"]);
    // What is compiled already is found there. By arguments, which what tests run does not inherit.
    let folder = ground.compiled.as_ref().filter(|_| compiles).and_then(|folder| folder.to_str());
    let setting = folder.map(|folder| format!("build.build-dir = {}", toml::Value::from(folder)));
    let settings = setting.into_iter().flat_map(|setting| ["--config".to_owned(), setting]);
    let command = process::Command::new(*program).args(subcommand).args(settings).args(others).cwd(ground.root);
    let variables = suite_tools::variables(suite.tools, &ground.found);
    let command = variables.into_iter().fold(command, |command, (name, value)| command.env(name, value));
    let context = ground.context.as_ref().map(|context| (bed::CONTEXT, context.as_str()));
    let soak = ground.soak.then_some((SOAK, "1"));
    context.into_iter().chain(soak).fold(command, |command, (name, value)| command.env(name, value))
}

/// The numbers in a test runner's closing line: `test result: ok. 9 passed; 0 failed; …`, `== 12 passed, 1 failed ==`,
/// `Tests  1 failed | 11 passed (12)`.
fn counts(line: &str) -> (u64, u64) {
    let line = anstream::adapter::strip_str(line).to_string();
    let line = line.trim();
    if !["test result:", "==", "Tests "].iter().any(|start| line.starts_with(start)) {
        return (0, 0);
    }
    let before = |word: &str| -> u64 {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|other| other.trim_end_matches([';', ',']) == word);
        at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
    };
    (before("passed"), before("failed"))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::ExitCode;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use engine::files::Gatherer;
    use tokio_util::sync::CancellationToken;

    use super::{Ended, Ground, Voices, all, command, counts, one};
    use crate::cli::test::closing::verdict;
    use crate::cli::test::freshness::Freshness;
    use crate::cli::test::suites::{Inputs, Needs, Suite};
    use crate::dayzero::suite_tools::Found;

    /// Longer than any test may take: what is told of it is that it was not waited for.
    const LONG: Duration = Duration::from_secs(3600);

    fn suite(counted: bool, command: &'static [&'static str]) -> Suite {
        let inputs = Inputs { name: "none", paths: &["none"] };
        Suite {
            name: "one",
            budget: LONG,
            needs: Needs::Nothing,
            counted,
            tools: &[],
            command,
            inputs,
            after: None,
            lane: None,
        }
    }

    /// A checkout with nothing in it.
    struct Checkout {
        folder: tempfile::TempDir,
        freshness: Freshness,
        cancel: CancellationToken,
    }

    impl Checkout {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let state = folder.path().join(".xtask");
            let gatherer = Arc::new(Gatherer::new(state.join("stat-cache")));
            let freshness = Freshness::new(folder.path(), &state, gatherer, None);
            Self { folder, freshness, cancel: CancellationToken::new() }
        }

        fn ground(&self) -> Ground<'_> {
            Ground {
                root: self.folder.path(),
                found: Found::new(),
                freshness: &self.freshness,
                logs: self.folder.path(),
                compiled: None,
                context: None,
                soak: false,
                cancel: &self.cancel,
                // What is said here would be counted where these tests are a suite themselves.
                show: &|_| {},
            }
        }

        async fn run(&self, suites: &[&Suite]) -> Vec<Ended> {
            let judged = self.freshness.judge(suites, &Found::new(), true).await;
            let mut ended = Vec::new();
            all(&judged, &self.ground(), &mut ended).await.unwrap();
            ended
        }
    }

    async fn ended(suite: &Suite, deadline: Duration) -> Ended {
        one(suite, &Checkout::new().ground(), &|_| {}, deadline).await.unwrap()
    }

    #[tokio::test]
    async fn a_suite_passes_when_its_command_does_and_tests_of_it_have_run() {
        const NONE: &[&str] = &["echo", "test result: ok. 0 passed; 0 failed; 3 ignored; 0 measured; 9 filtered out"];
        const SOME: &[&str] = &["echo", "test result: ok. 3 passed; 0 failed; 0 ignored"];
        const DIED: &[&str] = &["sh", "-c", "echo 'test result: ok. 9 passed; 0 failed'; exit 101"];
        type Row = (bool, &'static [&'static str], (u64, u64), Option<&'static str>);
        let rows: [Row; 7] = [
            (true, SOME, (3, 0), None),
            (true, NONE, (0, 1), Some("no test of it ran")),
            (false, &["true"], (1, 0), None),
            (false, &["false"], (0, 1), Some("`false` exited with 1")),
            (true, &["false"], (0, 1), Some("`false` exited with 1")),
            // What it counted is told; that it died afterwards, too.
            (true, DIED, (9, 0), Some("exited with 101")),
            (true, &["no-such-program-anywhere"], (0, 1), Some("no `no-such-program-anywhere` found")),
        ];
        for (counted, command, numbers, trouble) in rows {
            let ended = ended(&suite(counted, command), LONG).await;
            assert_eq!((ended.passed, ended.failed), numbers, "{command:?}");
            match (trouble, &ended.trouble) {
                (None, None) => {}
                (Some(words), Some(told)) => assert!(told.contains(words), "{command:?}: {told}"),
                _ => panic!("{command:?}: {ended:?}"),
            }
        }
    }

    #[test]
    fn what_compiles_looks_where_the_tool_was_compiled() {
        const SETTING: &str = "--config 'build.build-dir = \"/the target/tool\"'";
        let checkout = Checkout::new();
        let line = |words: &'static [&'static str], compiled: Option<&str>| {
            let ground = Ground { compiled: compiled.map(PathBuf::from), ..checkout.ground() };
            command(&suite(true, words), &ground).line()
        };
        let there = Some("/the target/tool");
        assert_eq!(line(&["cargo", "test", "--lib"], there), format!("cargo test {SETTING} --lib"));
        assert_eq!(line(&["cargo", "clippy"], there), format!("cargo clippy {SETTING}"));
        assert_eq!(line(&["cargo", "fmt", "--check"], there), "cargo fmt --check");
        assert_eq!(line(&["pnpm", "test"], there), "pnpm test");
        assert_eq!(line(&["cargo", "test", "--lib"], None), "cargo test --lib");
    }

    #[tokio::test]
    async fn one_failing_suite_fails_the_command_and_stops_no_other() {
        let (good, bad) = (suite(false, &["true"]), suite(false, &["false"]));
        let checkout = Checkout::new();
        let ended = checkout.run(&[&good, &bad, &good]).await;
        let fates: Vec<bool> = ended.iter().map(|ended| ended.trouble.is_none()).collect();
        assert_eq!(fates, [true, false, true]);
        assert_eq!(verdict(&ended), ExitCode::from(1));
        let ended = checkout.run(&[&good]).await;
        assert_eq!(verdict(&ended), ExitCode::SUCCESS);
    }

    /// A suite of that name and lane, which waits until there is a file and makes another.
    fn in_lane(name: &'static str, lane: &'static str, waits_for: &str, makes: &str) -> Suite {
        let script = format!("until [ -e {waits_for} ]; do sleep 0.01; done; echo {name}; touch {makes}");
        let command: &'static [&'static str] = Vec::leak(vec!["sh", "-c", String::leak(script)]);
        Suite { name, lane: Some(lane), ..suite(false, command) }
    }

    #[tokio::test]
    async fn lanes_go_on_side_by_side_and_are_heard_one_after_the_other() {
        let checkout = Checkout::new();
        std::fs::write(checkout.folder.path().join("begun"), "").unwrap();
        // Each lane waits for the one behind it in the list.
        let first = in_lane("first", "a", "by-third", "by-first");
        let second = in_lane("second", "b", "by-fourth", "by-second");
        let third = in_lane("third", "b", "by-second", "by-third");
        let fourth = in_lane("fourth", "c", "begun", "by-fourth");
        let last = Suite { name: "last", lane: None, ..in_lane("last", "", "by-first", "by-last") };
        let shown = Mutex::new(Vec::new());
        let show = |line: &str| shown.lock().unwrap().push(line.to_owned());
        let suites = [&first, &second, &third, &fourth, &last];
        let names = suites.map(|suite| suite.name);
        let judged = checkout.freshness.judge(&suites, &Found::new(), true).await;
        let mut ended = Vec::new();
        all(&judged, &Ground { show: &show, ..checkout.ground() }, &mut ended).await.unwrap();
        assert_eq!(ended.iter().map(|ended| ended.name).collect::<Vec<_>>(), names);
        let shown = shown.lock().unwrap();
        let said = shown.iter().filter(|line| !line.contains("Testing"));
        assert_eq!(said.collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        let log = |ended: &Ended| std::fs::read_to_string(ended.log.as_ref().unwrap()).unwrap();
        assert_eq!(ended.iter().map(log).collect::<Vec<_>>(), names.map(|name| format!("{name}\n")));
    }

    #[tokio::test]
    async fn a_suite_that_hangs_is_ended_with_all_that_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let noted = folder.path().join("pid");
        let script = format!("sleep 3600 & echo $! >{}; wait", noted.display());
        let command: &'static [&'static str] = Vec::leak(vec!["sh", "-c", String::leak(script)]);
        let hung = suite(true, command);
        let checkout = Checkout::new();
        let ground = checkout.ground();
        let running = one(&hung, &ground, &|_| {}, Duration::from_secs(3));
        let ended = running.await.unwrap();
        assert_eq!(ended.trouble.as_deref(), Some("it did not end within 3.0s"));
        let grandchild = std::fs::read_to_string(&noted).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/cmdline", grandchild.trim()));
        assert!(status.is_ok_and(|line| line.is_empty()) || !Path::new("/proc").join(grandchild.trim()).exists());
        assert!(!checkout.cancel.is_cancelled(), "the run goes on");
    }

    #[tokio::test]
    async fn an_interrupted_run_is_no_failed_suite() {
        let checkout = Checkout::new();
        checkout.cancel.cancel();
        let failure = one(&suite(true, &["sleep", "3600"]), &checkout.ground(), &|_| {}, LONG).await.unwrap_err();
        assert_eq!(failure.class, engine::failure::Class::Interrupted);
    }

    #[test]
    fn that_a_test_has_failed_is_told_at_once_whoever_is_heard() {
        let shown = Mutex::new(Vec::new());
        let show = |line: &str| shown.lock().unwrap().push(line.to_owned());
        let voices = Voices::new(2, &show);
        let [good, bad] = ["test a ... ok", "test b ... FAILED"];
        voices.show(1, good);
        voices.show(1, bad);
        assert_eq!(*shown.lock().unwrap(), [bad]);
        voices.let_go(0);
        assert_eq!(*shown.lock().unwrap(), [bad, good, bad]);
    }

    #[tokio::test]
    async fn no_suite_of_a_lane_begins_after_an_interruption() {
        let checkout = Checkout::new();
        checkout.cancel.cancel();
        let of = |name, lane| Suite { name, lane: Some(lane), ..suite(false, &["true"]) };
        let (first, second, third) = (of("first", "a"), of("second", "b"), of("third", "b"));
        let shown = Mutex::new(String::new());
        let show = |line: &str| shown.lock().unwrap().push_str(line);
        let judged = checkout.freshness.judge(&[&first, &second, &third], &Found::new(), true).await;
        let ended = all(&judged, &Ground { show: &show, ..checkout.ground() }, &mut Vec::new()).await;
        assert!(ended.is_err());
        let shown = shown.lock().unwrap();
        assert!(shown.contains("second") && !shown.contains("third"), "{shown:?}");
    }

    #[tokio::test]
    async fn what_became_of_suites_before_an_interruption_is_told() {
        let checkout = Checkout::new();
        let (passes, endless) = (suite(false, &["true"]), suite(false, &["sleep", "3600"]));
        let show = |line: &str| {
            // The suite before it has ended.
            if line.contains("the endless one") {
                checkout.cancel.cancel();
            }
        };
        let endless = Suite { name: "the endless one", ..endless };
        let judged = checkout.freshness.judge(&[&passes, &endless], &Found::new(), true).await;
        let mut ended = Vec::new();
        let failure = all(&judged, &Ground { show: &show, ..checkout.ground() }, &mut ended).await.unwrap_err();
        assert_eq!(failure.class, engine::failure::Class::Interrupted);
        assert_eq!(ended.iter().map(|ended| (ended.name, ended.passed)).collect::<Vec<_>>(), [("one", 1)]);
    }

    #[test]
    fn closing_lines_of_test_runners_are_counted() {
        let rows = [
            ("test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.76s", (9, 0)),
            ("test result: FAILED. 8 passed; 1 failed; 0 ignored; 0 measured", (8, 1)),
            ("==== 12 passed, 2 failed in 3.1s ====", (12, 2)),
            ("\u{1b}[2m      Tests \u{1b}[22m 1 failed\u{1b}[39m | \u{1b}[32m11 passed\u{1b}[39m (12)", (11, 1)),
            ("      Tests  158 passed (158)", (158, 0)),
            (" Test Files  14 passed (14)", (0, 0)),
            ("he said 3 passed", (0, 0)),
        ];
        for (line, expected) in rows {
            assert_eq!(counts(line), expected, "{line}");
        }
    }
}
