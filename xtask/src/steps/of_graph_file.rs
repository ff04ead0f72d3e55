//! The steps that a graph file declares: the one place that knows all kinds.

use engine::config::GraphFile;

use crate::run::Steps;

/// A step for each table of the file.
pub fn of_graph_file(_file: &GraphFile) -> Steps {
    Steps::new()
}
