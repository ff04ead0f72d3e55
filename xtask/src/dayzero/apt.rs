//! apt-get and dpkg, called so that the end of this run is not theirs: a dpkg that was stopped halfway leaves a machine on
//! which no package can be installed until somebody repairs that.
//!
//! What only fetches may be ended at any moment. What installs is waited for when this run is stopped, and goes on by
//! itself when it is killed; whoever installs next waits for it by dpkg's own lock. What something else has stopped
//! halfway, a machine that was switched off, say, is finished first. Which packages these are, and whether they may be
//! installed, is not known here.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use engine::event::Level;
use engine::failure::{Class, Failure};
use engine::step::StepId;

use super::consent::Leave;
use super::packages;
use crate::context::Context;
use crate::world::backoff::Backoff;
use crate::world::process::{Command, Exit, Finished, Stream};

/// How long something else may be at packages just now, in seconds: many machines look for newer ones by themselves after
/// they have started. The option is for dpkg's locks; apt's own are waited for here.
const BUSY: u64 = 300;
const WAITS: [&str; 2] = ["-o", "DPkg::Lock::Timeout=300"];

/// Between attempts at a lock of apt's: at first, and at most.
const SOON: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(10);

/// How long a host may say nothing, in seconds, and how often it is asked again. apt's own patience is minutes.
const PATIENCE: [&str; 6] =
    ["-o", "Acquire::http::Timeout=15", "-o", "Acquire::https::Timeout=15", "-o", "Acquire::Retries=2"];

/// What is fetched is told in English, because what is missing is read from it. What installs keeps the user's language:
/// packages are set up for it.
const ENGLISH: &str = "LC_ALL=C";

/// The archives are as large as half of what is in them, and are not needed again.
const INSTALL: [&str; 6] =
    ["install", "--yes", "--quiet", "--no-install-recommends", "-o", "APT::Keep-Downloaded-Packages=false"];

/// What lies around half installed is made whole, too, if nothing has to be removed for it.
const MENDING: [&str; 2] = ["--fix-broken", "--no-remove"];

/// How dpkg finishes what was stopped; of configurations that somebody has edited, theirs stay.
const FINISH: [&str; 5] = ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"];

/// How many of the last lines an error shows.
const SHOWN: usize = 20;

/// Installs `packages`, and tells of them and of the services that came with them.
///
/// # Errors
/// When apt-get fails, with its last lines; or the run is cancelled, by then what was begun has ended.
pub(super) async fn install(cx: &Context, step: &StepId, packages: &[&str], leave: Leave) -> Result<(), Failure> {
    let updated = fetch(cx, step, leave, &["update", "--quiet"]).await?;
    let mut silent = silent(&said_by(&updated));
    if updated.exit == Exit::Code(0) && !silent.is_empty() {
        // apt goes on with what it knows, and so do we: the packages may come from another host than these.
        let text = format!("{} did not give apt-get its lists of packages", listed(&silent));
        cx.note(step, Level::Warning, text);
    }
    updated.success(Class::Environment).map_err(|failure| helped(missed(failure, &silent)))?;
    let mut words: Vec<&str> = INSTALL.iter().chain(packages).copied().collect();
    let mut fetched = fetch(cx, step, leave, &only_fetched(&words)).await?;
    if fetched.exit != Exit::Code(0) && is_stopped_halfway(&said_by(&fetched)) {
        let text = "an installation on this machine was stopped halfway: finishing it by `dpkg --configure -a`";
        cx.note(step, Level::Warning, text);
        // Where that fails for want of another package, apt-get knows which, and says what fails else.
        to_its_end(cx, step, &with_leave(leave, &FINISH)).await?;
        words = [&MENDING[..], &words].concat();
        fetched = fetch(cx, step, leave, &only_fetched(&words)).await?;
    }
    silent.extend(self::silent(&said_by(&fetched)));
    fetched.success(Class::Environment).map_err(|failure| helped(missed(failure, &silent)))?;
    let words = apt_get(leave, &words);
    let (status, said) = to_its_end(cx, step, &words).await?;
    if !status.success() {
        return Err(helped(failure(&words, status, &said)));
    }
    cx.note(step, Level::Info, format!("installed {}", packages.join(", ")));
    for service in services(&said) {
        let started = if Path::new("/run/systemd/system").is_dir() { " and started" } else { "" };
        cx.note(step, Level::Info, format!("its package has enabled{started} the service {service}"));
    }
    Ok(())
}

/// Nothing but the packages' archives is got: what installs them needs no network, and is the shorter of the two.
fn only_fetched<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &["--download-only"]].concat()
}

