//! Day zero's recipes as they are, and the whole program that has them carried out, with real servers on loopback in
//! place of the hosts that they know, and with stand-ins for package managers and the container engine: nothing is
//! fetched from anywhere else, and nothing of this machine is changed.

#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as it has to be"
)]

mod apt;
mod bases;
mod bench;
mod docker;
mod doctor;
mod graph;
mod leave;
mod machine;
mod server;
mod settings;
mod suite_tools;
mod user;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Child;

use bench::{Bench, look_for};
use rustix::process::{Pid, Signal, kill_process_group};

/// Where helm's release is asked for.
const HELM: &str = "get.helm.sh";

#[test]
fn what_is_not_what_was_pinned_leaves_nothing() {
    let bench = Bench::new();
    bench.server.serve(HELM, b"something else");
    let ran = bench.run("tools/helm");
    assert!(ran.stderr.contains("is not what was released: its SHA-256 is another one"), "{}", ran.stderr);
    assert_eq!((ran.success, bench.made(), bench.begun()), (false, vec![], vec![]));

    // The same of what comes out of npm's registry.
    bench.program("npm", "case $1 in pack) echo other >pnpm.tgz ;; config) echo http://npm.invalid/ ;; esac");
    bench.program("node", "");
    bench.server.serve("npm.invalid", b"");
    let ran = bench.run("tools/pnpm");
    assert!(ran.stderr.contains("is not what was released: its SHA-512 is another one"), "{}", ran.stderr);
    assert_eq!((ran.success, bench.made(), bench.begun()), (false, vec![], vec![]));
}

#[test]
fn two_recipes_at_once_leave_one_whole_tool() {
    let bench = Bench::new();
    let helm = bench.archive("linux-ARCH/helm", "helm itself");
    bench.pin("tools/helm", "HELM_SHA256", &helm);
    bench.server.serve(HELM, &helm);
    let node = bench.archive("node/bin/node", "node itself");
    bench.pin("tools/lib", "NODEJS_SHA256", &node);
    bench.server.serve("nodejs.org", &node);
    let both = ["tools/helm", "tools/helm", "tools/nodejs", "tools/nodejs"].map(|recipe| bench.start(recipe));
    for child in both {
        let ran = bench::ended(child);
        assert!(ran.success, "{}", ran.stderr);
    }
    assert_eq!(bench.read(&["helm-", "/helm"]), "helm itself");
    assert_eq!(bench.read(&["nodejs-", "/bin/node"]), "node itself");
    assert_eq!((bench.made().len(), bench.begun()), (2, vec![]));
    assert_eq!(bench.server.asked("nodejs.org"), 1, "who came second found it there");
}

#[test]
fn a_recipe_that_is_killed_while_it_downloads_leaves_nothing_and_the_next_one_ends_well() {
    let bench = Bench::new();
    let helm = bench.archive("linux-ARCH/helm", &"helm itself ".repeat(10_000));
    bench.pin("tools/helm", "HELM_SHA256", &helm);
    bench.server.serve_half(HELM, &helm);
    let child = bench.start("tools/helm");
    bench.server.until_half_is_sent();
    kill(&child);
    assert!(!bench::ended(child).success);
    assert_eq!(bench.made(), Vec::<String>::new());

    bench.server.serve(HELM, &helm);
    let ran = bench.run("tools/helm");
    assert!(ran.success, "{}", ran.stderr);
    assert!(bench.read(&["helm-", "/helm"]).starts_with("helm itself"));
}

