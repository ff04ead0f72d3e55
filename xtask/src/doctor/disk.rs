//! Room on the disks that a deploy fills: the engine's, where images and the node are, and this user's cache.

use std::path::{Path, PathBuf};

use tokio::time::timeout;

use super::foreseen::Foreseen;
use super::{Finding, PATIENCE, Wanted, gibibytes};
use crate::dayzero::make;
use crate::dayzero::needs::{self, Needs};
use crate::world::tool_folder;

/// What day zero may take while it builds, in bytes; afterwards it is a third of that.
const TO_BUILD: u64 = 15 << 30;

/// Below this, builds and the node's own eviction of pods begin to fail.
const TO_RUN: u64 = 3 << 30;

/// Where docker keeps what it has, unless it says otherwise.
const ENGINE: &str = "/var/lib/docker";

/// What shows who fills the disk.
const OF_ENGINE: &str = "sudo du --one-file-system --max-depth=2 --threshold=1G /var";
const OF_CACHE: &str = "du --one-file-system --max-depth=2 --threshold=1G ~";

/// A disk, and what it is wanted for.
struct Disk<'a> {
    need: &'static str,
    place: &'a Path,
    /// Bytes, if they could be found out.
    free: Option<u64>,
    /// Bytes that a deploy asks for before it compiles something; 0 where it compiles nothing.
    asked: u64,
    /// The cluster's node is there.
    made: bool,
    mend: &'static str,
}

pub(super) async fn look(wanted: &Wanted<'_>, foreseen: &Foreseen) -> Vec<Finding> {
    let root = tool_folder::root();
    let engine = timeout(PATIENCE, make::engines_folder()).await.ok().flatten();
    // Without an engine its own ways of making room are none.
    let frees = if engine.is_some() { "docker builder prune" } else { OF_ENGINE };
    let (engine, cache) = (nearest(engine.as_deref().unwrap_or(Path::new(ENGINE))), nearest(&root));
    // On one disk the larger demand is that for everything, images among it.
    let images = foreseen.images && needs::disk(&engine) != needs::disk(&cache);
    let disk = |need, place, asked, mend| Disk { need, place, free: free(place), asked, made: wanted.made, mend };
    let (asked, elsewhere) = asked_of_cache(&foreseen.needs, &root);
    let disks = [
        disk("disk of the engine", &engine, if images { needs::SPACE_FOR_IMAGES } else { 0 }, frees),
        disk("disk of the cache", &cache, asked, elsewhere),
    ];
    disks.iter().map(judge).collect()
}

/// How many bytes a deploy asks for in `root`, and what gives it them: another folder, unless work would be lost by that.
fn asked_of_cache(needs: &Needs, root: &Path) -> (u64, &'static str) {
    let elsewhere = "export XDG_CACHE_HOME=/folder/on/a/larger/disk";
    match needs.space_in(root) {
        0 => (0, elsewhere),
        asked => (asked, if needs::filled(root) > 0 { OF_CACHE } else { elsewhere }),
    }
}

/// The folder, or the nearest one above it that is there.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn free(place: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(place).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

fn judge(disk: &Disk<'_>) -> Finding {
    let Disk { need, place, free, asked, made, mend } = disk;
    let source = format!("the file system of {}", place.display());
    let Some(free) = *free else { return Finding::unread(need, &source) };
    let found = format!("{} free", gibibytes(free));
    match free {
        _ if free < TO_RUN => {
            Finding::short(need, format!("{found}, and {} are needed", gibibytes(TO_RUN)), source).mend(*mend)
        }
        _ if free < *asked => {
            let found =
                format!("{found}; what is not reached is compiled, which takes {} for a while", gibibytes(*asked));
            Finding::short(need, found, source).mend(*mend)
        }
        _ if !made && free < TO_BUILD => {
            let found = format!("{found}; a machine that has to build everything takes {}", gibibytes(TO_BUILD));
            Finding::note(need, found, source).mend(*mend)
        }
        _ => Finding::good(need, found, source),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Disk, OF_CACHE, asked_of_cache, judge};
    use crate::dayzero::needs::{Needs, There};
    use crate::doctor::Standing;

    #[test]
    fn what_a_run_that_was_killed_has_got_is_not_asked_for_again_nor_left_behind() {
        let there = There::EVERYTHING;
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(asked_of_cache(&Needs::with(&["pnpm"], there), folder.path()).0, 0);
        let needs = Needs::with(&["kubernetes"], there);
        let (asked, mend) = asked_of_cache(&needs, folder.path());
        assert!(asked == 15_000_000_000 && mend.contains("XDG_CACHE_HOME"), "{asked} {mend}");
        fs::create_dir_all(folder.path().join("caches/go-build")).unwrap();
        // It takes no space: nothing is ever written to it.
        fs::File::create(folder.path().join("caches/go-build/objects")).unwrap().set_len(9_000_000_000).unwrap();
        assert_eq!(asked_of_cache(&needs, folder.path()), (6_000_000_000, OF_CACHE));
    }

    #[test]
    fn a_new_node_needs_more_room_than_one_that_is_there_and_what_a_deploy_asks_for_has_to_be_there() {
        const GIB: u64 = 1 << 30;
        for (free, asked, made, expected) in [
            (Some(1), 0, true, Standing::Short),
            (Some(4), 0, true, Standing::Good),
            (Some(4), 0, false, Standing::Note),
            // There a deploy would end before it began.
            (Some(4), 14, false, Standing::Short),
            (Some(4), 5, true, Standing::Short),
            (Some(14), 14, false, Standing::Note),
            (Some(40), 14, false, Standing::Good),
            (None, 14, false, Standing::Note),
        ] {
            let free = free.map(|free| free * GIB);
            let (place, mend) = (Path::new("/"), "less of everything");
            let finding = judge(&Disk { need: "disk", place, free, asked: asked * GIB, made, mend });
            assert_eq!(finding.standing, expected, "{free:?} {asked} {made}");
            let mended = free.is_some() && expected != Standing::Good;
            assert_eq!(finding.mend.as_deref(), mended.then_some("less of everything"), "{free:?} {asked} {made}");
        }
    }
}
