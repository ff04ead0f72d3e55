//! Which version of control groups the kernel has mounted.

use super::{Finding, read};

const SOURCE: &str = "/proc/self/mounts";

pub(super) fn look() -> Finding {
    judge(&read(SOURCE))
}

fn judge(mounts: &str) -> Finding {
    let mut kinds = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let root = kinds.clone().any(|(place, kind)| place == "/sys/fs/cgroup" && kind == "cgroup2");
    match (root, kinds.any(|(_, kind)| kind == "cgroup")) {
        (true, _) => Finding::good("control groups", "version 2", SOURCE),
        (_, true) => Finding::note(
            "control groups",
            "version 1, with which Kubernetes up to 1.34 runs and later ones only when told to",
            SOURCE,
        )
        .mend("boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"),
        _ => Finding::unread("control groups", SOURCE),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn the_version_is_that_of_what_is_mounted() {
        const TWO: &str = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        const ONE: &str = "tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
        // systemd mounts the second beside the first, for itself alone.
        const BOTH: &str = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        for (mounts, standing, words) in [
            (TWO, Standing::Good, "version 2"),
            (ONE, Standing::Note, "version 1"),
            (BOTH, Standing::Note, "version 1"),
            ("", Standing::Note, "not to be found out"),
        ] {
            let finding = judge(mounts);
            assert_eq!(finding.standing, standing, "{mounts}");
            assert!(finding.found.starts_with(words), "{}", finding.found);
        }
    }
}
