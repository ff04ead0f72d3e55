//! What happens to a machine's packages when something comes in between.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::user::{User, is_debian};

const TEST: [&str; 2] = ["test", "builds"];

#[test]
fn what_was_stopped_halfway_is_finished_before_anything_is_installed() {
    if !is_debian() {
        return;
    }
    let user = User::new().sudoer();
    let interrupted = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.";
    let apt_get = format!(
        "case \"$*\" in *' install '*) [ ! -e $HOME/halfway ] || {{ echo \"{interrupted}\" >&2; exit 100; }} ;; esac"
    );
    user.program("apt-get", &apt_get);
    user.program("dpkg", "/bin/rm $HOME/halfway");
    user.write("home/halfway", "");
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    let of = |program: &str| ran.called.iter().filter(|call| call.starts_with(program)).collect::<Vec<_>>();
    assert_eq!(of("dpkg "), ["dpkg --force-confdef --force-confold --configure -a"], "{}", ran.said);
    assert!(ran.said.contains("was stopped halfway: finishing it by"), "{}", ran.said);
    let [installed] = ran.installed()[..] else { panic!("{:?}", ran.called) };
    assert!(installed.contains(" --fix-broken --no-remove install ") && installed.ends_with(" openssl"), "{installed}");
    assert_eq!(of("apt-get ").last().map(|call| call.as_str()), Some(installed), "nothing comes after it");

    // Where nothing was stopped, nothing of anybody's is touched.
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    assert!(!ran.called.iter().any(|call| call.starts_with("dpkg ")), "{:?}", ran.called);
    assert!(ran.installed().iter().all(|call| !call.contains("--fix-broken")), "{:?}", ran.called);
}

#[test]
fn what_apt_get_calls_finds_programs_for_root_whatever_path_root_has() {
    if !is_debian() {
        return;
    }
    let user = User::new().sudoer();
    user.program("apt-get", "echo $PATH >>$HOME/paths");
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    let paths = fs::read_to_string(user.path("home/paths")).unwrap_or_else(|_| panic!("{}", ran.said));
    let expected = format!("{}:/usr/sbin:/usr/local/sbin:/sbin", user.path("bin").display());
    // Lists are got, then packages are fetched, then installed.
    assert_eq!(paths.lines().collect::<Vec<_>>(), [expected.as_str(); 3], "{}", ran.said);
}

/// An installation under way.
struct Installing {
    user: User,
    run: Child,
    /// Open as long as the installation goes on.
    goes_on: File,
    /// It waits for a line from here.
    gate: File,
}

