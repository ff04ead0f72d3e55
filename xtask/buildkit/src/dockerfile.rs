//! As much of a Dockerfile as it takes to say where in it something happened, and what it is built from.
//!
//! BuildKit parses the real thing and reports its errors; what this reader does not understand it passes over.

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The line that it starts on, from 1.
    pub line: usize,
    /// `FROM`, `RUN` and so on, in capitals.
    pub keyword: String,
    /// The rest, with continued lines joined and comments between them left out; without heredocs' bodies.
    pub arguments: String,
}

impl Instruction {
    /// The arguments in front that start with `--`, and all that follows them.
    pub fn flags(&self) -> (Vec<&str>, &str) {
        let mut flags = Vec::new();
        let mut rest = self.arguments.trim_start();
        while rest.starts_with("--") {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            flags.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
        (flags, rest)
    }
}

/// A stage: a `FROM` and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The name behind `AS`, in lower case.
    pub name: Option<String>,
    /// What it is built from, as written.
    pub base: String,
    /// Its instructions, `FROM` first.
    pub instructions: Vec<Instruction>,
}

/// A Dockerfile's stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// The instructions before the first `FROM`, which can only be `ARG`.
    pub arguments: Vec<Instruction>,
    /// The stages in order.
    pub stages: Vec<Stage>,
}

impl Dockerfile {
    /// Reads `text`.
    pub fn parse(text: &str) -> Self {
        let mut dockerfile = Self::default();
        for instruction in instructions(text) {
            if instruction.keyword == "FROM" {
                let mut words = instruction.flags().1.split_whitespace();
                let base = words.next().unwrap_or_default().to_owned();
                let name = words.next().filter(|word| word.eq_ignore_ascii_case("as")).and_then(|_| words.next());
                let name = name.map(str::to_lowercase);
                dockerfile.stages.push(Stage { name, base, instructions: vec![instruction] });
            } else if let Some(stage) = dockerfile.stages.last_mut() {
                stage.instructions.push(instruction);
            } else {
                dockerfile.arguments.push(instruction);
            }
        }
        dockerfile
    }

    /// The line, from 1, of the instruction that BuildKit calls `vertex`, `[builder 3/7] RUN make`;
    /// for the internal ones there is none.
    pub fn line_of(&self, vertex: &str) -> Option<usize> {
        let (place, command) = vertex.strip_prefix('[')?.split_once("] ")?;
        let (mut names, numbers) = place.rsplit_once(' ').unwrap_or(("", place));
        let (number, total) = numbers.split_once('/')?;
        let (number, total): (usize, usize) = (number.trim().parse().ok()?, total.trim().parse().ok()?);
        // With several platforms the name follows the platform: `[linux/arm64 builder 2/3]`.
        names = names.rsplit(' ').next().unwrap_or_default();
        let stage = self.stage(names)?;
        let (keyword, _) = command.split_once(' ').unwrap_or((command, ""));
        if keyword == "FROM" {
            return Some(stage.instructions[0].line);
        }
        let counted: Vec<&Instruction> = stage.instructions.iter().filter(|i| is_counted(i)).collect();
        // Whether `FROM` counts depends on the base (`scratch` and other stages do not): count from the end.
        let at = counted.len().checked_sub(total.checked_sub(number)? + 1)?;
        let counted = counted.get(at)?;
        (counted.keyword == keyword).then_some(counted.line)
    }

    /// The names of the stages that have one.
    pub fn stage_names(&self) -> Vec<String> {
        self.stages.iter().filter_map(|stage| stage.name.clone()).collect()
    }

    /// BuildKit's way of naming stages: by name, `stage-N` without one, nothing at all if there is just one.
    fn stage(&self, name: &str) -> Option<&Stage> {
        if name.is_empty() {
            return self.stages.last();
        }
        let named = self.stages.iter().find(|stage| stage.name.as_deref() == Some(&name.to_lowercase()));
        named.or_else(|| self.stages.get(name.strip_prefix("stage-")?.parse::<usize>().ok()?))
    }
}

/// Whether BuildKit makes a step of its own out of the instruction, and so counts it.
fn is_counted(instruction: &Instruction) -> bool {
    matches!(instruction.keyword.as_str(), "RUN" | "COPY" | "ADD" | "WORKDIR")
}