/// Calls apt-get for what may be ended at any moment, again as long as something else has a lock of apt's.
async fn fetch(cx: &Context, step: &StepId, leave: Leave, words: &[&str]) -> Result<Finished, Failure> {
    let words = with_leave(leave, &[&[ENGLISH, "apt-get"][..], &WAITS, &PATIENCE, words].concat());
    let until = Instant::now() + Duration::from_secs(BUSY);
    let (mut backoff, mut told) = (Backoff::between(SOON, SELDOM), false);
    loop {
        let finished = command(&words).run(&cx.cancel, |_, line| cx.progress(step, line)).await?;
        let said = said_by(&finished);
        let Some(complaint) = held(&said).filter(|_| finished.exit != Exit::Code(0) && Instant::now() < until) else {
            return Ok(finished);
        };
        if !told {
            told = true;
            let text = format!("waiting up to {} minutes for what else is at packages: {complaint}", BUSY / 60);
            cx.note(step, Level::Info, text);
        }
        tokio::select! {
            () = backoff.pause() => {}
            () = cx.cancel.cancelled() => return Err(Failure::interrupted()),
        }
    }
}

fn apt_get(leave: Leave, words: &[&str]) -> Vec<String> {
    with_leave(leave, &[&["apt-get"][..], &WAITS, &PATIENCE, words].concat())
}

/// `words` as the user who may, and so that nothing is asked.
fn with_leave(leave: Leave, words: &[&str]) -> Vec<String> {
    // By `env`, which sudo leaves alone: variables that it is called with it takes away.
    let words = leave.words().iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive"]).chain(words);
    words.map(|word| (*word).to_owned()).collect()
}

fn command(words: &[String]) -> Command {
    let mut words = words.iter().cloned();
    Command::new(words.next().unwrap_or_default()).args(words).env("PATH", packages::path())
}

/// Runs `words` to their end, whatever becomes of this run: in a group of their own that nobody signals, and with a file
/// for what they say, because whoever writes into a pipe ends with its reader.
async fn to_its_end(cx: &Context, step: &StepId, words: &[String]) -> Result<(ExitStatus, String), Failure> {
    let failed = |error: &io::Error| {
        Failure::environment(format!("could not run `{}`", command(words).line())).because(error.to_string())
    };
    let mut output = tempfile::tempfile().map_err(|error| failed(&error))?;
    let (out, err) =
        output.try_clone().and_then(|out| Ok((out, output.try_clone()?))).map_err(|error| failed(&error))?;
    let mut child = std::process::Command::new(words.first().map_or("", String::as_str));
    child
        .args(words.iter().skip(1))
        .env("PATH", packages::path())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0);
    let mut child = child.spawn().map_err(|error| failed(&error))?;
    let ended = tokio::task::spawn_blocking(move || child.wait());
    tokio::pin!(ended);
    let status = tokio::select! {
        status = &mut ended => status,
        () = cx.cancel.cancelled() => {
            cx.note(step, Level::Info, "waiting for dpkg, which must not be stopped halfway");
            ended.await
        }
    };
    let status = status.map_err(io::Error::other).flatten().map_err(|error| failed(&error))?;
    if cx.cancel.is_cancelled() {
        return Err(Failure::interrupted());
    }
    let mut said = Vec::new();
    output.rewind().and_then(|()| output.read_to_end(&mut said)).map_err(|error| failed(&error))?;
    Ok((status, String::from_utf8_lossy(&said).into_owned()))
}

fn said_by(finished: &Finished) -> String {
    [Stream::Out, Stream::Err].map(|stream| finished.text(stream)).concat()
}

/// What apt-get says of a lock that something else has.
fn held(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("E: ").filter(|line| line.starts_with("Could not get lock ")))
}

/// The hosts that have not given what apt-get asked them for.
fn silent(said: &str) -> BTreeSet<String> {
    let addresses = said.lines().filter_map(|line| line.split_once("Failed to fetch ")?.1.split_once("://"));
    // There may be somebody's name and password in front of it.
    let hosts = addresses.filter_map(|(_, rest)| rest.split(['/', ' ']).next()?.rsplit('@').next());
    hosts.filter(|host| !host.is_empty()).map(str::to_owned).collect()
}

