//! Room on the disks that a deploy fills: the engine's, where images and the node are, and this user's cache.

use std::path::{Path, PathBuf};

use super::{Finding, Wanted, gibibytes};
use crate::world::tool_folder;

/// What day zero may take while it builds, in bytes; afterwards it is a third of that.
const TO_BUILD: u64 = 15 << 30;

/// Below this, builds and the node's own eviction of pods begin to fail.
const TO_RUN: u64 = 3 << 30;

/// Where docker keeps what it has.
const ENGINE: &str = "/var/lib/docker";

pub(super) fn look(wanted: &Wanted<'_>) -> Vec<Finding> {
    let places = [("disk of the engine", PathBuf::from(ENGINE)), ("disk of the cache", tool_folder::root())];
    let find = |(need, path): (&'static str, PathBuf)| {
        let place = path.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/")).to_owned();
        judge(need, &place, free(&place), wanted.made)
    };
    places.into_iter().map(find).collect()
}

fn free(place: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(place).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

fn judge(need: &'static str, place: &Path, free: Option<u64>, made: bool) -> Finding {
    let source = format!("the file system of {}", place.display());
    let Some(free) = free else { return Finding::unread(need, &source) };
    let found = format!("{} free", gibibytes(free));
    let mend = "docker builder prune";
    match free {
        _ if free < TO_RUN => {
            Finding::short(need, format!("{found}, and {} are needed", gibibytes(TO_RUN)), source).mend(mend)
        }
        _ if !made && free < TO_BUILD => {
            let found = format!("{found}; a machine that has to build everything takes {}", gibibytes(TO_BUILD));
            Finding::note(need, found, source).mend(mend)
        }
        _ => Finding::good(need, found, source),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::judge;
    use crate::doctor::Standing;

    #[test]
    fn a_new_node_needs_more_room_than_one_that_is_there() {
        const GIB: u64 = 1 << 30;
        for (free, made, expected) in [
            (Some(GIB), true, Standing::Short),
            (Some(4 * GIB), true, Standing::Good),
            (Some(4 * GIB), false, Standing::Note),
            (Some(40 * GIB), false, Standing::Good),
            (None, false, Standing::Note),
        ] {
            assert_eq!(judge("disk", Path::new("/"), free, made).standing, expected, "{free:?} {made}");
        }
    }
}
