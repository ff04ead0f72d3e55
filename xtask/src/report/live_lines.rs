//! Standard error as the place of lines that change while something runs.
//!
//! The library that draws them fills each line up to the terminal's edge, and leaves it to the terminal to go on in the
//! next row. A window that has become narrower, or whatever else writes at the cursor, as a terminal does that shows
//! Ctrl-C, would push what is drawn into rows that nobody clears. So nothing gets to the edge here: a row ends with a line
//! feed, and the cursor waits at the beginning of the last one.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use console::{Term, measure_text_width, truncate_str};
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

/// How often it is drawn at most, per second.
const REFRESH: u8 = 20;

/// Whether there is a terminal that lines can be drawn on again and again.
pub fn are_possible() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// No lines yet.
pub fn none_yet() -> MultiProgress {
    // Whether they are shown is decided below, as for all that is written.
    console::set_colors_enabled(true);
    let plain = AutoStream::choice(&io::stderr()) == ColorChoice::Never;
    let lines = LiveLines { term: Term::buffered_stderr(), plain, column: Mutex::new(0) };
    MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(Box::new(lines), REFRESH))
}

/// See the module.
#[derive(Debug)]
struct LiveLines {
    term: Term,
    /// Without styles.
    plain: bool,
    /// In which column of its row the library takes the cursor to be.
    column: Mutex<usize>,
}

impl LiveLines {
    fn at(&self, column: usize) {
        *self.column.lock().unwrap_or_else(PoisonError::into_inner) = column;
    }
}

impl TermLike for LiveLines {
    fn width(&self) -> u16 {
        self.term.size().1.saturating_sub(1).max(1)
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, rows: usize) -> io::Result<()> {
        self.term.move_cursor_up(rows)
    }

    fn move_cursor_down(&self, rows: usize) -> io::Result<()> {
        self.term.move_cursor_down(rows)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.at(0);
        self.term.write_str("\r\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let width = usize::from(self.width());
        let mut column = self.column.lock().unwrap_or_else(PoisonError::into_inner);
        if text == "\r" {
            *column = 0;
            return self.term.write_str(text);
        }
        let wide = measure_text_width(text);
        if wide > 0 && *column >= width {
            self.term.write_str("\r\n")?;
            *column = 0;
        }
        // What only fills the row is not written.
        if !text.trim().is_empty() {
            let text = truncate_str(text, width.saturating_sub(*column), "");
            match self.plain {
                true => self.term.write_str(&strip_str(&text).to_string())?,
                false => self.term.write_str(&text)?,
            }
        }
        *column += wide;
        while *column > width {
            // The library takes the rest to be in further rows.
            self.term.write_str("\r\n")?;
            *column -= width;
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.at(0);
        self.term.write_str("\r")?;
        // Below the last of them nothing is but what a narrower window has made of it.
        self.term.clear_to_end_of_screen()
    }

    fn flush(&self) -> io::Result<()> {
        self.at(0);
        self.term.write_str("\r")?;
        self.term.flush()
    }
}