fn listed(hosts: &BTreeSet<String>) -> String {
    hosts.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What apt-get says of packages that it does not know means little where the lists did not come.
fn missed(failure: Failure, silent: &BTreeSet<String>) -> Failure {
    if silent.is_empty() {
        return failure;
    }
    let hosts = listed(silent);
    let cause = failure.message.clone();
    Failure { message: format!("{hosts} did not give apt-get what it asked for"), ..failure }
        .because(cause)
        .help("see that this machine reaches it, or have apt's sources name a mirror that it does reach")
}

/// Whether apt-get says that something has to be finished first. It names the command in every language.
fn is_stopped_halfway(said: &str) -> bool {
    ["dpkg --configure -a", "--fix-broken"].iter().any(|command| said.contains(command))
}

fn failure(words: &[String], status: ExitStatus, said: &str) -> Failure {
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(SHOWN)..].iter().map(|line| (*line).to_owned());
    let failure = Failure::environment(format!("`{}` failed: {status}", command(words).line()));
    failure.excerpt("apt-get", last.collect())
}

fn helped(failure: Failure) -> Failure {
    failure.help("what apt-get says has to be put right first; then run the same command again")
}

/// Services that the system starts from now on, by what was said when their packages were set up.
fn services(said: &str) -> BTreeSet<&str> {
    // Newer systems put paths between quotes.
    let quotes = ['\'', '"', '\u{2018}', '\u{2019}'];
    let links = said.lines().filter_map(|line| line.trim().strip_prefix("Created symlink ")?.split(' ').next());
    links
        .filter_map(|link| link.trim_matches(quotes).rsplit_once('/'))
        .filter(|(folder, _)| folder.ends_with(".wants"))
        .filter_map(|(_, unit)| unit.strip_suffix(".service"))
        .collect()
}

#[cfg(test)]
mod tests {
    use engine::failure::Failure;

    use super::{held, is_stopped_halfway, missed, services, silent};

    #[test]
    fn hosts_that_give_nothing_are_read_from_what_apt_get_says() {
        let rows: [(&str, &[&str]); 4] = [
            (
                "W: Failed to fetch http://deb.example/debian/dists/trixie/InRelease  Could not connect to deb.example:80\n\
                 W: Failed to fetch https://me:hush@m.example:8443/dists/trixie/InRelease  Unable to connect\n\
                 W: Some index files failed to download. They have been ignored, or old ones used instead.",
                &["deb.example", "m.example:8443"],
            ),
            ("E: Failed to fetch http://deb.example/pool/j/jq.deb  404  Not Found [IP: 10.0.0.1 80]", &["deb.example"]),
            ("E: Failed to fetch file:/srv/debian/dists/trixie/InRelease  File not found", &[]),
            ("Hit:1 http://deb.example/debian trixie InRelease", &[]),
        ];
        for (said, expected) in rows {
            assert_eq!(silent(said).iter().map(String::as_str).collect::<Vec<_>>(), expected, "{said}");
        }
        let failure = Failure::environment("`apt-get install` exited with 100");
        assert_eq!(missed(failure.clone(), &silent("")), failure);
        let told = missed(failure, &silent(rows[1].0));
        assert_eq!(told.message, "deb.example did not give apt-get what it asked for");
        assert_eq!(told.causes, ["`apt-get install` exited with 100"]);
    }

    #[test]
    fn only_a_lock_that_something_else_has_is_waited_for() {
        let busy = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 411 (apt-get)";
        let rows = [
            (format!("Reading package lists...\n{busy}\nE: Unable to lock directory /var/lib/apt/lists/"), true),
            ("E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)".to_owned(), false),
            ("W: Failed to fetch http://deb.example/  Could not get lock ".to_owned(), false),
        ];
        for (said, expected) in rows {
            assert_eq!(held(&said).is_some(), expected, "{said}");
        }
    }

    #[test]
    fn what_has_to_be_finished_first_is_seen_in_what_apt_get_says() {
        let rows = [
            ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.", true),
            ("E: Unmet dependencies. Try 'apt --fix-broken install' with no packages.", true),
            ("E: Unable to locate package chromium", false),
            ("", false),
        ];
        for (said, expected) in rows {
            assert_eq!(is_stopped_halfway(said), expected, "{said}");
        }
    }

    #[test]
    fn services_that_packages_enable_are_found() {
        let said = "Setting up docker.io (20.10.24+dfsg1-1) ...\n\
            Created symlink /etc/systemd/system/multi-user.target.wants/docker.service → /lib/systemd/system/docker.service.\r\n\
            Created symlink '/etc/systemd/system/multi-user.target.wants/pgbouncer.service' → '/usr/lib/x.service'.\n\
            Created symlink /etc/systemd/system/sockets.target.wants/docker.socket → /lib/systemd/system/docker.socket.\n\
            Created symlink /etc/systemd/system/docker.service → /dev/null.\n";
        assert_eq!(services(said).into_iter().collect::<Vec<_>>(), ["docker", "pgbouncer"]);
    }
}
