//! Up to where a log has been read, so that it can be read on after a break without losing or doubling a line.
//!
//! A log can be asked for only from a whole second on, many lines may bear the same time, and what goes to the two
//! outputs of a container may be a little out of order. But lines stay in the same order. So what is kept is how many
//! were read since the beginning of a second: of a second reading from there, as many are old.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many seconds back a reading begins again: more than lines are out of order.
const SECONDS: usize = 3;

/// See the module. Written down, another process can read on with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// What was written before is not wanted.
    from: Option<Timestamp>,
    /// The lines that were read, by the second in which they were written; the last few seconds.
    read: BTreeMap<i64, usize>,
    newest: Option<Timestamp>,
    /// How many lines of the present reading are still to be met again.
    again: usize,
}

impl Cursor {
    /// A cursor before everything that was written at or after `from`.
    pub fn from(from: Option<Timestamp>) -> Self {
        Self { from, ..Self::default() }
    }

    /// Begins a reading, and tells from when on the log has to be asked for: a whole second.
    pub fn begin(&mut self) -> Option<Timestamp> {
        self.again = self.read.values().sum();
        let second = self.read.keys().next().copied().or(self.from.map(Timestamp::as_second));
        second.and_then(|second| Timestamp::from_second(second).ok())
    }

    /// Whether a line is wanted that was written at `at` and has not been read yet; it counts as read from now on.
    pub fn is_new(&mut self, at: Timestamp) -> bool {
        // One that is newer than all that was read is none of them: the log has been cut off in front.
        if self.newest.is_none_or(|newest| at > newest) {
            self.again = 0;
            self.newest = Some(at);
        } else if self.again > 0 {
            self.again -= 1;
            return false;
        }
        let second = at.as_second();
        let first = self.read.keys().next().copied();
        // What is older than the second in which the next reading begins will not be met by it.
        if self.read.len() < SECONDS || first.is_some_and(|first| second >= first) {
            *self.read.entry(second).or_default() += 1;
        }
        while self.read.len() > SECONDS {
            self.read.pop_first();
        }
        self.from.is_none_or(|from| at >= from)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Cursor;

    fn at(second: i64, nanosecond: i32) -> Timestamp {
        Timestamp::new(1_000 + second, nanosecond).unwrap()
    }

    /// Lines with equal times, out of order, and with pauses between them.
    fn log() -> Vec<Timestamp> {
        let mut log = vec![at(0, 1), at(0, 1), at(0, 1), at(0, 5), at(0, 3), at(1, 0), at(1, 0), at(0, 9), at(1, 7)];
        log.extend([at(2, 0), at(4, 0), at(4, 1), at(4, 1), at(9, 0), at(9, 0), at(10, 0), at(9, 8), at(10, 0)]);
        log
    }

    /// What a server sends that is asked for the lines since then.
    fn served(log: &[Timestamp], since: Option<Timestamp>) -> Vec<(usize, Timestamp)> {
        let lines = log.iter().copied().enumerate();
        lines.filter(|(_, at)| since.is_none_or(|since| *at >= since)).collect()
    }

    #[test]
    fn wherever_readings_break_off_each_line_is_new_exactly_once_and_in_order() {
        let log = log();
        for first in 0..=log.len() {
            for second in 0..=log.len() {
                let mut cursor = Cursor::default();
                let mut new = Vec::new();
                for breaks in [first, second, log.len()] {
                    let since = cursor.begin();
                    // What is written while nobody reads is there at the next reading.
                    let there = log.get(..breaks.max(first)).unwrap();
                    new.extend(served(there, since).into_iter().filter_map(|(n, at)| cursor.is_new(at).then_some(n)));
                }
                assert_eq!(new, (0..log.len()).collect::<Vec<_>>(), "broken off after {first} and {second}");
            }
        }
    }

    #[test]
    fn a_reading_that_breaks_off_among_old_lines_makes_none_of_them_new() {
        let log = log();
        for broken in 0..log.len() {
            let mut cursor = Cursor::default();
            cursor.begin();
            log.iter().for_each(|at| assert!(cursor.is_new(*at)));
            let since = cursor.begin();
            assert!(!served(&log, since).into_iter().take(broken).any(|(_, at)| cursor.is_new(at)));
            let since = cursor.begin();
            assert!(!served(&log, since).into_iter().any(|(_, at)| cursor.is_new(at)), "after {broken}");
        }
    }

    #[test]
    fn a_log_that_was_cut_off_in_front_hides_no_new_line() {
        let mut cursor = Cursor::default();
        cursor.begin();
        [at(1, 0), at(1, 1), at(1, 2)].into_iter().for_each(|at| assert!(cursor.is_new(at)));
        cursor.begin();
        assert_eq!([at(1, 2), at(2, 0), at(2, 0)].map(|at| cursor.is_new(at)), [false, true, true]);
    }

    #[test]
    fn the_server_is_asked_for_whole_seconds_and_the_rest_is_cut_here() {
        let mut cursor = Cursor::from(Some(at(2, 500)));
        assert_eq!(cursor.begin(), Some(at(2, 0)));
        assert_eq!(
            [at(2, 0), at(2, 499), at(2, 500), at(3, 0)].map(|at| cursor.is_new(at)),
            [false, false, true, true]
        );
        assert_eq!(cursor.begin(), Some(at(2, 0)));
        let again = [at(2, 0), at(2, 499), at(2, 500), at(3, 0), at(3, 0)];
        assert_eq!(again.map(|at| cursor.is_new(at)), [false, false, false, false, true]);
    }
}
