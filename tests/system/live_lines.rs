//! A deploy at a terminal: a line for each step that runs, which says what it does and goes when it has ended.

use crate::cluster::Cluster;
use crate::project::Project;
use crate::screen::Screen;

const GRAPH: &str = r#"
project = "live-lines"

[cluster]
driver  = "minikube"
profile = "CONTEXT"

[image.app]
context = "app"
"#;

/// What is run for the image; it is longer than most terminals are wide.
fn long(command: &str) -> String {
    format!("echo {} >/dev/null && {command}", ["word"; 40].join(" "))
}

/// A project with an image for which `command` is run.
fn project(command: &str) -> Project {
    let cluster = Cluster::of_environment();
    let graph = GRAPH.replace("CONTEXT", &cluster.context);
    let project = Project::of_files("live-lines", &cluster.context, &[("xtask.toml", &graph)]);
    build(&project, command);
    project
}

/// Has `command` run the next time.
fn build(project: &Project, command: &str) {
    // No cache of another run has it.
    let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is right").as_nanos();
    project.write("app/Dockerfile", &format!("FROM python:3.13-slim\nENV NOW={now}\nRUN {command}\n"));
}

/// The rows that say what the step does now, and since when.
fn live(screen: &Screen) -> Vec<String> {
    let shown = screen.shown();
    let rows = shown.lines().map(str::trim_end).filter(|row| row.contains("s [2/2] RUN") && !row.contains('└'));
    rows.map(str::to_owned).collect()
}

/// The rows that tell of the image.
fn told(screen: &Screen) -> Vec<String> {
    let shown = screen.shown();
    shown.lines().filter(|row| row.contains("image:app ")).map(|row| row.trim_end().to_owned()).collect()
}

/// Waits until there is one live row, which says another time than `before` and ends before the terminal's edge.
/// Returns it.
fn next_live(screen: &mut Screen, before: &str) -> String {
    screen.until("one live row, and a later one", |screen| {
        let fits = |row: &str| row.chars().count() < usize::from(screen.columns());
        matches!(&live(screen)[..], [row] if row != before && fits(row))
    });
    live(screen).remove(0)
}

#[test]
fn a_line_says_what_a_step_does_and_since_when_and_goes_with_it() {
    let project = project(&long("sleep 6"));
    let mut screen = Screen::begin(&project, "deploy");
    let first = next_live(&mut screen, "");
    assert!(first.contains(" image:app "), "{first}");
    next_live(&mut screen, &first);
    let status = screen.end();
    assert!(status.success(), "{}", screen.shown());
    let told = told(&screen);
    assert!(told[0].starts_with("    Building image:app          "), "{told:#?}");
    assert!(told[1].starts_with("       Built image:app          "), "{told:#?}");
    assert_eq!(told.len(), 2, "one line for each thing that happened: {told:#?}");
    assert!(screen.shown().contains("\n    Finished deploy  (1 ran, "), "{}", screen.shown());
    assert!(screen.shows_cursor());
}

#[test]
fn on_a_narrow_terminal_and_on_one_that_is_resized_nothing_is_smeared() {
    let project = project(&long("sleep 8"));
    let mut screen = Screen::of_size((50, 60), &project, "deploy", &[]);
    let mut row = next_live(&mut screen, "");
    for columns in [60, 50, 100] {
        screen.resize(50, columns);
        row = next_live(&mut screen, &row);
        row = next_live(&mut screen, &row);
    }
    screen.until(
        "what there is room for is used",
        |screen| matches!(&live(screen)[..], [row] if row.chars().count() > 60),
    );
    assert!(screen.end().success(), "{}", screen.shown());
    assert_eq!(live(&screen), Vec::<String>::new(), "{}", screen.shown());
    assert_eq!(told(&screen).len(), 2, "{}", screen.shown());
    project.run(&["teardown"]).expect_success();
}

#[test]
fn ctrl_c_in_the_middle_leaves_the_terminal_as_it_was() {
    let project = project(&long("sleep 600"));
    let mut screen = Screen::of_size((40, 100), &project, "deploy", &[]);
    let first = next_live(&mut screen, "");
    screen.press("\u{3}");
    let status = screen.end();
    assert_eq!(status.code(), Some(130), "{}", screen.shown());
    assert_ne!(first, "");
    assert_eq!(live(&screen), Vec::<String>::new(), "{}", screen.shown());
    assert_eq!(told(&screen).len(), 1, "{}", screen.shown());
    assert!(screen.shown().contains("     Stopped deploy  ("), "{}", screen.shown());
    assert!(matches!(screen.settings()[..], [before, after] if before == after), "{:?}", screen.settings());
    assert!(screen.shows_cursor());
}

#[test]
fn a_build_that_fails_shows_its_last_lines_its_line_and_where_the_whole_log_is() {
    // What is meant for the build's own terminal is not done to this one.
    let project = project("printf '\\033[2J\\033[31mred\\033[0m\\rover\\n\\033[?25l' && echo the last line && exit 7");
    let mut screen = Screen::begin(&project, "deploy");
    let status = screen.end();
    assert_eq!(status.code(), Some(1), "{}", screen.shown());
    let shown = screen.shown();
    let rows: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let at = rows.iter().position(|row| row.starts_with("error: image:app did not build")).expect("it is told");
    let expected = ["  because exit 7", "  │ over", "  │ the last line", "  └ app/Dockerfile:3"];
    let said: Vec<&str> = rows[at + 1..].iter().copied().filter(|row| !row.contains('┌')).take(4).collect();
    assert_eq!(said, expected, "{shown}");
    assert!(shown.contains("help: the whole log is in .xtask/runs/1/image-app.log"), "{shown}");
    assert!(shown.contains("      Failed image:app          did not build: exit 7"), "{shown}");
    assert!(screen.shows_cursor());
    let log = std::fs::read_to_string(project.path(".xtask/runs/1/image-app.log")).expect("it is there");
    assert!(log.contains("the last line"), "{log}");
}

#[test]
fn a_terminal_that_can_draw_nothing_gets_plain_lines() {
    let project = project("true");
    let mut screen = Screen::of_size((40, 100), &project, "deploy", &[("TERM", "dumb"), ("NO_COLOR", "1")]);
    assert!(screen.end().success(), "{}", screen.shown());
    let (_, run) = screen.everything.rsplit_once("icanon").map_or(("", ""), |(before, _)| ("", before));
    assert!(run.contains("Built image:app"), "{run}");
    assert!(!run.contains('\u{1b}'), "{run:?}");
    project.run(&["teardown"]).expect_success();
}
