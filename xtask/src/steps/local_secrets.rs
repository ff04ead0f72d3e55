//! The values of all secrets steps, for the steps that name single keys of them (`${secrets.todo.KEY}`).

use std::collections::BTreeMap;

use engine::config::GraphFile;
use engine::digest::Digest;
use engine::failure::Failure;
use secrecy::{ExposeSecret as _, SecretString};

use super::secrets::Origin;
use super::variables::SecretValues;
use crate::context::Context;
use crate::world::machine_key::MachineKey;

/// Reads values from the secrets steps' own files, each time it is asked.
pub struct LocalSecrets(BTreeMap<String, Origin>);

impl LocalSecrets {
    /// Those that the graph file declares.
    pub fn of(file: &GraphFile) -> Self {
        Self(file.secrets.iter().map(|(name, definition)| (name.clone(), Origin::of(definition))).collect())
    }
}

impl SecretValues for LocalSecrets {
    fn value(&self, cx: &Context, step: &str, key: &str) -> Result<(SecretString, Digest), Failure> {
        let values = self.0.get(step).map(|origin| origin.values(cx)).transpose()?.flatten().unwrap_or_default();
        let Some(value) = values.get(key) else {
            let failure = Failure::usage(format!("secrets:{step} has no value for {key}"));
            return Err(match self.0.get(step) {
                Some(origin) => failure.help(format!("write one into {}", origin.from.display())),
                None => failure,
            });
        };
        let digest = MachineKey::of_this_user()?.digest(key, value.expose_secret().as_bytes());
        Ok((value.clone(), digest))
    }
}
