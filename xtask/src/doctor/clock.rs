//! This machine's clock against that of any place that answered: certificates are valid only between two times.

use std::time::{Duration, SystemTime};

use super::reach::Asked;
use super::{Finding, Standing};
use crate::report::words;

/// What makes a certificate of a new cluster, or a token, look as if it came from the future.
const TOO_FAR: Duration = Duration::from_secs(5 * 60);

/// What is worth a word.
const FAR: Duration = Duration::from_secs(30);

pub(super) fn judge(asked: &[Asked]) -> Finding {
    let told = asked.iter().find_map(|asked| Some((asked, date(&asked.headers)?)));
    let Some((asked, theirs)) = told else {
        return Finding::note("clock", "nobody was reached who could tell the time", "the answers of registries");
    };
    let ours = asked.at;
    let skew = ours.duration_since(theirs).unwrap_or_else(|behind| behind.duration());
    let source = format!("the answer of {}", asked.url);
    let way = if ours >= theirs { "ahead" } else { "behind" };
    // Dates have whole seconds, and an answer takes a while.
    let standing = match skew {
        _ if skew > TOO_FAR => Standing::Short,
        _ if skew > FAR => Standing::Note,
        _ => return Finding::good("clock", "right to the second or two", source),
    };
    let found = format!("{} {way}", words::duration(skew));
    Finding { standing, ..Finding::good("clock", found, source) }.mend("sudo timedatectl set-ntp true")
}

fn date(headers: &str) -> Option<SystemTime> {
    let line =
        headers.lines().rev().find(|line| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("date:")))?;
    let time = jiff::fmt::rfc2822::parse(line.get(5..)?.trim()).ok()?;
    Some(time.timestamp().into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::judge;
    use crate::doctor::Standing;
    use crate::doctor::reach::Asked;

    #[test]
    fn a_clock_is_held_against_somebody_elses() {
        // The date in seconds since 1970.
        const THEIRS: u64 = 1_767_225_600;
        let check = |ours: u64, headers: &str, standing, words: &str| {
            let asked = Asked {
                what: "base images",
                url: "https://registry.example/v2/".to_owned(),
                headers: headers.to_owned(),
                at: UNIX_EPOCH + Duration::from_secs(ours),
                took: Duration::ZERO,
            };
            let finding = judge(&[asked]);
            assert_eq!(finding.standing, standing, "{ours}");
            assert!(finding.found.contains(words), "{}", finding.found);
        };
        const DATE: &str = "HTTP/2 401 \r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
        check(THEIRS + 1, DATE, Standing::Good, "right");
        check(THEIRS - 60, DATE, Standing::Note, "behind");
        check(THEIRS + 3600, DATE, Standing::Short, "1h 00m ahead");
        check(THEIRS, "HTTP/2 401 \r\n", Standing::Note, "nobody");
        assert_eq!(judge(&[]).standing, Standing::Note);
    }
}
