//! What the kernel will not let any process here do, root or not: capabilities that the bounding set lacks.

use super::{Finding, read};

const SOURCE: &str = "CapBnd in /proc/self/status";

/// What containers need of the engine, by number.
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"), (24, RAISES_LIMITS)];

/// The one that day zero has a way around: containers with raised limits.
const RAISES_LIMITS: &str = "CAP_SYS_RESOURCE";

pub(super) fn look() -> Finding {
    judge(&read("/proc/self/status"))
}

fn judge(status: &str) -> Finding {
    let digits = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let Some(bounds) = digits.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()) else {
        return Finding::unread("capabilities", SOURCE);
    };
    let missing = NEEDED.iter().filter(|(number, _)| bounds >> number & 1 == 0).map(|(_, name)| *name);
    let missing: Vec<&str> = missing.collect();
    match missing[..] {
        [] => Finding::good("capabilities", "all that containers need", SOURCE),
        [RAISES_LIMITS] => {
            let found = format!("no {RAISES_LIMITS}: containers get the limits that this process has");
            Finding::note("capabilities", found, SOURCE)
        }
        // An engine elsewhere would do: whether one answers is another need.
        _ => Finding::note("capabilities", format!("no {}: no engine can be started here", missing.join(", ")), SOURCE)
            .mend("run this container with --privileged, or point DOCKER_HOST at an engine elsewhere"),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn what_is_missing_is_named() {
        for (bounds, standing, words) in [
            ("000001ffffffffff", Standing::Good, "all that containers need"),
            ("000001fffeffffff", Standing::Note, "no CAP_SYS_RESOURCE: containers"),
            // What docker leaves to a container without --privileged.
            ("00000000a80425fb", Standing::Note, "no CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_RESOURCE: no engine"),
            ("", Standing::Note, "not to be found out"),
        ] {
            let finding = judge(&format!("Name:\tx\nCapEff:\t0\nCapBnd:\t{bounds}\n"));
            assert_eq!(finding.standing, standing, "{bounds}");
            assert!(finding.found.starts_with(words), "{}", finding.found);
        }
    }
}
