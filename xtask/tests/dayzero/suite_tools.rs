//! What the suites of tests run, on machines that lack it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::bench::find;
use crate::user::{User, is_debian};

/// Answers whatever it is asked.
const CURL: &str = "case \"$*\" in *http_code*) echo 200 ;; esac";

/// A uv that gets a Python where `$HOME/reached` is there.
const UV: &str = "case $1 in\n--version) echo 'uv 0.9.1' ;;\n\
     python) [ -e $HOME/reached ] || { echo 'error: no route to host' >&2; exit 2; }\n\
     folder=$UV_PYTHON_INSTALL_DIR/cpython-3.13.1-linux/bin; /bin/mkdir -p $folder\n\
     printf '#!/bin/sh\\n' >$folder/python3.13; /bin/chmod 755 $folder/python3.13 ;;\nesac";

#[test]
fn python_comes_into_the_tool_folder_and_where_uv_gets_none_from_debian() {
    if !is_debian() {
        return;
    }
    let user = User::same().sudoer();
    user.program("curl", CURL);
    user.program("uv", UV);
    let folder = user.path("home/.cache/xtask/dayzero/out/uv-python/cpython-3.13.1-linux/bin/python3.13");
    let ran = user.run(user.command(&["test", "backend"]).env("CI", "true"));
    assert!(ran.said.contains("uv got no Python, so it comes from Debian"), "{}", ran.said);
    assert!(ran.installed().iter().any(|call| call.contains(" mmdebstrap")), "its recipe's packages: {:?}", ran.called);
    assert!(!folder.exists());

    user.write("home/reached", "");
    let ran = user.run(user.command(&["test", "backend"]).env("CI", "true"));
    assert!(folder.exists(), "{}", ran.said);
    assert!(ran.called.contains(&"uv python install --no-bin 3.13".to_owned()), "{:?}", ran.called);
    assert!(!ran.installed().iter().any(|call| call.contains(" mmdebstrap")), "{:?}", ran.called);
    let users = ["home/.local/bin", "home/.local/share"].map(|path| user.path(path));
    assert!(users.iter().all(|path| !path.exists()), "nothing of it is on the user's own PATH");
    // It is found again.
    let ran = user.run(user.command(&["test", "backend"]).env("CI", "true"));
    assert!(!ran.called.iter().any(|call| call.starts_with("uv python")), "{:?}", ran.called);
}

#[test]
fn compose_is_found_where_docker_would_find_it_before_there_is_a_docker() {
    let user = User::new();
    let needs_it = |user: &User| {
        let ran = user.run(&mut user.command(&["test", "chart"]));
        let needed = ran.said.lines().find(|line| line.contains("the tests need")).unwrap_or_default().to_owned();
        assert!(needed.contains("helm"), "{}", ran.said);
        needed.contains("docker compose")
    };
    assert!(needs_it(&user));
    fs::create_dir_all(user.path("home/.docker/cli-plugins")).unwrap();
    user.write("home/.docker/cli-plugins/docker-compose", "#!/bin/sh\n[ $1 = version ]\n");
    fs::set_permissions(user.path("home/.docker/cli-plugins/docker-compose"), Permissions::from_mode(0o755)).unwrap();
    assert!(!needs_it(&user));
}

#[test]
fn curl_is_got_before_what_it_gets() {
    if !is_debian() {
        return;
    }
    let user = User::same().sudoer();
    let ran = user.run(user.command(&["test", "licences"]).env("CI", "true"));
    assert!(ran.installed().iter().any(|call| call.contains(" curl")), "{}", ran.said);
}

#[test]
fn a_toolchain_without_rustup_is_told_where_its_parts_come_from() {
    let user = User::same();
    // A cargo that the system's packages brought, without clippy.
    user.program("cargo", "exit 101");
    let ran = user.run(user.command(&["test", "lints"]).env("CI", "true"));
    assert_eq!(ran.code, Some(3), "{}", ran.said);
    assert!(ran.said.contains("error: the tests need clippy") && ran.said.contains("help: clippy: "), "{}", ran.said);
    assert!(ran.said.contains("https://rustup.rs"), "{}", ran.said);
}

#[test]
fn a_browser_that_is_no_package_keeps_nothing_else_from_being_installed() {
    let user = User::same();
    // A system of which no more is Ubuntu's than the file that says so.
    user.write("os-release", "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n");
    let is_one = "\"$0\" --bind \"$1\" /etc/os-release && shift && exec \"$@\"";
    let spaces: &[&str] = if crate::user::is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let here = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(find("unshare"));
        command.args(spaces).args(["--", "/bin/sh", "-c", is_one]).arg(find("mount")).arg(user.path("os-release"));
        command.arg(program).args(arguments);
        user.at_home(&mut command);
        command
    };
    if !here(&find("true"), &[]).output().unwrap().status.success() {
        println!("this kernel lets nobody have a file system of their own");
        return;
    }
    let ran = user.run(here(&user.path("xtask"), &["test", "system"]).env("CI", "true"));
    assert_eq!(ran.code, Some(3), "{}", ran.said);
    let installed = ran.installed();
    assert!(installed.iter().any(|call| call.contains(" strace")), "{installed:?}: {}", ran.said);
    assert!(!installed.iter().any(|call| call.contains("chromium")), "{installed:?}");
    assert!(ran.said.contains("it is not got here: Chromium: as a package, not as a snap"), "{}", ran.said);
    let errors: Vec<&str> = ran.said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(!errors.is_empty() && errors.iter().all(|line| !line.contains("Chromium")), "{}", ran.said);
}
