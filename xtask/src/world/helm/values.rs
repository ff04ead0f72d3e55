//! The values that a chart is given: layers of maps, laid over each other as helm does it. Pure.

use std::collections::BTreeMap;

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

/// Sets the value at a dotted path (`backend.image.tag`), making the maps on the way.
pub fn set(values: &mut Value, path: &str, value: Value) {
    let mut layer = value;
    for name in path.rsplit('.') {
        layer = Value::Object(Map::from_iter([(name.to_owned(), layer)]));
    }
    lay_over(values, layer);
}

/// Takes the value at a dotted path away.
pub fn take(values: &mut Value, path: &str) -> Option<Value> {
    let (parent, name) = match path.rsplit_once('.') {
        Some((parent, name)) => (parent.split('.').try_fold(&mut *values, |value, name| value.get_mut(name))?, name),
        None => (values, path),
    };
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

/// An image in the parts that charts ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// `localhost:5000`, or nothing.
    pub registry: String,
    /// The rest of the name.
    pub name: String,
    /// The tag.
    pub tag: String,
}

impl ImageRef {
    /// Takes a reference such as `localhost:5000/todo/backend:3f9c` apart. `None` when it has no tag.
    pub fn parse(reference: &str) -> Option<Self> {
        let (repository, tag) = reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
        let (registry, name) = match repository.split_once('/') {
            // As docker decides it: a first part that looks like a host is one.
            Some((host, name)) if host.contains(['.', ':']) || host == "localhost" => (host, name),
            _ => ("", repository),
        };
        Some(Self { registry: registry.to_owned(), name: name.to_owned(), tag: tag.to_owned() })
    }

    /// Registry and name.
    pub fn repository(&self) -> String {
        if self.registry.is_empty() { self.name.clone() } else { format!("{}/{}", self.registry, self.name) }
    }

    /// The full reference.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository(), self.tag)
    }
}

/// Which part of an image goes to which place in the values, by dotted path. A chart wants two or three of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImagePaths {
    /// Where the registry goes.
    pub registry: Option<String>,
    /// Where the name goes, without registry.
    pub name: Option<String>,
    /// Where registry and name go.
    pub repository: Option<String>,
    /// Where the tag goes.
    pub tag: Option<String>,
    /// Where the full reference goes.
    pub reference: Option<String>,
}

impl ImagePaths {
    /// The short form: `repository` and `tag` below one path.
    pub fn below(path: &str) -> Self {
        let (repository, tag) = (Some(format!("{path}.repository")), Some(format!("{path}.tag")));
        Self { repository, tag, ..Self::default() }
    }

    /// Sets the parts of `image` in `values`.
    pub fn fill(&self, values: &mut Value, image: &ImageRef) {
        let parts = [
            (&self.registry, image.registry.clone()),
            (&self.name, image.name.clone()),
            (&self.repository, image.repository()),
            (&self.tag, image.tag.clone()),
            (&self.reference, image.reference()),
        ];
        for (path, part) in parts {
            if let Some(path) = path {
                set(values, path, part.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ImagePaths, ImageRef, lay_over, leaves, set, take};

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

    #[test]
    fn paths_are_set_and_taken() {
        let mut values = json!({"image": {"pullPolicy": "Never"}});
        set(&mut values, "image.tag", "x".into());
        set(&mut values, "a.b.c", 1.into());
        assert_eq!(values, json!({"image": {"pullPolicy": "Never", "tag": "x"}, "a": {"b": {"c": 1}}}));
        assert_eq!(take(&mut values, "a.b"), Some(json!({"c": 1})));
        assert_eq!(take(&mut values, "no.such"), None);
        assert_eq!(take(&mut values, "image"), Some(json!({"pullPolicy": "Never", "tag": "x"})));
        assert_eq!(values, json!({"a": {}}));
        let paths = json!({"a": {"b": 1, "c": {}}, "d": [1]});
        assert_eq!(leaves(&paths).into_keys().collect::<Vec<_>>(), ["a.b", "a.c", "d"]);
    }

    #[test]
    fn images_reach_charts_in_the_form_that_they_want() {
        let check = |paths: ImagePaths, expected: Value| {
            let mut values = json!({});
            paths.fill(&mut values, &ImageRef::parse("localhost:5000/todo/backend:3f9c").unwrap());
            assert_eq!(values, expected);
        };
        check(
            ImagePaths::below("backend.image"),
            json!({"backend": {"image": {"repository": "localhost:5000/todo/backend", "tag": "3f9c"}}}),
        );
        check(
            ImagePaths {
                registry: Some("global.registry".into()),
                name: Some("backend.image".into()),
                tag: Some("global.tag".into()),
                ..ImagePaths::default()
            },
            json!({"global": {"registry": "localhost:5000", "tag": "3f9c"}, "backend": {"image": "todo/backend"}}),
        );
        check(
            ImagePaths { reference: Some("backendImage".into()), ..ImagePaths::default() },
            json!({"backendImage": "localhost:5000/todo/backend:3f9c"}),
        );
        assert_eq!(ImageRef::parse("localhost:5000/todo"), None);
        assert_eq!(ImageRef::parse("todo-backend:1").unwrap().repository(), "todo-backend");
        assert_eq!(ImageRef::parse("todo/backend:1").unwrap().registry, "");
    }
}