#[test]
fn a_host_that_does_not_answer_is_asked_once() {
    let bench = Bench::new();
    // Nothing is served, so every connection ends without an answer; there is neither npm nor Go nor Python.
    for _ in 0..2 {
        let ran = bench.run("tools/helm");
        assert!(!ran.success && ran.stderr.contains("error: "), "{}", ran.stderr);
    }
    assert_eq!((bench.server.asked(HELM), bench.server.asked("go.dev")), (1, 1));
    assert_eq!(bench.made(), Vec::<String>::new());
    // Neither does a registry cost more than one question, nor does its password go into a command line.
    bench.program("python3", "");
    bench.program(
        "pip3",
        "case $1 in config) echo https://me:hush@pypi.invalid/simple ;; *) echo pip was called >&2 ;; esac",
    );
    for _ in 0..2 {
        let ran = bench.run("tools/uv");
        assert!(!ran.success && !ran.stderr.contains("pip was called"), "{}", ran.stderr);
    }
    assert_eq!(bench.server.asked("pypi.invalid"), 1);
    assert!(!fs::read_to_string(bench.path("curls")).unwrap().contains("hush"));
}

#[test]
fn kubectl_is_compiled_where_neither_its_release_nor_npms_package_is_got() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("go/kubectl")).unwrap();
    let build = "while [ \"$1\" != -o ]; do shift; done; echo compiled >$2/kubectl";
    let says = "'env GOVERSION') echo go1.25.9 ;; 'env GOPROXY') echo /a/folder ;;";
    bench.program("go", &format!("case \"$*\" in {says} *) {build} ;; esac"));
    let ran = bench.run("tools/kubectl");
    assert!(ran.success, "{}", ran.stderr);
    assert_eq!(bench.read(&["kubectl-", "/kubectl"]), "compiled\n");
    assert_eq!(bench.server.asked("dl.k8s.io"), 1);

    // It is the same where a recipe of its own gets a Node.js for npm, which leaves nothing behind.
    let node = bench.archive("node/bin/node", "a node without npm");
    bench.pin("tools/lib", "NODEJS_SHA256", &node);
    bench.server.serve("nodejs.org", &node);
    bench.server.serve("registry.npmjs.org", b"");
    fs::remove_dir_all(bench.path("run")).unwrap();
    let ran = bench.run("tools/kubectl");
    assert!(ran.success, "{}", ran.stderr);
    let amd64 = cfg!(target_arch = "x86_64");
    assert_eq!((bench.server.fetched("nodejs.org"), bench.begun()), (usize::from(amd64), vec![]), "{}", ran.stderr);

    // Where it is released nothing is compiled.
    let bench = Bench::new();
    bench.pin("tools/kubectl", "KUBECTL_SHA256", b"released");
    bench.server.serve("dl.k8s.io", b"released");
    let ran = bench.run("tools/kubectl");
    assert!(ran.success, "{}", ran.stderr);
    assert_eq!(bench.read(&["kubectl-", "/kubectl"]), "released");
}

