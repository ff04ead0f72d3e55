//! The images whose containers follow their sources: whose they are, and what of their files has changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::config::GraphFile;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::trouble::Part;
use super::{Development, Place};
use crate::cli::problem::Problem;
use crate::cli::session::Project;
use crate::dev::aliases::Aliases;
use crate::dev::concern::Concern;
use crate::dev::link::Desired;
use crate::dev::pods;
use crate::dev::reads::Reads;
use crate::dev::sources::Sources;
use crate::dev::walked::Walked;
use crate::dev::wanted::Wanted;
use crate::report::failure;
use crate::workspace::Workspace;
use crate::world::{World, kube_client, pause};

/// Between attempts to reach a cluster that is not there.
const AGAIN: Duration = Duration::from_secs(2);

/// An image whose containers follow their sources.
pub(super) struct Image {
    pub(super) sources: Sources,
    pub(super) desired: watch::Sender<Desired>,
}

impl Image {
    /// Has pods that are made from now on hold `wanted`, whose folders would be without it although their image is built
    /// with it. Those that are there keep what they have up to the next change: their image may not go with it.
    fn want_later(&self, wanted: Wanted) {
        self.desired.send_if_modified(|desired| {
            desired.wanted = Arc::new(wanted);
            false
        });
    }
}

/// What is done where a look finds what the last one has found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Nothing.
    Compare,
    /// It is sent once more: what was found could not be read.
    Send,
}

impl Development {
    /// Reads the graph file and follows the images that it names. Returns those that it has built in another way than
    /// before.
    pub(super) async fn follow_images(&mut self, since: Instant) -> Result<BTreeSet<String>, Problem> {
        let project = Project::load(&self.global)?;
        let mut file = project.file.clone();
        if let Some(isolation) = self.isolation() {
            let workspace = Workspace::at(self.root.clone()).isolated(isolation);
            file.isolate(isolation, &workspace.local_ports())?;
        }
        self.tasks = JoinSet::new();
        self.images.clear();
        let gatherer = Arc::clone(&self.shared.gatherer);
        let context = file.cluster.as_ref().map_or("", |cluster| cluster.kube_context());
        let world = Arc::new(World::of_context(context));
        self.ports.follow(&file, &world, &self.screen).await;
        self.screen.set(Place::Ports, &self.ports.line());
        self.logs.follow(&file, &world).await;
        self.claims.follow(&file);
        self.concern = Some(Concern::of(&file, Arc::clone(&gatherer)).await?);
        for (name, dev) in &file.dev {
            let Some(image) = file.images.get(name) else { continue };
            let sources = Sources::new(name, image, dev, &self.root, Arc::clone(&gatherer))?;
            let (desired, wanted) = watch::channel(Desired::default());
            for (namespace, release) in releases(&file, name) {
                let (source, wanted, news) = (sources.source(), wanted.clone(), self.news.clone());
                let context = context.to_owned();
                self.tasks.spawn(async move {
                    loop {
                        // Before the first deploy there may be no cluster yet, and it may be made anew.
                        if let Ok(client) = kube_client::client(&context).await {
                            let (namespace, release, source) =
                                (namespace.clone(), release.clone(), Arc::clone(&source));
                            pods::keep(client, namespace, release, source, wanted.clone(), news.clone()).await;
                        }
                        pause(AGAIN).await;
                    }
                });
            }
            self.images.insert(name.clone(), Image { sources, desired });
        }
        let before = std::mem::replace(&mut self.project, project);
        self.walk_anew();
        self.trouble.begun_anew(&self.images.keys().map(String::as_str).collect());
        self.look_at(since, Again::Compare, |_| true).await;
        Ok(built_otherwise(&before.file, &self.project.file))
    }

    /// Has the folders watched that are read by the graph file and the ignore files as they are now.
    pub(super) fn walk_anew(&mut self) {
        self.aliases = self.aliases_now();
        // A file that was read has no pattern that is none.
        self.walked = Walked::of(Reads::of(&self.project.file), self.aliases.clone()).ok();
    }

    /// What is read through links, as they lead now: the graph file's own, and those that steps have followed.
    pub(super) fn aliases_now(&self) -> Aliases {
        let mut all = self.shared.gatherer.aliases();
        all.extend(Reads::of(&self.project.file).links());
        Aliases::new(all)
    }

