//! The values that a chart is given: layers of maps, laid over each other as helm does it. Pure.

use std::collections::BTreeMap;
use std::fmt;

use engine::config::{ImagePaths, Part};
use serde_json::{Map, Value};

/// Lays `over` on `base`: maps are merged, everything else replaces what was there. A null stays, because to helm
/// it means "take the chart's own default away".
pub fn lay_over(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(place) => lay_over(place, value),
                    None => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (base, over) => *base = over,
    }
}

/// Sets the value below `keys`, making the maps on the way.
pub fn set(values: &mut Value, keys: &[String], value: Value) {
    let layer = keys.iter().rev().fold(value, |layer, key| Value::Object(Map::from_iter([(key.clone(), layer)])));
    lay_over(values, layer);
}

/// Takes the value below `keys` away.
pub fn take(values: &mut Value, keys: &[String]) -> Option<Value> {
    let (name, parents) = keys.split_last()?;
    let parent = parents.iter().try_fold(values, |value, name| value.get_mut(name))?;
    parent.as_object_mut()?.shift_remove(name)
}

/// Every value that is no map, by its dotted path, in order. An empty map counts as a value.
pub fn leaves(values: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    collect(values, String::new(), &mut found);
    found
}

fn collect<'a>(value: &'a Value, path: String, found: &mut BTreeMap<String, &'a Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(value, path, found);
            }
        }
        _ if path.is_empty() => {}
        value => {
            found.insert(path, value);
        }
    }
}

/// A reference to an image, in the parts that charts ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// Everything before the tag.
    pub repository: String,
    /// The tag.
    pub tag: String,
}

impl ImageRef {
    /// Takes a reference such as `localhost:5000/todo/backend:3f9c` apart. `None` when it has no tag.
    pub fn parse(reference: &str) -> Option<Self> {
        let (repository, tag) = reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
        Some(Self { repository: repository.to_owned(), tag: tag.to_owned() })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

/// Where images live whose names say nothing of it: a chart that joins registry and name gets the same image.
const DEFAULT_REGISTRY: &str = "docker.io/library";

/// Sets the parts of `image` where `paths` wants them.
pub fn set_image(values: &mut Value, paths: &ImagePaths, image: &ImageRef) {
    for (path, part) in paths.parts() {
        let text = match part {
            Part::Repository => image.repository.clone(),
            Part::Registry => {
                image.repository.rsplit_once('/').map_or(DEFAULT_REGISTRY, |(registry, _)| registry).to_owned()
            }
            Part::Name => image.repository.rsplit('/').next().unwrap_or_default().to_owned(),
            Part::Tag => image.tag.clone(),
            Part::Reference => image.to_string(),
        };
        set(values, &path.keys(), text.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ImageRef, lay_over, leaves, set, take};

    #[test]
    fn later_layers_win_key_by_key() {
        let check = |base: Value, over: Value, expected: Value| {
            let mut values = base;
            lay_over(&mut values, over);
            assert_eq!(values, expected);
        };
        check(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 3}}), json!({"a": {"b": 3, "c": 2}}));
        check(json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]}));
        check(json!({"a": {"b": 1}}), json!({"a": null}), json!({"a": null}));
        check(json!({"a": 1}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}}));
    }

    fn keys(path: &str) -> Vec<String> {
        path.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn paths_are_set_and_taken() {
        let mut values = json!({"image": {"pullPolicy": "Never"}});
        set(&mut values, &keys("image.tag"), "x".into());
        set(&mut values, &keys("a.b.c"), 1.into());
        assert_eq!(values, json!({"image": {"pullPolicy": "Never", "tag": "x"}, "a": {"b": {"c": 1}}}));
        assert_eq!(take(&mut values, &keys("a.b")), Some(json!({"c": 1})));
        assert_eq!(take(&mut values, &keys("no.such")), None);
        assert_eq!(take(&mut values, &keys("image")), Some(json!({"pullPolicy": "Never", "tag": "x"})));
        assert_eq!(values, json!({"a": {}}));
        let paths = json!({"a": {"b": 1, "c": {}}, "d": [1]});
        assert_eq!(leaves(&paths).into_keys().collect::<Vec<_>>(), ["a.b", "a.c", "d"]);
    }

    #[test]
    fn a_reference_is_cut_at_its_tag() {
        let check = |reference: &str, expected: Option<(&str, &str)>| {
            let found = ImageRef::parse(reference);
            assert_eq!(found.as_ref().map(|found| (found.repository.as_str(), found.tag.as_str())), expected);
            assert!(found.is_none_or(|found| found.to_string() == reference));
        };
        check("localhost:5000/todo/backend:3f9c", Some(("localhost:5000/todo/backend", "3f9c")));
        check("todo-backend:1", Some(("todo-backend", "1")));
        check("localhost:5000/todo", None);
        check("todo", None);
    }
}
