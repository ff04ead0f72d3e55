//! What cargo is told of the tool beyond its manifest. Whoever builds the tool has to tell it the same, or cargo would
//! build all of it anew each time.

/// Variables of the environment in which cargo builds the tool. Without the checks of its own that are for tests: they
/// have the standard library ask the kernel about each file that it closes, and make the program larger. And without what
/// debuggers read, which is a third of all that a build leaves on the disk.
pub const VARIABLES: &[(&str, &str)] =
    &[("CARGO_PROFILE_DEV_DEBUG", "0"), ("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false")];

/// What holds for the first build beside: nothing is kept for builds of changed sources. Most people make no such build,
/// and it would be as large as all else.
pub const FIRST: &[(&str, &str)] = &[("CARGO_INCREMENTAL", "0")];
