//! One loop at a time follows the pods of a release: two would each send their own files into them.
//!
//! Loops of one user on one machine exclude each other by locks, from the first moment and whatever the cluster does; all
//! others by [`super::claims`].

use engine::config::{GraphFile, Release};
use engine::failure::Failure;
use engine::lock::{Held, Locks};

/// Takes the releases of `file` whose pods are synced, for as long as what is returned lives.
///
/// # Errors
/// When another loop of this user has one of them.
pub fn alone(file: &GraphFile, locks: &Locks) -> Result<Vec<Held>, Failure> {
    let context = file.cluster.as_ref().map_or("", |cluster| cluster.kube_context());
    let holder = format!("the loop in {}, process {},", file.root.display(), std::process::id());
    let take = |lock: engine::lock::Lock, name: &str| {
        let held = lock.try_acquire(&holder)?;
        held.ok_or_else(|| taken(&lock.holder().unwrap_or_else(|| "another loop".to_owned()), name))
    };
    synced(file)
        .map(|release| {
            let lock = locks.named(&format!("dev {context} {} {}", release.namespace, release.name));
            take(lock, &release.name)
        })
        .collect()
}

/// The releases whose pods are synced.
pub fn synced(file: &GraphFile) -> impl Iterator<Item = &Release> {
    let is_synced = |image: &str| file.dev.contains_key(image);
    file.releases.values().filter(move |release| release.images.values().any(|used| is_synced(&used.image)))
}

/// What is said where `other` has `release`.
pub fn taken(other: &str, release: &str) -> Failure {
    Failure::step(format!("{other} keeps the pods of {release} as its files are"))
        .because("files of two checkouts would be mixed in them")
        .help("end that loop, or develop beside it: cargo xtask dev --isolate NAME")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use engine::lock::Locks;

    use super::alone;

    const FILE: &str = "project = \"p\"\n[cluster]\nprofile = \"p\"\n[image.a]\ncontext = \"a\"\n[dev.a]\ntarget = \"dev\"\n\
        runtime = \"python\"\nsync = { app = \"/app\" }\ncommand = [\"python\"]\n\
        [release.r]\nchart = \"chart\"\nnamespace = \"n\"\nimages = { image = \"a\" }\n\
        [release.other]\nchart = \"chart\"\nnamespace = \"n\"\n";

    #[test]
    fn a_second_loop_is_told_who_has_the_pods_and_may_begin_when_that_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let checkout = |name: &str, text: &str| {
            let root = folder.path().join(name);
            fs::create_dir_all(root.join("a/app")).unwrap();
            fs::create_dir_all(root.join("chart")).unwrap();
            fs::write(root.join("a/Dockerfile"), "FROM x").unwrap();
            fs::write(root.join("chart/Chart.yaml"), "name: r").unwrap();
            fs::write(root.join("xtask.toml"), text).unwrap();
            engine::config::load(&root.join("xtask.toml")).unwrap()
        };
        let locks = Locks::in_folder(folder.path().join("locks")).unwrap();
        let (one, two) = (checkout("one", FILE), checkout("two", FILE));
        let elsewhere = checkout("elsewhere", &FILE.replace("\"n\"", "\"m\""));
        let held = alone(&one, &locks).unwrap();
        assert_eq!(held.len(), 1, "nobody sends files into the other release");
        let refused = alone(&two, &locks).unwrap_err();
        let root = one.root.display();
        let expected =
            format!("the loop in {root}, process {}, keeps the pods of r as its files are", std::process::id());
        assert_eq!(refused.message, expected);
        assert_eq!(alone(&elsewhere, &locks).unwrap().len(), 1);
        drop(held);
        assert_eq!(alone(&two, &locks).unwrap().len(), 1);
    }
}
