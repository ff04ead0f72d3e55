//! A line of a container's log as people read it: whose it is, in that workload's colour, and what it says.

use anstyle::{AnsiColor, Style};

use super::style::{FAINT, paint};
use crate::world::pods::log::Line;
use crate::world::pods::record::Level;

/// The whole line with styles; the caller's stream decides whether they are shown. What a JSON object says in several
/// lines, a stack trace for example, is shown in several.
pub fn render(line: &Line) -> String {
    let name = paint(color(&line.label), &format!("{:<18}", format!("{} {}", line.label, pod(line))));
    let text = match &line.record {
        None => line.text.clone(),
        Some(record) => {
            let mut text = format!("{} {}", paint(of_level(line.level), &format!("{:<5}", line.level)), record.message);
            for (key, value) in &record.fields {
                let separator = if value.contains('\n') { "\n" } else { " " };
                text.push_str(&format!("{separator}{}", paint(FAINT, &format!("{key}={value}"))));
            }
            text
        }
    };
    let mut lines = text.lines();
    let first = format!("{name} {}", lines.next().unwrap_or_default());
    lines.fold(first, |shown, more| format!("{shown}\n{name}   {more}"))
}

/// The pods of a workload differ in the last part of their name only.
fn pod(line: &Line) -> &str {
    line.of.pod.rsplit('-').next().unwrap_or_default()
}

fn of_level(level: Level) -> Style {
    match level {
        Level::Trace | Level::Debug => FAINT,
        Level::Info => AnsiColor::Green.on_default(),
        Level::Warn => AnsiColor::Yellow.on_default(),
        Level::Error => AnsiColor::Red.on_default().bold(),
    }
}

/// The same workload has the same colour, today and tomorrow.
fn color(label: &str) -> Style {
    const COLORS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Green,
        AnsiColor::Magenta,
        AnsiColor::Yellow,
        AnsiColor::Blue,
        AnsiColor::BrightRed,
    ];
    let sum: usize = label.bytes().map(usize::from).sum();
    COLORS.get(sum % COLORS.len()).map_or_else(Style::new, |color| color.on_default())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::render;
    use crate::diagnose::evidence::ContainerOf;
    use crate::world::pods::log::Source;

    #[test]
    fn json_is_taken_apart_and_everything_else_left_as_it_is() {
        let of = ContainerOf { namespace: "n".into(), pod: "todo-backend-7c9-x2k".into(), container: "c".into() };
        let mut source = Source::new("backend", of);
        for (text, expected) in [
            ("plain  text", "backend x2k        plain  text"),
            (
                r#"{"level":"info","logger":"app","message":"ready","port":8000}"#,
                "backend x2k        INFO  ready logger=app port=8000",
            ),
            (
                "{\"level\":\"error\",\"message\":\"no\",\"exception\":\"Trace:\\n  line 1\",\"id\":7}",
                "backend x2k        ERROR no\nbackend x2k          exception=Trace:\nbackend x2k            line 1 id=7",
            ),
            ("", "backend x2k        "),
        ] {
            let line = source.line(Timestamp::UNIX_EPOCH, text.to_owned());
            assert_eq!(anstream::adapter::strip_str(&render(&line)).to_string(), expected);
        }
    }
}
