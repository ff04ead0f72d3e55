//! Durations and sizes: a number and its unit, nothing implied.

use std::fmt;
use std::time::Duration;

use super::text::{Flaw, Text, serialize_as_text};

/// Splits `10m` into 10 and `m`; `None` without a whole number in front.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

/// The duration that a graph file would write as `text`, for flags that mean the same.
///
/// # Errors
/// What is wrong with it, and how it is written.
pub fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text)
        .map_err(|flaw| format!("{}: write whole numbers with units, such as 90s or 1h30m", flaw.label))
}

impl Text for Duration {
    const WHAT: &'static str = "a duration";
    const PATTERN: &'static str = "^([0-9]+(ms|s|m|h|d))+$";
    const EXAMPLE: &'static str = "10m";

    fn parse(text: &str) -> Result<Self, Flaw> {
        const HELP: &str = "write whole numbers with their units: ms, s, m, h or d, for example \"90s\" or \"1h30m\"";
        if text.is_empty() {
            return Err(Flaw::new("an empty duration").help(HELP));
        }
        let mut total = Self::ZERO;
        let mut rest = text;
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
            let unit_end = rest[digits..].find(|character: char| character.is_ascii_digit());
            let end = unit_end.map_or(rest.len(), |length| digits + length);
            let (number, unit) = (&rest[..digits], &rest[digits..end]);
            if number.is_empty() {
                return Err(Flaw::new("a whole number is missing here").part(at..at + end).help(HELP));
            }
            let millis = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "" => return Err(Flaw::new("a unit is missing").part(at..at + end).help(HELP)),
                _ => {
                    return Err(Flaw::new(format!("`{}` is no unit of time", unit.trim()))
                        .part(at + digits..at + end)
                        .help(HELP));
                }
            };
            let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
            let sum = part.and_then(|part| total.checked_add(Self::from_millis(part)));
            total = sum.ok_or_else(|| Flaw::new("too long a time").part(at..at + end).help(HELP))?;
            rest = &rest[end..];
        }
        if total.is_zero() { Err(Flaw::new("no time at all").help(HELP)) } else { Ok(total) }
    }
}

/// An amount of memory or disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Whole mebibytes, rounded down: minikube's `--memory=4096m` counts in these.
    pub const fn mebibytes(self) -> u64 {
        self.0 >> 20
    }
}

const UNITS: [(&str, u64); 6] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("TB", 10u64.pow(12)),
    ("GB", 10u64.pow(9)),
    ("MB", 10u64.pow(6)),
];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, bytes)| self.0 != 0 && self.0.is_multiple_of(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl Text for ByteSize {
    const WHAT: &'static str = "a size";
    const PATTERN: &'static str = "^[0-9]+ ?(MiB|GiB|TiB|MB|GB|TB)$";
    const EXAMPLE: &'static str = "4GiB";

    fn parse(text: &str) -> Result<Self, Flaw> {
        const HELP: &str = "write a whole number and one of MiB, GiB, TiB, MB, GB, TB, for example \"4GiB\"";
        let Some((number, unit)) = number_and_unit(text) else {
            return Err(Flaw::new("not a whole number of some unit").help(HELP));
        };
        let unit_part = text.len() - unit.len()..text.len();
        if unit.is_empty() {
            return Err(Flaw::new("a unit is missing").help(HELP));
        }
        let Some((_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(Flaw::new(format!("`{unit}` is no unit of size")).part(unit_part).help(HELP));
        };
        match number.checked_mul(*bytes) {
            Some(0) => Err(Flaw::new("nothing at all").help(HELP)),
            Some(bytes) => Ok(Self(bytes)),
            None => Err(Flaw::new("too large").help(HELP)),
        }
    }
}

serialize_as_text!(ByteSize);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ByteSize;
    use crate::config::text::Text;

    #[test]
    fn durations_are_numbers_with_units() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(Duration::parse(text).ok(), millis.map(Duration::from_millis), "{text}");
        };
        check("500ms", Some(500));
        check("90s", Some(90_000));
        check("10m", Some(600_000));
        check("1h30m", Some(5_400_000));
        check("2d", Some(172_800_000));
        for wrong in
            ["", "10", "m", "10 m", "1.5h", "-1s", "10min", "0s", "99999999999999999999s", "18446744073709551615d"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn sizes_are_numbers_with_units() {
        let check = |text: &str, bytes: Option<u64>| {
            assert_eq!(ByteSize::parse(text).ok().map(ByteSize::bytes), bytes, "{text}");
        };
        check("4GiB", Some(4 << 30));
        check("4 GiB", Some(4 << 30));
        check("6144MiB", Some(6 << 30));
        check("8GB", Some(8_000_000_000));
        for wrong in ["", "4", "4G", "4gib", "GiB", "4.5GiB", "-4GiB", "0GiB", "99999999999TiB"] {
            check(wrong, None);
        }
        assert_eq!(ByteSize::from_bytes(4 << 30).to_string(), "4GiB");
        assert_eq!(ByteSize::from_bytes(4 << 30).mebibytes(), 4096);
        assert_eq!(ByteSize::from_bytes(1_500_000_000).to_string(), "1500MB");
    }
}
