//! `cargo xtask`: see `cli` for the commands.

fn main() -> std::process::ExitCode {
    xtask::cli::main()
}
