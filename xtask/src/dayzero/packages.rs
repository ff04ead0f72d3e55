//! Packages of Debian's and Ubuntu's, installed with leave, and told.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use engine::failure::Failure;
use engine::lock::{Held, Locks};
use engine::step::StepId;
use tokio_util::sync::CancellationToken;

use super::apt;
use super::consent::{self, By, Leave};
use crate::context::Context;
use crate::run;
use crate::world::machine::Machine;
use crate::world::process;

/// The lock of whoever installs, whatever for and from whichever checkout.
const LOCK: &str = "packages of this machine";

/// A program, or a file by its whole path, and the package that has it.
pub type Need = (&'static str, &'static str);

/// What puts a tree of Debian packages together.
pub(super) const MMDEBSTRAP: Need = ("mmdebstrap", "mmdebstrap");

/// By what Debian's archive is believed where the system is none of Debian's.
pub(super) const DEBIANS_KEYS: Need = ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring");

/// What asks hosts whether they answer, and gets what is released there.
pub(super) const CURL: Need = ("curl", "curl");

/// docker's client, where it is a package of its own.
pub(super) const DOCKER_CLIENT: Need = ("docker", "docker-cli");

/// What gets Go where its project's releases are not reached.
pub(super) const PIP: [Need; 2] = [("python3", "python3"), ("pip3", "python3-pip")];

/// Where the system keeps programs for root. A plain `su` leaves root with a `PATH` without them.
const FOR_ROOT: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Sees to it that the programs are there.
///
/// # Errors
/// When they are not and cannot or may not be installed, with the commands that a person would type.
pub(super) async fn ensure(cx: &Context, step: &StepId, needs: &[Need]) -> Result<(), Failure> {
    let missing = missing(needs);
    let Some((program, package)) = missing.first() else { return Ok(()) };
    if !may_install()? {
        return Err(Failure::environment(format!("there is no {program}"))
            .help(format!("install it; on Debian and Ubuntu it is in the package {package}")));
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    let what = format!("install {} on this machine", packages.join(", "));
    let leave = consent::obtain(cx, &what, &[command(&packages)], By::Sudo).await?;
    let _turn = turn(cx, step).await?;
    // Whoever had the turn before may have installed them.
    let packages: Vec<&str> = self::missing(&missing).iter().map(|(_, package)| *package).collect();
    if packages.is_empty() { Ok(()) } else { call(cx, step, &packages, leave).await }
}

/// Those of `needs` that are not here.
pub(super) fn missing(needs: &[Need]) -> Vec<Need> {
    needs.iter().filter(|(name, _)| !is_there(name)).copied().collect()
}

/// Whether packages are installed here for this user, once that is said.
///
/// # Errors
/// When the user's settings cannot be read, or the run is cancelled.
pub async fn can_be_installed(cancel: &CancellationToken) -> Result<bool, Failure> {
    Ok(may_install()? && consent::attainable(cancel, By::Sudo).await?.is_some())
}

/// What a person does to have what is `missing`.
pub fn by_hand(missing: &[Need]) -> String {
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    if is_debian_here() {
        return command(&packages);
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    format!("install {}; on Debian and Ubuntu the packages are {}", programs.join(", "), packages.join(", "))
}

/// Installs packages; leave has been given.
///
/// # Errors
/// When apt-get fails, with its last lines.
pub(super) async fn install(cx: &Context, step: &StepId, packages: &[&str], leave: Leave) -> Result<(), Failure> {
    let _turn = turn(cx, step).await?;
    call(cx, step, packages, leave).await
}

/// The turn to install: of two calls of apt-get one would fail by the other's locks, and two of ours install the same.
async fn turn(cx: &Context, step: &StepId) -> Result<Held, Failure> {
    let lock = Locks::of_this_user()?.named(LOCK);
    run::turn(cx, step, lock, format!("an installation of packages, process {}", std::process::id())).await
}

async fn call(cx: &Context, step: &StepId, packages: &[&str], leave: Leave) -> Result<(), Failure> {
    cx.progress(step, format!("installing {}", packages.join(", ")));
    apt::install(cx, step, packages, leave).await
}

/// What a person would type.
pub(super) fn command(packages: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Whether this machine has packages by these names, and its user leaves installing them to this tool.
///
/// # Errors
/// When the user's settings cannot be read.
pub(super) fn may_install() -> Result<bool, Failure> {
    Ok(is_debian_here() && Machine::read()?.tools.install)
}

/// Whether this machine has packages by these names.
pub(super) fn is_debian_here() -> bool {
    is_debian(&release_file())
}

/// Whether browsers come as snaps here, which see neither a test's folder nor its profile, and not as packages.
pub(super) fn has_only_snaps_of_browsers() -> bool {
    is_ubuntu(&release_file())
}

/// Whether docker's client is a package of its own here, as it is after Debian 12.
pub(super) fn client_is_apart() -> bool {
    is_after_12(&release_file())
}

/// A program of the system's; those for root need not be on everybody's `PATH`.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let usual = FOR_ROOT.map(|folder| Path::new(folder).join(program));
    process::resolve(OsStr::new(program), None).or_else(|| usual.into_iter().find(|path| path.is_file()))
}

/// The `PATH` of children that call programs for root by their names, as apt-get and dockerd do.
pub(super) fn path() -> OsString {
    with_programs_for_root(&env::var_os("PATH").unwrap_or_default())
}

fn with_programs_for_root(path: &OsStr) -> OsString {
    let own: Vec<PathBuf> = env::split_paths(path).collect();
    let further = FOR_ROOT.map(PathBuf::from).into_iter().filter(|folder| !own.contains(folder));
    env::join_paths(own.iter().cloned().chain(further)).unwrap_or_else(|_| path.to_owned())
}

fn is_there(name: &str) -> bool {
    if name.starts_with('/') { Path::new(name).is_file() } else { find(name).is_some() }
}

fn release_file() -> String {
    fs::read_to_string("/etc/os-release").unwrap_or_default()
}

/// The value of a key in `/etc/os-release`.
fn release_value<'a>(text: &'a str, key: &str) -> &'a str {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    lines.find(|(name, _)| *name == key).map(|(_, value)| value.trim_matches('"')).unwrap_or_default()
}

