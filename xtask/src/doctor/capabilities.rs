//! What the kernel will not let any process here do, root or not: capabilities that the bounding set lacks.

use super::{Finding, read};

const SOURCE: &str = "CapBnd in /proc/self/status";
const STATUS: &str = "/proc/self/status";

/// What containers need of the engine, by number.
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"), (24, RAISES_LIMITS)];

/// The one that day zero has a way around: containers with raised limits.
const RAISES_LIMITS: &str = "CAP_SYS_RESOURCE";

/// What mends all that keeps an engine from being started.
pub(super) const MEND: &str = "run this container with --privileged, or point DOCKER_HOST at an engine elsewhere";

pub(super) fn look() -> Finding {
    judge(&read(STATUS))
}

/// What keeps any engine from being started here; `None` where nothing does that is known.
pub(super) fn hindrance() -> Option<String> {
    hindrance_in(&read(STATUS))
}

fn hindrance_in(status: &str) -> Option<String> {
    let missing = missing(status)?;
    let hinders = missing.iter().any(|name| *name != RAISES_LIMITS);
    hinders.then(|| format!("no {}: no engine can be started here", missing.join(", ")))
}

/// What the bounding set lacks.
fn missing(status: &str) -> Option<Vec<&'static str>> {
    let digits = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    let bounds = u64::from_str_radix(digits.trim(), 16).ok()?;
    Some(NEEDED.iter().filter(|(number, _)| bounds >> number & 1 == 0).map(|(_, name)| *name).collect())
}

fn judge(status: &str) -> Finding {
    let Some(missing) = missing(status) else { return Finding::unread("capabilities", SOURCE) };
    match missing[..] {
        [] => Finding::good("capabilities", "all that containers need", SOURCE),
        [RAISES_LIMITS] => {
            let found = format!("no {RAISES_LIMITS}: containers get the limits that this process has");
            Finding::note("capabilities", found, SOURCE)
        }
        // An engine elsewhere would do: whether one answers is another need.
        _ => Finding::note("capabilities", hindrance_in(status).unwrap_or_default(), SOURCE).mend(MEND),
    }
}

#[cfg(test)]
mod tests {
    use super::{hindrance_in, judge};
    use crate::doctor::Standing;

    #[test]
    fn what_is_missing_is_named() {
        for (bounds, standing, words, hinders) in [
            ("000001ffffffffff", Standing::Good, "all that containers need", false),
            ("000001fffeffffff", Standing::Note, "no CAP_SYS_RESOURCE: containers", false),
            // What docker leaves to a container without --privileged.
            ("00000000a80425fb", Standing::Note, "no CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_RESOURCE: no engine", true),
            ("", Standing::Note, "not to be found out", false),
        ] {
            let status = format!("Name:\tx\nCapEff:\t0\nCapBnd:\t{bounds}\n");
            let finding = judge(&status);
            assert_eq!((finding.standing, hindrance_in(&status).is_some()), (standing, hinders), "{bounds}");
            assert!(finding.found.starts_with(words), "{}", finding.found);
        }
    }
}
