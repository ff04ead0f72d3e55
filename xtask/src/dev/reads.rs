//! What the steps of a graph file read, and where that lies: in one place, so that what is watched and what a change
//! concerns can never be two different things.
//!
//! It knows paths and where links among them lead, and nothing of what is in files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use engine::config::{GraphFile, Output, Reference, SecretSource, Template};
use engine::files::Alias;

use crate::steps::image::build_secrets;
use crate::world::git::Repository;

/// See the module. All paths are absolute.
#[derive(Debug, Clone)]
pub struct Reads {
    /// The workspace.
    pub root: PathBuf,
    /// What images are built from, by their steps' names.
    pub contexts: BTreeMap<String, Context>,
    /// Folders that are read with all that is in them: charts, a repository's branches.
    pub folders: BTreeSet<PathBuf>,
    /// Files.
    pub files: BTreeSet<PathBuf>,
    /// Patterns of files, relative to the workspace.
    pub patterns: Vec<String>,
    /// Patterns of the files that commands make, relative to the workspace: one that has gone is made again.
    pub made: Vec<String>,
}

/// What an image is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The folder of the context.
    pub folder: PathBuf,
    /// The Dockerfile, which may lie elsewhere.
    pub dockerfile: PathBuf,
}

impl Reads {
    /// Those of `file`.
    pub fn of(file: &GraphFile) -> Self {
        let root = &file.root;
        let images = file.images.iter();
        let context = |(name, image): (&String, &engine::config::Image)| {
            let context = Context { folder: root.join(&image.context), dockerfile: root.join(&image.dockerfile) };
            (name.clone(), context)
        };
        let releases = file.releases.values();
        let values = releases.clone().flat_map(|release| &release.values).map(|path| root.join(path));
        let secrets = file.secrets.values().flat_map(|secrets| [&secrets.from, &secrets.example]);
        let build_secrets = file.images.values().flat_map(|image| image.build_secrets.values());
        let build_secrets = build_secrets.filter_map(|source| match source {
            SecretSource::File { file } => Some(build_secrets::path(root, file)),
            SecretSource::Env { .. } | SecretSource::Secrets { .. } => None,
        });
        let mut reads = Self {
            root: root.clone(),
            contexts: images.map(context).collect(),
            folders: releases.map(|release| root.join(&release.chart)).collect(),
            files: values.chain(secrets.map(|path| root.join(path))).chain(build_secrets).collect(),
            patterns: file.manifests.values().flat_map(|manifests| manifests.files.clone()).collect(),
            made: Vec::new(),
        };
        for command in file.commands.values() {
            reads.patterns.extend(command.inputs.iter().cloned());
            reads.made.extend(command.outputs.iter().filter_map(|output| match output {
                Output::Files(pattern) => Some(pattern.clone()),
                Output::Image(_) => None,
            }));
        }
        if names_commit(file)
            && let Some(repository) = Repository::around(root)
        {
            reads.files.extend([repository.own().join("HEAD"), repository.common().join("packed-refs")]);
            reads.folders.insert(repository.common().join("refs"));
        }
        reads
    }

    /// Where those that are named lie, as far as they are links, or in folders that are reached through one.
    pub fn links(&self) -> BTreeSet<Alias> {
        let Ok(root) = self.root.canonicalize() else { return BTreeSet::new() };
        let of_context = |Context { folder, dockerfile }: &Context| {
            let beside = dockerfile.with_added_extension("dockerignore");
            [folder.clone(), folder.join(".dockerignore"), dockerfile.clone(), beside]
        };
        let named = self.contexts.values().flat_map(of_context);
        let named = named.chain(self.folders.iter().cloned()).chain(self.files.iter().cloned());
        let lies_elsewhere = |reached: PathBuf| {
            // One that leads nowhere can only change where it lies itself.
            let real = reached.canonicalize().ok()?;
            // In the workspace by the name that this has here, whichever links lead to that.
            let real = real.strip_prefix(&root).map(|below| self.root.join(below)).unwrap_or(real.clone());
            (real != reached).then_some(Alias { real, reached })
        };
        named.filter_map(lies_elsewhere).collect()
    }
}

