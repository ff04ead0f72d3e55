//! How an image reaches a chart: which values are set to which parts of its name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use toml::de::DeValue;

use super::mention::{Target, Why};
use super::release::ValuePath;
use super::table::Table;
use super::text::Form;
use super::value::Value;
use crate::step::Kind;

/// An image in a chart's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageUse {
    /// The image step, or a command's output `image:NAME`.
    pub image: String,
    /// The values that take it.
    pub paths: ImagePaths,
}

/// The values that take an image, as whole paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImagePaths {
    /// `repository` and `tag`, the common form.
    RepositoryTag {
        /// Takes `todo-chatbot/backend`.
        repository: ValuePath,
        /// Takes the tag.
        tag: ValuePath,
    },
    /// A registry, a name below it and a tag, which several images may share.
    RegistryNameTag {
        /// Takes `todo-chatbot`.
        registry: ValuePath,
        /// Takes `backend`.
        name: ValuePath,
        /// Takes the tag.
        tag: ValuePath,
    },
    /// One string with the whole reference.
    Reference {
        /// Takes `todo-chatbot/backend:3f9c1a77b2d0`.
        reference: ValuePath,
    },
}

/// The part of an image's name that a value takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Registry and name.
    Repository,
    /// What is before the last `/` of the repository.
    Registry,
    /// What is behind it.
    Name,
    /// The tag.
    Tag,
    /// All of it.
    Reference,
}

impl ImagePaths {
    /// Each value path with the part that it takes.
    pub fn parts(&self) -> Vec<(&ValuePath, Part)> {
        match self {
            Self::RepositoryTag { repository, tag } => vec![(repository, Part::Repository), (tag, Part::Tag)],
            Self::RegistryNameTag { registry, name, tag } => {
                vec![(registry, Part::Registry), (name, Part::Name), (tag, Part::Tag)]
            }
            Self::Reference { reference } => vec![(reference, Part::Reference)],
        }
    }
}

/// The forms that have a name of their own.
#[derive(Clone, Copy)]
enum Shorthand {
    RepositoryTag,
    RegistryNameTag,
    Reference,
}

const SHORTHANDS: [(&str, Shorthand); 3] = [
    ("repository+tag", Shorthand::RepositoryTag),
    ("registry+name+tag", Shorthand::RegistryNameTag),
    ("reference", Shorthand::Reference),
];

impl Shorthand {
    fn below(self, path: &ValuePath) -> ImagePaths {
        match self {
            Self::RepositoryTag => {
                ImagePaths::RepositoryTag { repository: path.below("repository"), tag: path.below("tag") }
            }
            Self::RegistryNameTag => ImagePaths::RegistryNameTag {
                registry: path.below("registry"),
                name: path.below("name"),
                tag: path.below("tag"),
            },
            Self::Reference => ImagePaths::Reference { reference: path.clone() },
        }
    }
}

impl ImageUse {
    /// Reads a release's `images`.
    pub(crate) fn read_all(value: Value<'_>) -> Option<BTreeMap<String, Self>> {
        let taken = std::cell::RefCell::new(Taken::default());
        value.map(|entry| {
            let used = Self::read(entry)?;
            taken.borrow_mut().take(entry, &used.paths);
            Some(used)
        })
    }

    fn read(entry: Value<'_>) -> Option<Self> {
        let path = entry.key_text::<ValuePath>()?;
        match entry.raw() {
            DeValue::String(_) => {
                let image = entry.image(path.to_string())?;
                Some(Self { image, paths: Shorthand::RepositoryTag.below(&path) })
            }
            DeValue::Table(_) if !entry.is_written_as_table() => {
                let problem = entry.reading.at(entry.key_span(), "the value path needs quotes");
                let problem = problem.label("without quotes, the dot makes a table in a table");
                let name = entry.name();
                entry
                    .reading
                    .report(problem.help(format!("write the whole path in quotes: \"{name}.image\" = \"backend\"")))
            }
            DeValue::Table(_) => entry.table(|table| Self::read_long(table, &path)),
            _ => entry.like("\"backend\"").wrong_type("the name of an image, or a table"),
        }
    }

