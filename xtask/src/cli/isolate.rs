//! `--isolate`: which deployment a command is about, the one that the graph file describes or one beside it.

use clap::Args;

/// See the module.
#[derive(Debug, Clone, Default, Args)]
pub struct Isolate {
    /// The deployment of this name beside the usual one, with namespaces of its own
    #[arg(long = "isolate", id = "isolate", value_name = "NAME")]
    pub name: Option<String>,
}

impl Isolate {
    /// Its name; `None` for the usual one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