fn is_debian(release: &str) -> bool {
    let families = [release_value(release, "ID"), release_value(release, "ID_LIKE")];
    families.iter().flat_map(|families| families.split(' ')).any(|family| matches!(family, "debian" | "ubuntu"))
}

fn is_ubuntu(release: &str) -> bool {
    release_value(release, "ID") == "ubuntu"
}

fn is_after_12(release: &str) -> bool {
    // Sid and testing have no number.
    release_value(release, "ID") == "debian" && release_value(release, "VERSION_ID").parse().unwrap_or(u32::MAX) > 12
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::{is_after_12, is_debian, is_there, is_ubuntu, with_programs_for_root};

    #[test]
    fn programs_for_root_are_found_by_children_behind_everything_else_and_once() {
        for (path, expected) in [
            ("/usr/local/bin:/usr/bin:/bin", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/usr/local/sbin:/sbin"),
            ("/usr/sbin:/usr/bin:/sbin", "/usr/sbin:/usr/bin:/sbin:/usr/local/sbin"),
        ] {
            assert_eq!(with_programs_for_root(OsStr::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn files_are_looked_for_where_they_lie_and_programs_on_path() {
        for (name, expected) in [("/etc/passwd", true), ("/etc/gone", false), ("sh", true), ("no-such-program", false)]
        {
            assert_eq!(is_there(name), expected, "{name}");
        }
    }

    #[test]
    fn debian_and_what_comes_from_it_is_known_by_its_release_file() {
        let rows = [
            ("ID=debian\nVERSION_ID=\"12\"\n", true, false, false),
            ("ID=debian\nVERSION_ID=\"13\"\n", true, true, false),
            ("ID=debian\nVERSION_CODENAME=sid\n", true, true, false),
            ("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n", true, false, true),
            // It packages its browsers itself.
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", true, false, false),
            ("ID=fedora\n", false, false, false),
            ("ID=rhel\nID_LIKE=\"fedora\"\n", false, false, false),
            ("", false, false, false),
        ];
        for (release, debian, apart, snaps) in rows {
            let found = (is_debian(release), is_after_12(release), is_ubuntu(release));
            assert_eq!(found, (debian, apart, snaps), "{release}");
        }
    }
}
