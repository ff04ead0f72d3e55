//! What the launcher knows of the tool's builds: the tool itself asks it, too, when it follows its own sources.

pub mod freshness;
pub mod pulse;
pub mod settings;
