//! What cargo is told of the tool beyond its manifest. Whoever builds the tool has to tell it the same, or cargo would
//! build all of it anew each time.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Variables of the environment in which cargo builds the tool. Without the checks of its own that are for tests: they
/// have the standard library ask the kernel about each file that it closes, and make the program larger. And without what
/// debuggers read, which is a third of all that a build leaves on the disk.
const VARIABLES: &[(&str, &str)] = &[("CARGO_PROFILE_DEV_DEBUG", "0"), ("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false")];

/// What tells cargo where to keep what it makes on the way to a program.
const BUILD_FOLDER: &str = "CARGO_BUILD_BUILD_DIR";

/// What holds for the first build beside: nothing is kept for builds of changed sources. Most people make no such build,
/// and it would be as large as all else.
pub const FIRST: (&str, &str) = ("CARGO_INCREMENTAL", "0");

/// Variables of the environment in which cargo builds the tool into `target`, a folder of its own in cargo's. What is made
/// on the way is kept in cargo's: most of it is other people's code, which the tests need as it is. `own` is what
/// somebody has chosen for that, which then holds.
pub fn variables(target: &Path, own: Option<&OsStr>) -> Vec<(&'static str, OsString)> {
    let folder = own.or_else(|| Some(target.parent()?.as_os_str()));
    let folder = folder.map(|folder| (BUILD_FOLDER, folder.to_owned()));
    VARIABLES.iter().map(|(name, value)| (*name, OsString::from(value))).chain(folder).collect()
}

/// What somebody has chosen for what cargo makes on the way.
pub fn own_build_folder() -> Option<OsString> {
    std::env::var_os(BUILD_FOLDER)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::variables;

    #[test]
    fn what_is_made_on_the_way_is_shared_with_everything_else_that_cargo_builds() {
        let folder = |own: Option<&str>| {
            let variables = variables(Path::new("/here/target/tool"), own.map(OsStr::new));
            variables.into_iter().find(|(name, _)| *name == "CARGO_BUILD_BUILD_DIR").map(|(_, folder)| folder)
        };
        assert_eq!(folder(None).unwrap(), "/here/target");
        assert_eq!(folder(Some("/elsewhere")).unwrap(), "/elsewhere");
    }
}