    fn read_long(table: &Table<'_>, path: &ValuePath) -> Option<Self> {
        let image = table.required("image", "\"backend\"", |value| value.image(path.to_string()));
        let form = table.optional("form", "\"reference\"", |value| value.choice(&SHORTHANDS));
        let repository = table.optional("repository", "\"image.repository\"", Value::text::<ValuePath>);
        let registry = table.optional("registry", "\"global.registry\"", Value::text::<ValuePath>);
        let name = table.optional("name", "\"image.name\"", Value::text::<ValuePath>);
        let tag = table.optional("tag", "\"global.tag\"", Value::text::<ValuePath>);
        let reference = table.optional("reference", "\"image\"", Value::text::<ValuePath>);
        const NAMED: [&str; 5] = ["repository", "registry", "name", "tag", "reference"];
        let named: Vec<_> = NAMED.into_iter().filter(|name| table.has(name)).collect();
        let paths = match (form, repository, registry, name, tag, reference) {
            (Some(form), None, None, None, None, None) if named.is_empty() => form.below(path),
            (None, Some(repository), None, None, Some(tag), None) => ImagePaths::RepositoryTag { repository, tag },
            (None, None, Some(registry), Some(name), Some(tag), None) => {
                ImagePaths::RegistryNameTag { registry, name, tag }
            }
            (None, None, None, None, None, Some(reference)) => ImagePaths::Reference { reference },
            _ => {
                let problem = table.problem("it is not clear which values take the image");
                let problem = if named.is_empty() && !table.has("form") {
                    problem.label("neither a form nor value paths")
                } else if named.is_empty() {
                    return None;
                } else if table.has("form") {
                    problem.label("both a form and value paths")
                } else {
                    problem.label("these do not make one whole image name")
                };
                return table.reading.report(problem.help(
                    "give form = \"repository+tag\", \"registry+name+tag\" or \"reference\"; or name the value paths: \
                     `repository` and `tag`, or `registry`, `name` and `tag`, or `reference`",
                ));
            }
        };
        Some(Self { image: image?, paths })
    }
}

/// The values that are taken, to find those that are taken twice.
#[derive(Default)]
struct Taken(Vec<(Vec<String>, Part, Range<usize>)>);

impl Taken {
    fn take(&mut self, entry: Value<'_>, paths: &ImagePaths) {
        for (path, part) in paths.parts() {
            let keys = path.keys();
            let clash = self.0.iter().find(|(others, other_part, _)| {
                let one_below_the_other = keys.starts_with(others) || others.starts_with(&keys);
                // Charts with one registry or one tag for all their images are common; both images get the same.
                let shared = keys == *others && part == *other_part && matches!(part, Part::Registry | Part::Tag);
                one_below_the_other && !shared
            });
            if let Some((_, _, first)) = clash {
                let problem = entry.reading.at(entry.key_span(), format!("the value `{path}` is set by two images"));
                let problem = problem.label("the second").remark(first.clone(), "the first");
                entry.reading.report::<()>(problem.help("give each image value paths of its own"));
                return;
            }
        }
        let span = entry.key_span();
        self.0.extend(paths.parts().into_iter().map(|(path, part)| (path.keys(), part, span.clone())));
    }
}

impl Value<'_> {
    /// The name of an image, which becomes an edge of the graph.
    pub(crate) fn image(self, place: String) -> Option<String> {
        let name = self.words()?;
        let prefix = format!("{}:", Kind::Image.word());
        if let Some(bare) = name.strip_prefix(&prefix) {
            let problem = self.problem("only images can stand here, so their kind is left out").label("has a kind");
            return self.reading.report(problem.help(format!("write \"{bare}\"")));
        }
        self.reading.mention(Target::Image(name.clone()), Why::Image(place), self.span());
        Some(name)
    }
}

impl JsonSchema for ImageUse {
    fn schema_name() -> Cow<'static, str> {
        "ImageUse".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let path = generator.subschema_for::<Form<ValuePath>>();
        json_schema!({
            "anyOf": [
                {
                    "description": "The image; `repository` and `tag` below the value path take it.",
                    "type": "string"
                },
                {
                    "type": "object",
                    "properties": {
                        "image": { "description": "The image.", "type": "string" },
                        "form": {
                            "description": "The values below the path that take it.",
                            "enum": SHORTHANDS.map(|(name, _)| name)
                        },
                        "repository": path, "registry": path, "name": path, "tag": path, "reference": path
                    },
                    "required": ["image"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
