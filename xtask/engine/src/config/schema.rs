//! The JSON schema of the graph file, for editors: made from the very types that a file is read into.

use schemars::generate::SchemaSettings;

use super::file::GraphFile;

/// The schema as pretty JSON with a newline at the end. Draft 7, the newest that TOML editors understand.
pub fn json_schema() -> String {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<GraphFile>();
    format!("{:#}\n", schema.as_value())
}
