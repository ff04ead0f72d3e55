//! Which images a Dockerfile is built from: in `FROM`, in `COPY --from` and in `RUN --mount=from=`.

use std::collections::{BTreeMap, BTreeSet};

use crate::dockerfile::{Dockerfile, Instruction, Stage};

/// An image that a Dockerfile names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseImage {
    /// As written, with build arguments put in: `debian:12`, `registry.example/x@sha256:…`.
    pub name: String,
    /// The line, from 1, that names it first.
    pub line: usize,
}

impl Dockerfile {
    /// The images that building `target` (the last stage if none is given) takes, each once, by line. `build_args`
    /// override the defaults of the `ARG`s before the first `FROM`; `platform`, such as `linux/amd64`, is what the
    /// predefined arguments (`TARGETARCH` and its kin) stand for.
    pub fn base_images(
        &self,
        build_args: &BTreeMap<String, String>,
        target: Option<&str>,
        platform: &str,
    ) -> Vec<BaseImage> {
        let arguments = self.global_arguments(build_args, platform);
        let mut images: BTreeMap<String, usize> = BTreeMap::new();
        let mut reached = BTreeSet::new();
        let target = match target {
            Some(name) => self.stage_before(self.stages.len(), name),
            None => self.stages.len().checked_sub(1),
        };
        let mut pending: Vec<usize> = target.into_iter().collect();
        while let Some(at) = pending.pop() {
            if !reached.insert(at) {
                continue;
            }
            for (name, line) in sources(&self.stages[at]) {
                let name = expand(name, &arguments);
                match self.stage_before(at, &name) {
                    Some(stage) => pending.push(stage),
                    None if name == "scratch" || name.is_empty() => {}
                    None => {
                        let first = images.entry(name).or_insert(line);
                        *first = line.min(*first);
                    }
                }
            }
        }
        let mut images: Vec<BaseImage> = images.into_iter().map(|(name, line)| BaseImage { name, line }).collect();
        images.sort_by_key(|image| image.line);
        images
    }

    /// The line, from 1, that names the image which BuildKit calls `full`: `docker.io/library/debian:12`.
    pub(crate) fn line_naming(&self, full: &str, build_args: &BTreeMap<String, String>) -> Option<usize> {
        let arguments = self.global_arguments(build_args, "");
        let mut sources = self.stages.iter().flat_map(sources);
        sources.find(|(name, _)| is_name_of(full, &expand(name, &arguments))).map(|(_, line)| line)
    }

    fn global_arguments(&self, build_args: &BTreeMap<String, String>, platform: &str) -> BTreeMap<String, String> {
        let mut arguments = BTreeMap::new();
        let mut parts = platform.split('/');
        let (os, arch, variant) = (parts.next(), parts.next(), parts.next());
        for side in ["TARGET", "BUILD"] {
            arguments.insert(format!("{side}PLATFORM"), platform.to_owned());
            for (name, value) in [("OS", os), ("ARCH", arch), ("VARIANT", variant)] {
                arguments.insert(format!("{side}{name}"), value.unwrap_or_default().to_owned());
            }
        }
        for declared in self.arguments.iter().filter(|instruction| instruction.keyword == "ARG") {
            for word in declared.arguments.split_whitespace() {
                let (name, default) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
                let default = default.map(|value| expand(value.trim_matches(['"', '\'']), &arguments));
                if let Some(value) = build_args.get(name).cloned().or(default) {
                    arguments.insert(name.to_owned(), value);
                }
            }
        }
        arguments
    }

    /// A stage referred to by name or by number from the stage at `end`, which sees only those before it.
    fn stage_before(&self, end: usize, reference: &str) -> Option<usize> {
        let name = reference.to_lowercase();
        let named = self.stages[..end].iter().rposition(|stage| stage.name.as_deref() == Some(&name));
        named.or_else(|| reference.parse().ok().filter(|at| *at < end))
    }
}

/// What a stage takes from elsewhere, and on which line.
fn sources(stage: &Stage) -> Vec<(&str, usize)> {
    let mut sources = Vec::new();
    for instruction in &stage.instructions {
        match instruction.keyword.as_str() {
            "FROM" => sources.push((stage.base.as_str(), instruction.line)),
            "COPY" => sources.extend(flag_values(instruction, "--from=").map(|name| (name, instruction.line))),
            "RUN" => {
                let mounts = flag_values(instruction, "--mount=").flat_map(|mount| mount.split(','));
                sources
                    .extend(mounts.filter_map(|part| part.strip_prefix("from=")).map(|name| (name, instruction.line)));
            }
            _ => {}
        }
    }
    sources
}