impl Installing {
    fn begin(user: User) -> Self {
        for pipe in ["goes-on", "gate"] {
            let path = user.path(&format!("home/{pipe}"));
            assert!(Command::new("mkfifo").args(["--mode=666"]).arg(&path).status().unwrap().success());
        }
        user.program(
            "apt-get",
            "case \"$*\" in\n*--download-only) ;;\n*' install '*) [ ! -e $HOME/installed ] || exit 0; exec 9>$HOME/goes-on; echo unpacking; \
             read line <$HOME/gate; echo unpacked; : >$HOME/installed ;;\nesac",
        );
        // By it children are told when the program is killed.
        user.link("setpriv");
        // Open for both, so that nobody waits for the other to open it.
        let gate = File::options().read(true).write(true).open(user.path("home/gate")).unwrap();
        let mut command = user.command(&TEST);
        let run = command.env("CI", "true").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // Here it is waited for.
        let goes_on = File::open(user.path("home/goes-on")).unwrap();
        Self { user, run, goes_on, gate }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.run.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Lets it go on, and waits for its end; whether it came to the end of what it does.
    fn go_on(&mut self) -> bool {
        self.gate.write_all(b"go on\n").unwrap();
        self.goes_on.read_to_end(&mut Vec::new()).unwrap();
        self.user.path("home/installed").exists()
    }
}

#[test]
fn packages_are_not_left_half_installed_when_a_run_is_stopped() {
    if !is_debian() {
        return;
    }
    let mut installing = Installing::begin(User::new().sudoer());
    installing.signal(Signal::TERM);
    // It says so once it has heard the signal.
    let mut said = String::new();
    let mut stderr = installing.run.stderr.take().unwrap();
    let mut bytes = [0; 4096];
    while !said.contains("which must not be stopped halfway") {
        let read = stderr.read(&mut bytes).unwrap();
        assert!(read > 0, "it has ended without a word of it: {said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(installing.go_on(), "dpkg was stopped halfway: {said}");
    assert_eq!(installing.run.wait().unwrap().code(), Some(130));
}

#[test]
fn packages_are_not_left_half_installed_when_a_run_is_killed() {
    if !is_debian() {
        return;
    }
    let mut installing = Installing::begin(User::new().sudoer());
    installing.signal(Signal::KILL);
    installing.run.wait().unwrap();
    assert!(installing.go_on(), "dpkg was stopped halfway");
}

#[test]
fn a_run_that_installs_meanwhile_is_waited_for() {
    if !is_debian() {
        return;
    }
    // The locks of whoever runs this: those of nobody are removed by the tests beside it.
    let mut installing = Installing::begin(User::same().sudoer());
    let of_apt = |user: &User| user.called().iter().filter(|call| call.starts_with("apt-get ")).count();
    let before = of_apt(&installing.user);
    let mut other = installing.user.command(&TEST);
    let mut other = other.env("CI", "true").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut stderr = other.stderr.take().unwrap();
    let mut bytes = [0; 4096];
    while !said.contains("an installation of packages") {
        let read = stderr.read(&mut bytes).unwrap();
        assert!(read > 0, "it has not waited: {said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert_eq!(of_apt(&installing.user), before, "it has called apt-get meanwhile: {said}");
    assert!(installing.go_on());
    installing.run.wait().unwrap();
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    other.wait().unwrap();
    assert!(of_apt(&installing.user) > before, "its own turn has come");
}

#[test]
fn what_looks_for_newer_packages_by_itself_is_waited_for() {
    if !is_debian() {
        return;
    }
    let user = User::new().sudoer();
    let busy = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 411 (apt-get)";
    let update =
        format!("*' update '*) [ ! -e $HOME/busy ] || {{ /bin/rm $HOME/busy; echo '{busy}' >&2; exit 100; }} ;;");
    user.program("apt-get", &format!("case \"$*\" in {update} esac"));
    user.write("home/busy", "");
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    assert_eq!(ran.installed().len(), 1, "{}", ran.said);
    assert!(ran.said.contains("minutes for what else is at packages: Could not get lock"), "{}", ran.said);
}

#[test]
fn a_mirror_that_says_nothing_is_named_where_packages_are_missing_for_want_of_it_and_else_only_told() {
    if !is_debian() {
        return;
    }
    let user = User::new().sudoer();
    let update =
        "*' update '*) echo 'W: Failed to fetch http://deb.example/debian/dists/x/InRelease  Could not connect' >&2 ;;";
    user.program("apt-get", &format!("case \"$*\" in {update} esac"));
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    assert_eq!(ran.installed().len(), 1, "it is another host's package: {}", ran.said);
    assert!(ran.said.contains("deb.example did not give apt-get its lists of packages"), "{}", ran.said);

    let unknown = "*--download-only) echo 'E: Unable to locate package openssl' >&2; exit 100 ;;";
    user.program("apt-get", &format!("case \"$*\" in {update} {unknown} esac"));
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    assert_eq!((ran.code, ran.installed()), (Some(3), vec![]), "{}", ran.said);
    let error = ran.said.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert_eq!(error, "error: deb.example did not give apt-get what it asked for", "{}", ran.said);
}

#[test]
fn services_that_come_with_packages_are_told() {
    if !is_debian() {
        return;
    }
    let user = User::new().sudoer();
    let link =
        "Created symlink /etc/systemd/system/multi-user.target.wants/ssl.service → /lib/systemd/system/ssl.service.";
    user.program("apt-get", &format!("case \"$*\" in *--download-only) ;; *' install '*) echo '{link}' ;; esac"));
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    assert!(ran.said.contains("installed openssl"), "{}", ran.said);
    assert!(ran.said.contains("its package has enabled") && ran.said.contains("the service ssl"), "{}", ran.said);
    let fails = "case \"$*\" in *--download-only) ;; *' install '*) echo 'E: no room'; exit 100 ;; esac";
    user.program("apt-get", fails);
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    assert!(
        ran.code == Some(3) && ran.said.contains("E: no room") && ran.said.contains("put right first"),
        "{}",
        ran.said
    );
    assert!(!fs::exists(user.path("home/installed")).unwrap());
}
