//! The file of a secrets step, made from its example where it is not there, with a value for every key that gets one by
//! itself: the one that the cluster has, or else one that is made up.
//!
//! What is written is made of the file as it is at that moment: nothing is waited for between reading and writing it, or
//! what a person saves meanwhile would be lost.

use std::fs;
use std::path::Path;

use engine::config::As;
use engine::event::Level;
use engine::failure::Failure;
use kube::Client;
use secrecy::SecretString;

use super::kept::{Data, Kept};
use super::local::{self, Local};
use super::{SecretsStep, generate};
use crate::context::Context;
use crate::world::git_ignore;

/// The file as it is, or as its example says.
struct Draft {
    local: Local,
    /// There is no file yet.
    is_new: bool,
}

impl SecretsStep {
    /// The file with a value for every key that gets one by itself, written.
    ///
    /// # Errors
    /// When a required key has no value, or values are lost that kept data was made with; when the file cannot be edited or
    /// written, or the cluster cannot be asked.
    pub(super) async fn complete(&self, cx: &Context, client: Option<&Client>) -> Result<Local, Failure> {
        let mut kept = None;
        loop {
            let draft = self.draft(cx)?;
            self.require(&draft.local)?;
            let lacks = self.definition.generate.keys().any(|key| draft.local.is_empty(key));
            match (kept, client) {
                (None, Some(client)) if lacks => kept = Some(Kept::look(cx, self, client).await?),
                (known, _) => return self.fill(cx, draft, &known.unwrap_or_default()),
            }
        }
    }

    /// Fails when a required key has no value; a file that is not there is made first, for the person to fill in.
    ///
    /// # Errors
    /// That one, or the file cannot be read or written.
    pub(super) fn expect_required(&self, cx: &Context) -> Result<(), Failure> {
        let Draft { local, is_new } = self.draft(cx)?;
        let lacking = self.require(&local);
        if is_new && lacking.is_err() {
            self.write(cx, &local, is_new)?;
        }
        lacking
    }

    fn draft(&self, cx: &Context) -> Result<Draft, Failure> {
        Ok(match self.read(cx)? {
            Some(local) => Draft { local, is_new: false },
            None => Draft { local: self.example(cx)?, is_new: true },
        })
    }

    fn example(&self, cx: &Context) -> Result<Local, Failure> {
        let path = cx.workspace.root().join(&self.definition.example);
        let text = fs::read_to_string(&path).map_err(|error| {
            let failure = Failure::io("read the example", &path, &error);
            failure.help(format!("without one, write {} yourself", self.origin.from.display()))
        })?;
        Local::parse(text, &self.definition.example, &self.origin.key)
    }

    /// The draft with all values, written. Waits for nothing.
    fn fill(&self, cx: &Context, draft: Draft, kept: &Kept) -> Result<Local, Failure> {
        let Draft { mut local, is_new } = draft;
        let locked_up = kept.locked_up();
        if !locked_up.is_empty() && self.definition.generate.keys().all(|key| local.is_empty(key)) {
            if is_new {
                self.write(cx, &local, is_new)?;
            }
            return Err(self.lost(&local, &locked_up, kept.has_data_of_others()));
        }
        let (mut write, mut made_up) = (is_new, Vec::new());
        for (key, generator) in &self.definition.generate {
            if !local.is_empty(key) {
                continue;
            }
            let value: SecretString = match kept.values.get(key) {
                Some((value, place)) => {
                    let text = format!("{key} is the one that the cluster's data was made with, in {place}");
                    cx.note(&self.id, Level::Info, text);
                    value.clone()
                }
                None => {
                    made_up.push(key.as_str());
                    generate::generate(*generator)?
                }
            };
            cx.redactor.learn(&value);
            local = local.with(key, &value, &self.origin.from)?;
            write = true;
        }
        if !made_up.is_empty() {
            self.warn_of_kept_data(cx, kept, &made_up);
        }
        if write {
            self.write(cx, &local, is_new)?;
        } else if local::make_private(&self.path(cx))? {
            let text = format!("took the rights of others to {} away", self.origin.from.display());
            cx.note(&self.id, Level::Warning, text);
        }
        Ok(local)
    }

    fn write(&self, cx: &Context, local: &Local, is_new: bool) -> Result<(), Failure> {
        let path = self.path(cx);
        if is_new {
            cx.note(&self.id, Level::Info, format!("made {} from its example", self.origin.from.display()));
        }
        self.warn_of_git(cx, &path);
        local.write(&path)
    }

    /// The error for values that are lost, in the file and in the cluster, while data that was made with them is there;
    /// `beside_others`: a teardown would remove more than that.
    fn lost(&self, local: &Local, locked_up: &[&Data], beside_others: bool) -> Failure {
        let from = self.origin.from.display();
        let keys: Vec<&str> = self.definition.generate.keys().map(String::as_str).collect();
        let failure = Failure::usage(format!("{} has lost the values that kept data was made with", self.id));
        let failure = locked_up.iter().fold(failure, |failure, data| {
            failure.because(format!(
                "namespace {} has data from before, in {}",
                data.namespace,
                data.names_of_users(", ")
            ))
        });
        let places = keys.iter().map(|key| self.place_of_empty(local, key));
        let failure =
            places.fold(failure, |failure, place| failure.because(format!("{place}, and the cluster has none"))).help(
                format!("write the old ones into {from}: another checkout of this project or a backup may have them"),
            );
        let failure = match (self.definition.r#as, locked_up.first()) {
            (As::Values, Some(Data { namespace, .. })) => failure.help(format!(
                "or a Secret that the chart has made of them: kubectl --namespace {namespace} get secrets"
            )),
            _ => failure,
        };
        let removal = |failure: Failure, command: String| {
            failure.help(format!("if the data is not needed any more, have it removed: {command}"))
        };
        let failure = if beside_others {
            locked_up.iter().fold(failure, |failure, data| {
                let (namespace, claims) = (&data.namespace, data.names_of_users(" "));
                removal(failure, format!("kubectl --namespace {namespace} delete persistentvolumeclaims {claims}"))
            })
        } else {
            removal(failure, "cargo xtask teardown --data".to_owned())
        };
        failure.help(format!("if it does not depend on {}, write any value", keys.join(" and ")))
    }

    /// Values that may have been lost, in the file and in the cluster, while data that they may belong to was kept.
    fn warn_of_kept_data(&self, cx: &Context, kept: &Kept, made_up: &[&str]) {
        for Data { namespace, claims, .. } in &kept.data {
            let text = format!(
                "made up {} anew, but namespace {namespace} has data from before, in {}, which may open only with the \
                 old; who still has that writes it into {} and deploys again",
                made_up.join(", "),
                claims.join(", "),
                self.origin.from.display()
            );
            cx.note(&self.id, Level::Warning, text);
        }
    }

    fn warn_of_git(&self, cx: &Context, path: &Path) {
        if git_ignore::is_exposed(path) {
            let from = self.origin.from.display();
            let text = format!("git does not ignore {from}, which holds secrets: add the line /{from} to .gitignore");
            cx.note(&self.id, Level::Warning, text);
        }
    }
}