fn flag_values<'a>(instruction: &'a Instruction, flag: &'a str) -> impl Iterator<Item = &'a str> {
    let (flags, _) = instruction.flags();
    flags.into_iter().filter_map(move |given| given.strip_prefix(flag)).map(|value| value.trim_matches(['"', '\'']))
}

/// Whether `full`, with registry and tag, is what `written` stands for.
fn is_name_of(full: &str, written: &str) -> bool {
    let with_tag = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or(name);
        if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
    };
    let (full, written) = (with_tag(full), with_tag(written));
    full == written || full == format!("docker.io/{written}") || full == format!("docker.io/library/{written}")
}

/// Puts arguments in for `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+instead}`; what is not set is empty.
fn expand(text: &str, arguments: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, modifier, after) = reference(behind);
        if name.is_empty() {
            expanded.push('$');
        }
        let value = arguments.get(name).map(String::as_str).filter(|value| !value.is_empty());
        match (value, modifier.split_at_checked(2)) {
            (None, Some((":-", default))) => expanded.push_str(&expand(default, arguments)),
            (Some(_), Some((":+", instead))) => expanded.push_str(&expand(instead, arguments)),
            (value, _) => expanded.push_str(value.unwrap_or_default()),
        }
        rest = after;
    }
    expanded + rest
}

/// Splits what follows a `$` into the argument's name, what stands behind it in braces, and the rest.
fn reference(text: &str) -> (&str, &str, &str) {
    let name_end = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(braced) = text.strip_prefix('{') else {
        let (name, after) = text.split_at(name_end(text));
        return (name, "", after);
    };
    let mut depth = 1;
    let end = braced.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    let (inside, after) = end.map_or((braced, ""), |end| (&braced[..end], &braced[end + 1..]));
    let (name, modifier) = inside.split_at(name_end(inside));
    (name, modifier, after)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::expand;
    use crate::dockerfile::Dockerfile;

    const TEXT: &str = "\
ARG V=12
ARG BASE=debian:$V
FROM ${BASE} AS build
COPY --from=tools:1 /a /a
RUN --mount=type=bind,from=files:2,target=/f true
FROM node:22 as unused
FROM base-${TARGETARCH} AS odd
FROM scratch
COPY --from=build /a /
COPY --from=0 /b /
COPY --from=debian:12 /c /
";

    #[test]
    fn only_what_the_target_takes_is_named() {
        let dockerfile = Dockerfile::parse(TEXT);
        let check = |args: &[(&str, &str)], target, expected: &[(&str, usize)]| {
            let args = args.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let images = dockerfile.base_images(&args, target, "linux/arm64");
            let images: Vec<_> = images.iter().map(|image| (image.name.as_str(), image.line)).collect();
            assert_eq!(images, expected);
        };
        check(&[], None, &[("debian:12", 3), ("tools:1", 4), ("files:2", 5)]);
        check(&[("V", "13")], None, &[("debian:13", 3), ("tools:1", 4), ("files:2", 5), ("debian:12", 11)]);
        check(&[("BASE", "x"), ("OTHER", "y")], Some("BUILD"), &[("x", 3), ("tools:1", 4), ("files:2", 5)]);
        check(&[], Some("unused"), &[("node:22", 6)]);
        check(&[], Some("odd"), &[("base-arm64", 7)]);
        check(&[], Some("nothing"), &[]);
    }

    #[test]
    fn images_are_found_by_their_full_names() {
        let dockerfile = Dockerfile::parse(TEXT);
        let rows = [
            ("docker.io/library/debian:12", Some(3)),
            ("docker.io/library/tools:1", Some(4)),
            ("docker.io/library/node:latest", None),
        ];
        for (full, line) in rows {
            assert_eq!(dockerfile.line_naming(full, &BTreeMap::new()), line, "{full}");
        }
    }

    #[test]
    fn arguments_are_put_in() {
        let arguments = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
        let rows = [
            ("x$A", "x1"),
            ("${A}y", "1y"),
            ("${B:-2}", "2"),
            ("${E:-2}", "2"),
            ("${A:-2}", "1"),
            ("${A:+3}", "3"),
            ("${B:+3}", ""),
            ("${B:-${A}}z", "1z"),
            ("$B.", "."),
            ("a$", "a$"),
        ];
        for (text, expected) in rows {
            assert_eq!(expand(text, &arguments), expected, "{text}");
        }
    }
}