    /// Looks at the images that are concerned, and has what has changed sent.
    pub(super) async fn look_at(&mut self, since: Instant, again: Again, concerned: impl Fn(&Sources) -> bool) {
        for (name, image) in &self.images {
            if !concerned(&image.sources) {
                continue;
            }
            let wanted = match image.sources.look().await {
                Ok(wanted) => wanted,
                Err(failed) => {
                    self.screen.line(&failure::render(&failed));
                    self.trouble.add(Part::Files(name.clone()), failed.message);
                    continue;
                }
            };
            self.trouble.mended(&Part::Files(name.clone()));
            let Desired { look: last, wanted: before, .. } = image.desired.borrow().clone();
            let changed = wanted.changed_since(&before);
            if changed.is_empty() && last > 0 {
                if again == Again::Send {
                    image.desired.send_modify(|_| {});
                }
                continue;
            }
            if last > 0 && again == Again::Compare && image.sources.rebuild(changed.iter()) {
                image.want_later(wanted);
                continue;
            }
            let look = self.looks.number();
            if last > 0 {
                self.looks.found(look, since, name, &changed);
            }
            image.desired.send_modify(|desired| {
                desired.look = look;
                desired.wanted = Arc::new(wanted);
            });
        }
    }
}

/// The releases that use an image: namespace and name.
fn releases(file: &GraphFile, image: &str) -> BTreeSet<(String, String)> {
    let uses = file.releases.values().filter(|release| release.images.values().any(|used| used.image == image));
    uses.map(|release| (release.namespace.clone(), release.name.clone())).collect()
}

/// The images that `now` says are built in another way than `before` did.
fn built_otherwise(before: &GraphFile, now: &GraphFile) -> BTreeSet<String> {
    let differs = |name: &&String| {
        before.images.get(*name) != now.images.get(*name) || before.dev.get(*name) != now.dev.get(*name)
    };
    before.images.keys().chain(now.images.keys()).filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use std::sync::Arc;

    use engine::config::GraphFile;
    use engine::files::dockerignore::Patterns;
    use engine::files::{Gatherer, Query, Rules};
    use tokio::sync::watch;

    use super::{Image, built_otherwise};
    use crate::dev::link::Desired;
    use crate::dev::sources::Sources;
    use crate::dev::wanted::{Folder, Wanted};

    const DEV: &str =
        "[dev.a]\ntarget = \"dev\"\nruntime = \"python\"\nsync = { app = \"/app\" }\ncommand = [\"python\"]\n";

    fn file(root: &Path, images: &str) -> GraphFile {
        fs::write(root.join("xtask.toml"), format!("[cluster]\nprofile = \"p\"\n{images}")).unwrap();
        engine::config::load(&root.join("xtask.toml")).unwrap()
    }

    #[test]
    fn what_the_next_image_is_built_with_is_sent_to_its_pods_and_not_to_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("c/app")).unwrap();
        fs::write(root.join("c/Dockerfile"), "FROM x AS dev").unwrap();
        fs::write(root.join("c/app/new.c"), "").unwrap();
        let file = file(&root, &format!("[image.a]\ncontext = \"c\"\n{DEV}"));
        let gatherer = Arc::new(Gatherer::new(root.join(".xtask")));
        let rules = Rules::Context { ignore: Patterns::default() };
        let query = Query { name: "c".to_owned(), root: root.join("c"), rules };
        let wanted = Wanted::of(&gatherer.gather(&query).unwrap().files, &[Folder { path: "app".to_owned() }]);
        let sources = Sources::new("a", &file.images["a"], &file.dev["a"], &root, gatherer).unwrap();
        let (desired, present) = watch::channel(Desired::default());
        let image = Image { sources, desired };
        image.want_later(wanted.clone());
        assert!(!present.has_changed().unwrap(), "nothing is sent");
        assert_eq!(*present.clone().borrow().wanted, wanted, "a link that begins now has it");
    }

    #[test]
    fn whatever_a_graph_file_says_of_an_image_builds_it_in_another_way() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("c/app")).unwrap();
        fs::write(root.join("c/Dockerfile"), "FROM x AS dev").unwrap();
        let a = "[image.a]\ncontext = \"c\"\n";
        let b = "[image.b]\ncontext = \"c\"\n";
        let with = |image: &str, line: &str| format!("{image}{line}\n");
        for (before, now, expected) in [
            (format!("{a}{b}"), format!("# edited\n{b}{a}"), [].as_slice()),
            (a.to_owned(), with(a, "target = \"dev\""), &["a"]),
            (with(a, "build-args = { X = \"1\" }"), with(a, "build-args = { X = \"2\" }") + b, &["a", "b"]),
            (format!("{a}{b}"), b.to_owned(), &["a"]),
            (format!("{a}{DEV}"), format!("{a}{}", DEV.replace("\"dev\"", "\"base\"")), &["a"]),
        ] {
            let (before, now) = (file(&root, &before), file(&root, &now));
            let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(built_otherwise(&before, &now), expected);
        }
    }
}