fn instructions(text: &str) -> Vec<Instruction> {
    let escape = escape_character(text);
    let mut instructions = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if is_blank_or_comment(line) {
            continue;
        }
        let mut joined = String::new();
        let mut line = line;
        loop {
            let continued = line.trim_end().strip_suffix(escape);
            joined.push_str(continued.unwrap_or(line));
            if continued.is_none() {
                break;
            }
            let Some((_, next)) = lines.find(|(_, line)| !is_blank_or_comment(line)) else { break };
            line = next;
        }
        let joined = joined.trim();
        let (keyword, arguments) = joined.split_once(char::is_whitespace).unwrap_or((joined, ""));
        let keyword = keyword.to_uppercase();
        if matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") {
            for (strip_tabs, end) in heredocs(arguments) {
                let ends = |line: &str| if strip_tabs { line.trim_start_matches('\t') == end } else { line == end };
                lines.find(|(_, line)| ends(line));
            }
        }
        instructions.push(Instruction { line: at + 1, keyword, arguments: arguments.trim().to_owned() });
    }
    instructions
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// The character that continues lines: `\`, unless a directive at the very top says otherwise.
fn escape_character(text: &str) -> char {
    let directives = text.lines().map_while(|line| line.trim().strip_prefix('#')?.split_once('='));
    let escape = directives.filter(|(name, _)| name.trim().eq_ignore_ascii_case("escape")).map(|(_, value)| value);
    escape.last().and_then(|value| value.trim().chars().next()).unwrap_or('\\')
}

/// The words that end the heredocs which `arguments` begins, and whether their lines' leading tabs do not count.
fn heredocs(arguments: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    let mut rest = arguments;
    while let Some((_, behind)) = rest.split_once("<<") {
        let (strip_tabs, word) = behind.strip_prefix('-').map_or((false, behind), |word| (true, word));
        rest = word;
        let word = word.trim_start_matches(['"', '\'']);
        let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
        if end > 0 {
            found.push((strip_tabs, word[..end].to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::Dockerfile;

    const TEXT: &str = r#"# a comment
ARG VERSION=12
FROM debian:${VERSION} AS Builder
WORKDIR /src
COPY . .
# between
RUN make \
    # inside
    all \

    && make test
ENV A=1
RUN <<EOF
FROM nothing
EOF
FROM scratch
COPY --from=builder /src/a /a
RUN ["/a"]
"#;

    #[test]
    fn vertices_are_found_by_stage_and_number() {
        let dockerfile = Dockerfile::parse(TEXT);
        let rows = [
            ("[builder 1/5] FROM docker.io/library/debian:12", Some(3)),
            ("[builder 2/5] WORKDIR /src", Some(4)),
            ("[builder 4/5] RUN make     all     && make test", Some(7)),
            ("[linux/arm64 builder 4/5] RUN make", Some(7)),
            ("[builder 5/5] RUN <<EOF", Some(13)),
            ("[stage-1 1/2] COPY --from=builder /src/a /a", Some(17)),
            ("[stage-1 2/2] RUN [\"/a\"]", Some(18)),
            ("[stage-1 2/2] COPY x", None),
            ("[internal] load build context", None),
            ("exporting to image", None),
        ];
        for (vertex, line) in rows {
            assert_eq!(dockerfile.line_of(vertex), line, "{vertex}");
        }
    }

    #[test]
    fn a_single_stage_has_no_name_in_vertices() {
        let dockerfile = Dockerfile::parse("FROM debian\nRUN a\nRUN b\n");
        assert_eq!(dockerfile.line_of("[3/3] RUN b"), Some(3));
        assert_eq!(dockerfile.line_of("[ 2/12] RUN a"), None);
    }

    #[test]
    fn instructions_keep_their_lines() {
        let text = "# escape=`\nfrom a\nrun x `\n y\nCOPY <<\"A\" <<-B /\nA\n\tB\nRUN z\\\nRUN w";
        let dockerfile = Dockerfile::parse(text);
        let read: Vec<_> = dockerfile.stages[0].instructions.iter().map(|i| (i.line, i.arguments.as_str())).collect();
        assert_eq!(read, [(2, "a"), (3, "x  y"), (5, "<<\"A\" <<-B /"), (8, "z\\"), (9, "w")]);
    }

    #[test]
    fn flags_are_told_from_arguments() {
        let dockerfile = Dockerfile::parse("FROM --platform=linux/arm64 debian AS x");
        assert_eq!(dockerfile.stages[0].base, "debian");
        assert_eq!(dockerfile.stages[0].name.as_deref(), Some("x"));
        assert_eq!(dockerfile.stages[0].instructions[0].flags().0, ["--platform=linux/arm64"]);
    }
}
