//! A base image with a shell, made of this machine's own, so that `RUN` works without a registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::OnceCell;

use crate::fixture::{Folder, endpoint};

const NAME: &str = "xtask-buildkit-test/base:latest";

/// The image's name, once it is there.
pub async fn base() -> &'static str {
    static MADE: OnceCell<()> = OnceCell::const_new();
    MADE.get_or_init(make).await;
    NAME
}

async fn make() {
    let mut folder = Folder::new();
    for program in ["sh", "cat", "sleep"] {
        let found = ["/usr/bin", "/bin"].iter().map(|bin| Path::new(bin).join(program)).find(|path| path.exists());
        let found = found.unwrap_or_else(|| panic!("these tests need `{program}` in /usr/bin or /bin"));
        for library in libraries(&found) {
            let bytes = std::fs::read(&library).unwrap();
            folder.file_with_mode(&library.to_string_lossy()[1..], bytes, 0o755);
        }
        folder.file_with_mode(&format!("bin/{program}"), std::fs::read(found).unwrap(), 0o755);
    }
    folder.directory("tmp");
    let mut request = folder.request("FROM scratch\nCOPY . /\nENV PATH=/bin\n");
    request.tags.push(NAME.to_owned());
    buildkit::build(&endpoint(), request, |_| ()).await.expect("the base image builds");
}

/// The libraries that a program is linked with, its loader among them; none if it is static.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("these tests need `ldd`");
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(|word| PathBuf::from(word.trim_end_matches(':'))).filter(|path| path != program).collect()
}
