//! Colours, and only where they mean something. Whether they are written at all is anstream's decision
//! (`--color`, NO_COLOR, CLICOLOR, a terminal or not).

use anstyle::{AnsiColor, Style};

/// Something is being done.
pub const DOING: Style = AnsiColor::Cyan.on_default().bold();
/// Something succeeded.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Something to look at.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Something failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Help.
pub const HELP: Style = AnsiColor::Cyan.on_default().bold();
/// Less important.
pub const FAINT: Style = Style::new().dimmed();

/// `text` in `style`.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A verb in its column, right-aligned, followed by a space.
pub fn verb(style: Style, verb: &str) -> String {
    format!("{style}{verb:>12}{style:#} ")
}
