//! Who is asked before this machine is changed, and whose word is taken for it.

use crate::user::{User, is_debian, is_root};

/// Openssl is missing, so a package is.
const TEST: [&str; 2] = ["test", "builds"];

#[test]
fn packages_are_installed_by_a_sudo_that_asks_for_nothing_when_that_was_said() {
    if !is_debian() {
        return;
    }
    let user = User::new();
    user.program("sudo", "");
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    assert_eq!(ran.code, Some(3), "{}", ran.said);
    let patience = "-o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15 -o Acquire::Retries=2";
    let env = "sudo --non-interactive env DEBIAN_FRONTEND=noninteractive";
    let apt = |english: &str| format!("{env}{english} apt-get -o DPkg::Lock::Timeout=300 {patience}");
    let [asked, update, fetched, installed] = &ran.called[..] else { panic!("{:?}", ran.called) };
    assert_eq!(asked, "sudo --non-interactive true");
    assert_eq!(*update, format!("{} update --quiet", apt(" LC_ALL=C")));
    let install = installed.strip_prefix(&apt("")).unwrap();
    assert!(install.starts_with(" install --yes") && install.ends_with(" openssl"), "{installed}");
    assert_eq!(*fetched, format!("{}{install} --download-only", apt(" LC_ALL=C")));

    for nothing_said in [&[][..], &[("CI", "")], &[("CI", "false")]] {
        let ran = user.run(user.command(&TEST).envs(nothing_said.iter().copied()));
        assert_eq!(ran.code, Some(3), "{}", ran.said);
        assert!(
            ran.said.contains("--yes was not said") && ran.said.contains("help: sudo apt-get update"),
            "{}",
            ran.said
        );
        assert_eq!(ran.called.len(), 1, "nothing is done that nobody has allowed: {:?}", ran.called);
    }

    user.program("sudo", "exit 1");
    let ran = user.run(user.command(&TEST).env("CI", "true"));
    assert_eq!((ran.code, ran.called.len()), (Some(3), 1), "{}", ran.said);
    assert!(ran.said.contains("only root may, and this user is not root"), "{}", ran.said);
}

#[test]
fn root_at_a_terminal_is_asked_unless_something_was_said() {
    if !is_debian() || !is_root() {
        return;
    }
    let root = User::same();
    for nothing_said in [&[][..], &[("CI", "")], &[("CI", "false")]] {
        let ran = root.run(root.at_a_terminal(&TEST).envs(nothing_said.iter().copied()));
        assert!(ran.said.contains("Do it? [y/N]"), "{nothing_said:?}: {}", ran.said);
        assert_eq!((ran.code, ran.installed()), (Some(3), vec![]), "{nothing_said:?}: {}", ran.said);
    }
    let ran = root.run(root.at_a_terminal(&TEST).env("CI", "true"));
    assert!(!ran.said.contains("Do it?") && ran.installed().len() == 1, "{}", ran.said);
    // A script of somebody's who runs everything as root.
    let ran = root.run(&mut root.command(&TEST));
    assert!(!ran.said.contains("Do it?") && ran.installed().len() == 1, "{}", ran.said);
}

#[test]
fn a_pipeline_at_roots_terminal_asks_nothing_and_changes_nothing_unasked() {
    if !is_debian() || !is_root() {
        return;
    }
    let root = User::same();
    // Its standard input is no terminal, whatever the pipeline's is.
    let test = format!("[ci]\nrun = [[\"{}\", \"test\", \"builds\"]]\n", root.path("xtask").display());
    root.write("xtask.toml", &format!("project = \"nothing\"\n\n{test}"));
    let ran = root.run(&mut root.at_a_terminal(&["ci"]));
    assert!(ran.said.contains("--yes was not said") && !ran.said.contains("Do it?"), "{}", ran.said);
    assert_eq!(ran.installed(), Vec::<&str>::new(), "{}", ran.said);
    let said = [root.at_a_terminal(&["ci", "--yes"]), root.command(&["ci"])];
    for mut command in said {
        let ran = root.run(&mut command);
        assert_eq!(ran.installed().len(), 1, "{}", ran.said);
    }
}