/// Whether any step is told which commit is checked out.
fn names_commit(file: &GraphFile) -> bool {
    let images = file.images.values().flat_map(|image| image.build_args.values());
    let commands = file.commands.values().flat_map(|command| command.run.iter().chain(command.env.values()));
    let checks = file.checks.values().flat_map(|check| check.headers.values());
    let named = |template: &Template| template.references().any(|reference| *reference == Reference::GitCommit);
    // What is inserted for the others is thrown away.
    let others = |reference: &Reference| (*reference != Reference::GitCommit).then(String::new);
    let mut set = file.releases.values().flat_map(|release| release.set.values());
    images.chain(commands).chain(checks).any(named) || set.any(|value| value.expand(&others).is_err())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use engine::files::Alias;

    use super::{Context, Reads};

    /// What the steps of `file` read, in a repository.
    fn reads(root: &Path, file: &str) -> Reads {
        for folder in [".git", "a", "chart"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (path, text) in
            [("a/Dockerfile", "FROM x"), ("chart/Chart.yaml", "name: r"), ("values.yaml", "{}"), ("token", "")]
        {
            fs::write(root.join(path), text).unwrap();
        }
        fs::write(root.join("xtask.toml"), format!("project = \"p\"\n[cluster]\nprofile = \"p\"\n{file}")).unwrap();
        Reads::of(&engine::config::load(&root.join("xtask.toml")).unwrap())
    }

    #[test]
    fn what_is_named_is_also_read_where_links_lead() {
        let folder = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(folder.path()).unwrap();
        for path in ["main/context", "real/chart", "real/docker"] {
            fs::create_dir_all(base.join(path)).unwrap();
        }
        for path in ["main/local.yaml", "main/context/.dockerignore", "real/docker/Dockerfile", "real/plain.yaml"] {
            fs::write(base.join(path), "").unwrap();
        }
        // The workspace itself is reached through a link, which is no reason to watch all of it twice.
        symlink("real", base.join("w")).unwrap();
        symlink("../main/local.yaml", base.join("real/local.yaml")).unwrap();
        symlink("../main/context", base.join("real/context")).unwrap();
        symlink("docker", base.join("real/build")).unwrap();
        symlink("nowhere", base.join("real/dangling.yaml")).unwrap();
        let root = base.join("w");
        let context = Context { folder: root.join("context"), dockerfile: root.join("build/Dockerfile") };
        let reads = Reads {
            root: root.clone(),
            contexts: [("a".to_owned(), context)].into(),
            folders: [root.join("chart")].into(),
            files: ["local.yaml", "plain.yaml", "dangling.yaml"].map(|file| root.join(file)).into(),
            patterns: Vec::new(),
            made: Vec::new(),
        };
        let alias = |real: &str, reached: &str| Alias { real: base.join(real), reached: root.join(reached) };
        let expected = [
            alias("main/context", "context"),
            alias("main/context/.dockerignore", "context/.dockerignore"),
            alias("main/local.yaml", "local.yaml"),
            alias("w/docker/Dockerfile", "build/Dockerfile"),
        ];
        assert_eq!(reads.links(), BTreeSet::from(expected));
    }

    #[test]
    fn build_secrets_outputs_and_the_commit_are_read_by_those_who_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let check = |file: &str, files: &[&str], folders: &[&str]| {
            let reads = reads(&root, file);
            let found = |paths: &BTreeSet<_>| paths.iter().cloned().collect::<Vec<_>>();
            let expected = |paths: &[&str]| paths.iter().map(|path| root.join(path)).collect::<Vec<_>>();
            assert_eq!(found(&reads.files), expected(files), "{file}");
            assert_eq!(found(&reads.folders), expected(folders), "{file}");
            reads
        };
        check("[image.a]\ncontext = \"a\"\n", &[], &[]);
        check("[image.a]\ncontext = \"a\"\nbuild-secrets = { t = { file = \"token\" } }\n", &["token"], &[]);
        let git = [".git/HEAD", ".git/packed-refs"];
        check("[image.a]\ncontext = \"a\"\nbuild-args = { C = \"${git.commit}\" }\n", &git, &[".git/refs"]);
        let command = "[command.c]\nrun = [\"true\", \"${git.commit}\"]\noutputs = [\"out/*.json\"]\n";
        assert_eq!(check(command, &git, &[".git/refs"]).made, ["out/*.json"]);
        check(
            "[release.r]\nchart = \"chart\"\nnamespace = \"n\"\nset = { a = { b = [\"${git.commit}\"] } }\n",
            &git,
            &[".git/refs", "chart"],
        );
        check("[release.r]\nchart = \"chart\"\nnamespace = \"n\"\nset = { a = \"${project}\" }\n", &[], &["chart"]);
    }
}
