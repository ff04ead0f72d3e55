//! Packages of Debian's and Ubuntu's, installed with leave, and told.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use engine::event::Level;
use engine::failure::{Class, Failure};
use engine::step::StepId;

use super::consent::{self, By, Leave};
use crate::context::Context;
use crate::world::machine::Machine;
use crate::world::process;

/// A program, or a file by its whole path, and the package that has it.
pub(super) type Need = (&'static str, &'static str);

/// What puts a tree of Debian packages together.
pub(super) const MMDEBSTRAP: Need = ("mmdebstrap", "mmdebstrap");

/// By what Debian's archive is believed where the system is none of Debian's.
pub(super) const DEBIANS_KEYS: Need = ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring");

/// docker's client, where it is a package of its own.
pub(super) const DOCKER_CLIENT: Need = ("docker", "docker-cli");

/// What gets Go where its project's releases are not reached.
pub(super) const PIP: [Need; 2] = [("python3", "python3"), ("pip3", "python3-pip")];

/// Sees to it that the programs are there.
///
/// # Errors
/// When they are not and cannot or may not be installed, with the commands that a person would type.
pub(super) async fn ensure(cx: &Context, step: &StepId, needs: &[Need]) -> Result<(), Failure> {
    let missing: Vec<&Need> = needs.iter().filter(|(name, _)| !is_there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !may_install()? {
        let (program, package) = missing[0];
        return Err(Failure::environment(format!("there is no {program}"))
            .help(format!("install it; on Debian and Ubuntu it is in the package {package}")));
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    let what = format!("install {} on this machine", packages.join(", "));
    let leave = consent::obtain(cx, &what, &[command(&packages)], By::Sudo).await?;
    install(cx, step, &packages, leave).await
}

/// Installs packages; leave has been given.
///
/// # Errors
/// When apt-get fails, with its last lines.
pub(super) async fn install(cx: &Context, step: &StepId, packages: &[&str], leave: Leave) -> Result<(), Failure> {
    cx.progress(step, format!("installing {}", packages.join(", ")));
    apt(cx, step, leave, &["update", "--quiet"]).await?;
    // The archives are as large as half of what is in them, and are not needed again.
    let mut words =
        vec!["install", "--yes", "--quiet", "--no-install-recommends", "-o", "APT::Keep-Downloaded-Packages=false"];
    words.extend(packages);
    apt(cx, step, leave, &words).await?;
    cx.note(step, Level::Info, format!("installed {}", packages.join(", ")));
    Ok(())
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

/// Whether docker's client is a package of its own here, as it is after Debian 12.
pub(super) fn client_is_apart() -> bool {
    is_after_12(&release_file())
}

/// A program of the system's; those for root need not be on everybody's `PATH`.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(|folder| Path::new(folder).join(program));
    process::resolve(OsStr::new(program), None).or_else(|| usual.into_iter().find(|path| path.is_file()))
}

fn is_there(name: &str) -> bool {
    if name.starts_with('/') { Path::new(name).is_file() } else { find(name).is_some() }
}

async fn apt(cx: &Context, step: &StepId, leave: Leave, words: &[&str]) -> Result<(), Failure> {
    // By `env`, which sudo leaves alone: variables that it is called with it takes away.
    let command = leave
        .command("env")
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        // Something else may be installing just now, as many machines do by themselves after they have started.
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(words.iter().copied());
    let finished = command.run(&cx.cancel, |_, line| cx.progress(step, line)).await?;
    finished
        .success(Class::Environment)
        .map(drop)
        .map_err(|failure| failure.help("what apt-get says has to be put right first; then run the same command again"))
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

fn is_after_12(release: &str) -> bool {
    // Sid and testing have no number.
    release_value(release, "ID") == "debian" && release_value(release, "VERSION_ID").parse().unwrap_or(u32::MAX) > 12
}

#[cfg(test)]
mod tests {
    use super::{is_after_12, is_debian, is_there};

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
            ("ID=debian\nVERSION_ID=\"12\"\n", true, false),
            ("ID=debian\nVERSION_ID=\"13\"\n", true, true),
            ("ID=debian\nVERSION_CODENAME=sid\n", true, true),
            ("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n", true, false),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", true, false),
            ("ID=fedora\n", false, false),
            ("ID=rhel\nID_LIKE=\"fedora\"\n", false, false),
            ("", false, false),
        ];
        for (release, debian, apart) in rows {
            assert_eq!((is_debian(release), is_after_12(release)), (debian, apart), "{release}");
        }
    }
}
