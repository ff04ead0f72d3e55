//! Processors: what the kernel lets this process use, less what a control group withholds.

use super::{Finding, Wanted};

const SOURCE: &str = "the kernel's affinity and quota of this process";

/// minikube takes no fewer.
const LEAST: u32 = 2;

pub(super) fn look(wanted: &Wanted<'_>) -> Finding {
    let there = std::thread::available_parallelism().map(|cores| cores.get()).ok();
    judge(there, wanted.minikube().map(|cluster| cluster.cpus.unwrap_or(LEAST)))
}

fn judge(there: Option<usize>, wanted: Option<u32>) -> Finding {
    let Some(there) = there else { return Finding::unread("cores", SOURCE) };
    match wanted {
        Some(wanted) if there < wanted as usize => {
            Finding::short("cores", format!("{there}, and the cluster's node wants {wanted}"), SOURCE).mend(mend(there))
        }
        _ => Finding::good("cores", there.to_string(), SOURCE),
    }
}

/// The graph file can ask for less, down to what minikube takes.
fn mend(there: usize) -> String {
    if there < LEAST as usize {
        return format!("give this machine {LEAST} processors: minikube makes no node with fewer");
    }
    format!("sed --in-place 's/^cpus *=.*/cpus = {there}/' xtask.toml")
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn fewer_than_the_node_wants_fall_short() {
        for (there, wanted, expected) in [
            (Some(2), Some(2), Standing::Good),
            (Some(16), Some(4), Standing::Good),
            (Some(1), Some(2), Standing::Short),
            (Some(1), None, Standing::Good),
            (None, Some(2), Standing::Note),
        ] {
            assert_eq!(judge(there, wanted).standing, expected, "{there:?} for {wanted:?}");
        }
    }
}
