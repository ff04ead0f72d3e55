//! The mark of a profile that is being made. minikube cannot finish what another minikube has begun: it takes a control
//! plane that answers for a whole cluster, though its node may still be closed to pods and without a network.

use std::fs;
use std::io;
use std::path::PathBuf;

use engine::failure::Failure;

use super::home::Home;

/// The mark of one profile, a file beside the profile's folder.
#[derive(Debug)]
pub struct Making(PathBuf);

impl Making {
    /// The mark of the profile `name`.
    pub fn of(home: &Home, name: &str) -> Self {
        Self(home.path().join("profiles").join(format!("{name}.making")))
    }

    /// Whether somebody has begun to make the profile and not ended.
    pub fn was_cut_short(&self) -> bool {
        self.0.exists()
    }

    /// Sets the mark, before minikube is told to make anything.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&self) -> Result<(), Failure> {
        let write = || {
            self.0.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&self.0, "")
        };
        write().map_err(|error: io::Error| Failure::io("write", &self.0, &error))
    }

    /// Takes the mark away: the profile is whole, or gone.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn end(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::io("remove", &self.0, &error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Home, Making};

    #[test]
    fn the_mark_stays_until_the_profile_is_whole_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mark = || Making::of(&Home::in_folder(folder.path()), "todo");
        assert!(!mark().was_cut_short());
        mark().begin().unwrap();
        assert!(mark().was_cut_short());
        assert!(!Making::of(&Home::in_folder(folder.path()), "other").was_cut_short());
        mark().end().unwrap();
        mark().end().unwrap();
        assert!(!mark().was_cut_short());
    }
}
