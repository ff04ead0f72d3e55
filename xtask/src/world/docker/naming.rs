//! How images are called.

/// The label that names the project.
pub const LABEL_PROJECT: &str = "dev.xtask.project";

/// The label that names the step: `image:backend`.
pub const LABEL_STEP: &str = "dev.xtask.step";

/// How many digits of the ID are in a tag.
pub const DIGITS: usize = 12;

/// The first digits of an image's ID, without `sha256:`.
pub fn short(id: &str) -> &str {
    let digits = id.rsplit(':').next().unwrap_or(id);
    digits.get(..DIGITS).unwrap_or(digits)
}

/// The name of the image `id` in `repository`.
pub fn reference(repository: &str, id: &str) -> String {
    format!("{repository}:{}", short(id))
}

/// Whether `name` is what [`reference`] gives the image, in whatever repository.
pub(super) fn is_ours(name: &str, id: &str) -> bool {
    name.rsplit_once(':').is_some_and(|(_, tag)| tag == short(id))
}

/// A name in the short form in which a daemon lists it: without docker.io and library, with a tag.
pub fn familiar(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let (path, last) = name.rsplit_once('/').map_or(("", name), |(path, last)| (path, last));
    // With a digest the tag is for people only.
    let last = match last.split_once('@') {
        Some((name, digest)) => format!("{}@{digest}", name.split(':').next().unwrap_or(name)),
        None if last.contains(':') => last.to_owned(),
        None => format!("{last}:latest"),
    };
    if path.is_empty() { last } else { format!("{path}/{last}") }
}

#[cfg(test)]
mod tests {
    use super::{familiar, is_ours, reference};

    const ID: &str = "sha256:3f9c1a77b2d0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn a_name_holds_the_first_digits_of_the_id() {
        let name = reference("127.0.0.1:5000/todo/backend", ID);
        assert_eq!(name, "127.0.0.1:5000/todo/backend:3f9c1a77b2d0");
        assert!(is_ours(&name, ID));
        assert!(!is_ours("todo/backend:latest", ID));
    }

    #[test]
    fn names_in_a_dockerfile_read_as_the_daemon_lists_them() {
        let rows = [
            ("debian", "debian:latest"),
            ("debian:12", "debian:12"),
            ("docker.io/library/debian:12", "debian:12"),
            ("local/debian", "local/debian:latest"),
            ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
            ("debian:12@sha256:ab", "debian@sha256:ab"),
            ("r.example/a/b@sha256:ab", "r.example/a/b@sha256:ab"),
        ];
        for (written, listed) in rows {
            assert_eq!(familiar(written), listed);
        }
    }
}
