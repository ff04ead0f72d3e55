//! Memory: all of the machine's, and what is available now.

use super::{Finding, Wanted, gibibytes, read};

const SOURCE: &str = "/proc/meminfo";

/// What a node takes where the graph file does not say: minikube's own least.
const LEAST: u64 = 1800 << 20;

pub(super) fn look(wanted: &Wanted<'_>) -> Finding {
    let node = wanted.minikube().map(|cluster| cluster.memory.map_or(LEAST, |memory| memory.bytes()));
    judge(&read(SOURCE), node, wanted.made)
}

fn judge(text: &str, node: Option<u64>, made: bool) -> Finding {
    let (Some(total), Some(available)) = (field(text, "MemTotal"), field(text, "MemAvailable")) else {
        return Finding::unread("memory", SOURCE);
    };
    let found = format!("{} of {} available", gibibytes(available), gibibytes(total));
    match node {
        Some(node) if total < node => {
            Finding::short("memory", format!("{found}, and the cluster's node wants {}", gibibytes(node)), SOURCE)
                .mend(mend(total))
        }
        Some(node) if !made && available < node => {
            Finding::note("memory", format!("{found}, and the cluster's node may take {}", gibibytes(node)), SOURCE)
                .mend("ps --sort=-rss -eo rss,pid,comm | head")
        }
        _ => Finding::good("memory", found, SOURCE),
    }
}

/// The graph file can ask for less, down to what minikube takes; a quarter is left to everything else.
fn mend(total: u64) -> String {
    let fits = total / 4 * 3;
    if fits < LEAST {
        return format!("give this machine {}: minikube makes no node with less", gibibytes(LEAST / 3 * 4));
    }
    format!("sed --in-place 's/^memory *=.*/memory = \"{}MiB\"/' xtask.toml", fits >> 20)
}

/// A field in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn what_the_node_wants_has_to_be_there() {
        const CAPTURED: &str =
            "MemTotal:       24689764 kB\nMemFree:          403988 kB\nMemAvailable:    3145728 kB\n";
        const GIB: u64 = 1 << 30;
        for (node, made, expected) in [
            (Some(2 * GIB), false, Standing::Good),
            (Some(4 * GIB), false, Standing::Note),
            (Some(4 * GIB), true, Standing::Good),
            (Some(64 * GIB), true, Standing::Short),
            (None, false, Standing::Good),
        ] {
            assert_eq!(judge(CAPTURED, node, made).standing, expected, "{node:?} {made}");
        }
        assert_eq!(judge(CAPTURED, None, true).found, "3.0 GiB of 23.5 GiB available");
        assert_eq!(judge("", Some(GIB), false).standing, Standing::Note);
    }
}
