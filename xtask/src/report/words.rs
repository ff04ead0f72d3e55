//! The words for what happens to each kind of step, and for numbers people read.

use std::time::Duration;

use engine::event::Tally;
use engine::step::Kind;

/// What a step of this kind is doing while it runs.
pub const fn doing(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "Starting",
        Kind::Image => "Building",
        Kind::Secrets | Kind::Manifests => "Applying",
        Kind::Release => "Upgrading",
        Kind::Check => "Checking",
        Kind::Command => "Running",
    }
}

/// What it has done once it has succeeded.
pub const fn done(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "Started",
        Kind::Image => "Built",
        Kind::Secrets | Kind::Manifests => "Applied",
        Kind::Release => "Rolled out",
        Kind::Check => "Checked",
        Kind::Command => "Ran",
    }
}

/// `0.04s`, `11.9s`, `2m 05s`, `1h 02m`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{:.2}s", time.as_secs_f64()),
        1..60 => format!("{:.1}s", time.as_secs_f64()),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `just now`, `3 min ago`, `2 h ago`, `5 days ago`.
pub fn ago(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

/// `1 step`, `6 steps`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `3 ran, 3 fresh`, leaving out what did not happen.
pub fn tally(tally: &Tally) -> String {
    let parts = [
        (tally.ran, "ran"),
        (tally.fresh, "fresh"),
        (tally.failed, "failed"),
        (tally.skipped, "skipped"),
        (tally.cancelled, "cancelled"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
    if said.is_empty() { "nothing to do".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{ago, duration};
    use std::time::Duration;

    #[test]
    fn times_read_as_people_say_them() {
        let rows = [(40, "0.04s"), (999, "1.00s"), (11_940, "11.9s"), (125_000, "2m 05s"), (3_720_000, "1h 02m")];
        for (milliseconds, expected) in rows {
            assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
        }
        let rows = [(5, "just now"), (190, "3 min ago"), (7_300, "2 h ago"), (500_000, "5 days ago")];
        for (seconds, expected) in rows {
            assert_eq!(ago(Duration::from_secs(seconds)), expected);
        }
    }
}