#[test]
fn the_real_npm_gets_a_package_as_it_is_called() {
    let Some((npm, node)) = look_for("npm").zip(look_for("node")) else {
        println!("there is no npm on PATH");
        return;
    };
    let bench = Bench::new();
    for (name, path) in [("npm", npm), ("node", node)] {
        symlink(path, bench.path("programs").join(name)).unwrap();
    }
    let server = &bench.server;
    let package = bench.archive("package/bin/pnpm.cjs", "pnpm itself");
    bench.pin_512("tools/pnpm", "PNPM_SHA512", &package);
    server.serve("tarballs", &package);
    let recipe = fs::read_to_string(bench.path("tools/pnpm")).unwrap();
    let version = recipe.lines().find_map(|line| line.strip_prefix("PNPM=")).unwrap();
    let tarball = format!("http://{}/tarballs/pnpm.tgz", server.address);
    let about = format!(r#"{{"name":"pnpm","version":"{version}","dist":{{"tarball":"{tarball}"}}}}"#);
    let about = format!(r#"{{"name":"pnpm","dist-tags":{{"latest":"{version}"}},"versions":{{"{version}":{about}}}}}"#);
    server.serve("registry", about.as_bytes());
    // What is asked first is whether anybody is there.
    server.serve("", b"");
    fs::create_dir_all(bench.path("home")).unwrap();
    fs::write(bench.path("home/.npmrc"), format!("registry=http://{}/registry/\n", server.address)).unwrap();
    let ran = bench.run("tools/pnpm");
    assert!(ran.success, "{}", ran.stderr);
    assert_eq!(bench.read(&["pnpm-", "/package/bin/pnpm.cjs"]), "pnpm itself");
}

#[test]
fn a_tool_that_is_made_again_is_whole_at_any_moment_that_anybody_could_see() {
    let bench = Bench::new();
    let make = |text: &str| {
        let package = bench.archive("package/bin/pnpm.cjs", text);
        fs::write(bench.path("package.tgz"), &package).unwrap();
        bench.pin_512("tools/pnpm", "PNPM_SHA512", &package);
        let pack =
            format!("case $1 in pack) cp {} . ;; config) echo /a/folder ;; esac", bench.path("package.tgz").display());
        bench.program("npm", &pack);
        bench.program("node", "");
        let ran = bench.run("tools/pnpm");
        assert!(ran.success, "{}", ran.stderr);
        assert_eq!(bench.read(&["pnpm-", "/bin/pnpm"]), text);
    };
    make("the first");
    make("the second");
    assert_eq!((bench.made().len(), bench.begun()), (1, vec![]), "nothing is left of the first");
}

#[test]
fn a_base_image_that_is_there_stays_as_it_is() {
    let bench = Bench::new();
    let log = bench.path("dockers");
    bench.program("docker", &format!("echo \"$1 $2\" >>{}", log.display()));
    for base in ["debian-trixie-slim", "python-3.13-slim", "node-22-slim", "postgres-17"] {
        let ran = bench.run(&format!("bases/assemble {base}"));
        assert!(ran.success, "{}", ran.stderr);
    }
    let called = fs::read_to_string(&log).unwrap();
    let looked = called.lines().all(|line| line == "version --format" || line == "image inspect");
    assert!(looked && called.lines().count() == 8, "{called}");
}

#[test]
fn roots_of_the_hosts_own_are_found_where_people_put_them() {
    let bench = Bench::new();
    let rows: [(&[&str], Option<&str>); 6] = [
        (&["etc/ssl/certs/ca-certificates.crt"], None),
        (&["etc/ssl/certs/ca-certificates.crt", "usr/local/share/ca-certificates/README"], None),
        (
            &["etc/ssl/certs/ca-certificates.crt", "usr/local/share/ca-certificates/company/root.crt"],
            Some("etc/ssl/certs/ca-certificates.crt"),
        ),
        (&["usr/local/share/ca-certificates/root.crt"], None),
        (
            &["etc/pki/ca-trust/source/anchors/root.pem", "etc/pki/tls/certs/ca-bundle.crt"],
            Some("etc/pki/tls/certs/ca-bundle.crt"),
        ),
        (&[], None),
    ];
    for (number, (files, expected)) in rows.into_iter().enumerate() {
        let system = bench.path(&format!("system-{number}"));
        for file in files {
            let path = system.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = bench.run(&format!("bases/roots {}", system.display())).stdout;
        let expected = expected.map(|path| format!("{}\n", system.join(path).display())).unwrap_or_default();
        assert_eq!(found, expected, "{files:?}");
    }
}

#[test]
fn debian_comes_from_where_this_machines_apt_gets_it_and_else_from_debian_with_its_own_keys() {
    let bench = Bench::new();
    let sources = |targets: &str| {
        bench.program("apt-get", &format!("printf '{targets}'"));
        bench.run("tools/shell debian_sources trixie").stdout
    };
    let mirror = "http://m.example/debian/ bookworm Debian\\nhttp://m.example/security/ bookworm-security Debian\\n";
    let expected = "deb http://m.example/debian/ trixie main\ndeb http://m.example/security/ trixie-security main\n";
    assert_eq!(sources(mirror), expected);
    let ubuntu = sources("http://archive.example/ubuntu noble Ubuntu\\n");
    assert_eq!(ubuntu.lines().count(), 3, "{ubuntu}");
    let keys = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian";
    assert!(ubuntu.lines().all(|line| line.starts_with(keys)), "{ubuntu}");
}

/// Kills a recipe outright, with all that it has started.
fn kill(child: &Child) {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process_group(group, Signal::KILL).unwrap();
}
