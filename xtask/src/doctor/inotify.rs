//! How many files may be watched: kubelet and everything in the node share this machine's limits.

use super::{Finding, read};

const FOLDER: &str = "/proc/sys/fs/inotify";

/// With fewer, programs in the node fail with "too many open files" once a few of them run.
const INSTANCES: u64 = 128;
const WATCHES: u64 = 8192;

pub(super) fn look() -> Finding {
    judge(&read(format!("{FOLDER}/max_user_instances")), &read(format!("{FOLDER}/max_user_watches")))
}

fn judge(instances: &str, watches: &str) -> Finding {
    let (Ok(instances), Ok(watches)) = (instances.trim().parse::<u64>(), watches.trim().parse::<u64>()) else {
        return Finding::unread("inotify", FOLDER);
    };
    let found = format!("{instances} instances, {watches} watches");
    if instances >= INSTANCES && watches >= WATCHES {
        return Finding::good("inotify", found, FOLDER);
    }
    Finding::short("inotify", format!("{found}; {INSTANCES} and {WATCHES} are needed"), FOLDER)
        .mend("sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288")
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn too_few_of_either_fall_short() {
        for (instances, watches, expected) in [
            ("128\n", "1048576\n", Standing::Good),
            ("64\n", "1048576\n", Standing::Short),
            ("128\n", "4096\n", Standing::Short),
            ("", "", Standing::Note),
        ] {
            assert_eq!(judge(instances, watches).standing, expected, "{instances}{watches}");
        }
    }
}
