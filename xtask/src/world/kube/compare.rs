//! Compares a live object with what its manifest asks for, field by field. Pure.
//!
//! Compared are the paths that the manifest sets; from a list downwards, in a pod template and in a map that means
//! something only as a whole, everything, so that an environment variable, a port or a label of a selector that was
//! added by hand is seen; and the switches by which an object does not do what its manifest asks for. What the API
//! server or a controller fills in is no difference.
//!
//! `wanted` is the manifest as the API server would store it anew, defaults included (see `canonical`); where that is
//! not to be had, the manifest stands in for it and nothing beside the paths that it sets is compared.

use std::fmt;

use serde_json::{Map, Value};

use crate::world::kube::rendered::pod_template;

/// One field that is not as the manifest asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The field as people read it: `spec.template.spec.containers[app].env[DEBUG]`.
    pub path: String,
    /// The field as a JSON pointer into the live object.
    pub pointer: String,
    /// What it is.
    pub change: Change,
}

/// How a field differs.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is there and should not be.
    Added,
    /// It should be there, with this value.
    Removed(Value),
    /// It has another value.
    Changed {
        /// The value that is there.
        live: Value,
        /// The value that should be.
        wanted: Value,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Change::Added => write!(f, "{} added by hand", self.path),
            Change::Removed(_) => write!(f, "{} removed by hand", self.path),
            Change::Changed { live, wanted } => match (shown(&self.path, live), shown(&self.path, wanted)) {
                (Some(live), Some(wanted)) => write!(f, "{} changed by hand: {wanted} → {live}", self.path),
                _ => write!(f, "{} changed by hand", self.path),
            },
        }
    }
}

/// A value that may be shown: never text that could be somebody's password.
fn shown(path: &str, value: &Value) -> Option<String> {
    match value {
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::String(text) if path.ends_with(".image") => Some(text.clone()),
        _ => None,
    }
}

/// What is known about the object beside its text.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// `Deployment`.
    pub kind: &'a str,
    /// Whether a HorizontalPodAutoscaler decides on `spec.replicas`.
    pub autoscaled: bool,
    /// Whether `wanted` has the API server's defaults, so that lists and templates can be compared whole.
    pub complete: bool,
}

/// All differences between `live` and `wanted`, as far as `rendered`, the manifest itself, sets the fields.
pub fn differences(rendered: &Value, wanted: &Value, live: &Value, context: Context<'_>) -> Vec<Difference> {
    let mut walk = Walk { context, template: pod_template(context.kind), found: Vec::new() };
    for (field, rendered) in rendered.as_object().into_iter().flatten() {
        if matches!(field.as_str(), "apiVersion" | "kind" | "status") {
            continue;
        }
        let place = Place { path: field.clone(), pointer: format!("/{}", escaped(field)), whole: false };
        if field == "metadata" {
            walk.metadata(&place, rendered, wanted.get(field), live.get(field));
        } else {
            walk.field(place, Some(rendered), wanted.get(field), live.get(field));
        }
    }
    walk.switches(rendered, wanted, live);
    walk.found
}

/// Fields that stop what the manifest asks for, by kind. They count also where it does not set them.
const SWITCHES: [(&str, &str, &str); 2] = [("Deployment", "spec", "paused"), ("CronJob", "spec", "suspend")];

/// Maps beside selectors that the API server takes as a whole, outside of lists and pod templates, by kind.
const ATOMIC: [(&str, &str); 10] = [
    ("ClusterRoleBinding", "/roleRef"),
    ("HorizontalPodAutoscaler", "/spec/scaleTargetRef"),
    ("Ingress", "/spec/defaultBackend/resource"),
    ("Ingress", "/spec/defaultBackend/service/port"),
    ("PersistentVolume", "/spec/nodeAffinity/required"),
    ("RoleBinding", "/roleRef"),
    ("ValidatingAdmissionPolicy", "/spec/matchConstraints"),
    ("ValidatingAdmissionPolicy", "/spec/paramKind"),
    ("ValidatingAdmissionPolicyBinding", "/spec/matchResources"),
    ("ValidatingAdmissionPolicyBinding", "/spec/paramRef"),
];

#[derive(Clone)]
struct Place {
    path: String,
    pointer: String,
    /// Everything from here down is compared, not only what the manifest sets.
    whole: bool,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        // An annotation's name has dots of its own.
        let path = if name.contains('.') { format!("{}[{name}]", self.path) } else { format!("{}.{name}", self.path) };
        Self { path, pointer: format!("{}/{}", self.pointer, escaped(name)), whole: self.whole }
    }

    fn item(&self, label: &str, index: usize) -> Self {
        let (path, pointer) = (format!("{}[{label}]", self.path), format!("{}/{index}", self.pointer));
        Self { path, pointer, whole: self.whole }
    }
}

struct Walk<'a> {
    context: Context<'a>,
    template: Option<&'static str>,
    found: Vec<Difference>,
}

impl Walk<'_> {
    /// Switches that are on and that the manifest does not turn on.
    fn switches(&mut self, rendered: &Value, wanted: &Value, live: &Value) {
        for (_, part, field) in SWITCHES.into_iter().filter(|(kind, ..)| *kind == self.context.kind) {
            let of = |object: &Value| object.get(part).and_then(|part| part.get(field)).cloned();
            let (path, pointer) = (format!("{part}.{field}"), format!("/{part}/{field}"));
            let on = |object: &Value| of(object) == Some(Value::Bool(true));
            let told = self.found.iter().any(|difference| difference.pointer == pointer);
            if on(live) && !on(rendered) && !told {
                let change = match of(wanted) {
                    Some(wanted) => Change::Changed { live: true.into(), wanted },
                    None => Change::Added,
                };
                self.found.push(Difference { path, pointer, change });
            }
        }
    }

    /// Labels and annotations: what the manifest sets and nothing else, for everybody writes there.
    fn metadata(&mut self, place: &Place, rendered: &Value, wanted: Option<&Value>, live: Option<&Value>) {
        for name in ["labels", "annotations"] {
            if let Some(rendered) = rendered.get(name) {
                let (wanted, live) = (wanted.and_then(|wanted| wanted.get(name)), live.and_then(|live| live.get(name)));
                self.field(place.field(name), Some(rendered), wanted, live);
            }
        }
    }

    fn field(&mut self, mut place: Place, rendered: Option<&Value>, wanted: Option<&Value>, live: Option<&Value>) {
        if self.is_left_alone(&place, rendered) {
            return;
        }
        let atomic = self.is_atomic(&place);
        place.whole |= atomic || (self.context.complete && Some(place.pointer.as_str()) == self.template);
        match (wanted.filter(|value| !is_nothing(value)), live.filter(|value| !is_nothing(value))) {
            (None, None) => {}
            (Some(Value::Object(wanted)), Some(Value::Object(live))) => self.map(&place, rendered, wanted, live),
            (Some(Value::Array(wanted)), Some(Value::Array(live))) => self.list(&place, rendered, wanted, live),
            // An empty selector is not the same as none: one selects all, and the other nothing.
            (None, Some(live)) if atomic && rendered.is_some_and(Value::is_object) => {
                let change = Change::Changed { live: live.clone(), wanted: Value::Object(Map::new()) };
                self.found.push(Difference { path: place.path, pointer: place.pointer, change });
            }
            (Some(wanted), Some(live)) if self.same(wanted, live) => {}
            (Some(wanted), Some(live)) => {
                let change = Change::Changed { live: live.clone(), wanted: wanted.clone() };
                self.found.push(Difference { path: place.path, pointer: place.pointer, change });
            }
            (Some(wanted), None) => {
                let change = Change::Removed(wanted.clone());
                self.found.push(Difference { path: place.path, pointer: place.pointer, change });
            }
            // One by one, because some of them count for nothing.
            (None, Some(Value::Object(live))) if place.whole && place.pointer.ends_with("/annotations") => {
                self.map(&place, None, &Map::new(), live);
            }
            (None, Some(_)) if place.whole => {
                self.found.push(Difference { path: place.path, pointer: place.pointer, change: Change::Added });
            }
            // The manifest sets nothing here that the API server would keep.
            (None, Some(_)) => {}
        }
    }

    fn map(&mut self, place: &Place, rendered: Option<&Value>, wanted: &Map<String, Value>, live: &Map<String, Value>) {
        let set = rendered.and_then(Value::as_object);
        let mut names: Vec<&String> = Vec::new();
        if place.whole {
            names.extend(wanted.keys());
            names.extend(live.keys().filter(|name| !wanted.contains_key(*name)));
        } else {
            names.extend(set.into_iter().flat_map(Map::keys));
        }
        for name in names {
            let rendered = set.and_then(|set| set.get(name));
            self.field(place.field(name), rendered, wanted.get(name), live.get(name));
        }
    }

    fn list(&mut self, place: &Place, rendered: Option<&Value>, wanted: &[Value], live: &[Value]) {
        let mut place = place.clone();
        place.whole |= self.context.complete;
        let set = rendered.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let Some(key) = key(wanted, live) else { return self.unkeyed(&place, set, wanted, live) };
        for (index, item) in live.iter().enumerate() {
            let label = label(item, key);
            let place = place.item(&label, index);
            match wanted.iter().find(|wanted| same_key(wanted, item, key)) {
                Some(wanted) => {
                    let rendered = set.iter().find(|rendered| same_key(rendered, item, key));
                    self.field(place, rendered, Some(wanted), Some(item));
                }
                None => self.found.push(Difference { path: place.path, pointer: place.pointer, change: Change::Added }),
            }
        }
        for item in wanted.iter().filter(|item| !live.iter().any(|live| same_key(live, item, key))) {
            let path = format!("{}[{}]", place.path, label(item, key));
            let pointer = format!("{}/-", place.pointer);
            self.found.push(Difference { path, pointer, change: Change::Removed(item.clone()) });
        }
    }

    /// A list whose items have no names: item by item when there are as many, else as one value.
    fn unkeyed(&mut self, place: &Place, rendered: &[Value], wanted: &[Value], live: &[Value]) {
        let scalars = wanted.iter().chain(live).any(|item| !item.is_object());
        if wanted.len() != live.len() || scalars {
            if wanted.len() != live.len() || !wanted.iter().zip(live).all(|(wanted, live)| self.same(wanted, live)) {
                let change = Change::Changed { live: live.into(), wanted: wanted.into() };
                let (path, pointer) = (place.path.clone(), place.pointer.clone());
                self.found.push(Difference { path, pointer, change });
            }
            return;
        }
        for (index, (wanted, live)) in wanted.iter().zip(live).enumerate() {
            self.field(place.item(&index.to_string(), index), rendered.get(index), Some(wanted), Some(live));
        }
    }

    /// The API server writes all values in one way; a manifest has several for the same quantity or port.
    fn same(&self, wanted: &Value, live: &Value) -> bool {
        wanted == live || if self.context.complete { same_number(wanted, live) } else { same(wanted, live) }
    }

    /// Whether the map at `place` means something only as a whole, as the API server itself merges it (`atomic` in its
    /// OpenAPI document): a label more in a selector makes it select nothing.
    fn is_atomic(&self, place: &Place) -> bool {
        let pointer = place.pointer.as_str();
        // Selectors are atomic wherever they are, in kinds of others too.
        let selector = pointer.ends_with("elector") && !pointer.starts_with("/metadata");
        // The others get defaults from the API server, which only a dry run tells.
        let listed = ATOMIC.iter().any(|(kind, atomic)| *kind == self.context.kind && *atomic == pointer);
        selector || (self.context.complete && listed)
    }

    /// Fields that others than the manifest decide on.
    fn is_left_alone(&self, place: &Place, rendered: Option<&Value>) -> bool {
        let pointer = place.pointer.as_str();
        let name = pointer.rsplit('/').next().unwrap_or_default();
        match name {
            "replicas" => self.context.autoscaled && pointer == "/spec/replicas",
            // `kubectl rollout restart` is a wish, not an edit.
            "kubectl.kubernetes.io~1restartedAt" => true,
            // Allocated by the API server, or filled in by a controller, unless the manifest insists.
            "nodePort" | "healthCheckNodePort" | "clusterIP" | "clusterIPs" | "caBundle" | "volumeName" => {
                rendered.is_none_or(is_nothing)
            }
            // The API server labels a Job's pods with the Job's own uid and name.
            "controller-uid" | "job-name" | "batch.kubernetes.io~1controller-uid" | "batch.kubernetes.io~1job-name" => {
                self.context.kind == "Job"
            }
            _ => false,
        }
    }
}

/// The fields by which the items of a list are told apart, as the API itself does when it merges lists.
const KEYS: [&[&str]; 9] = [
    &["name"],
    &["mountPath"],
    &["devicePath"],
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["topologyKey", "whenUnsatisfiable"],
    &["ip"],
    &["type"],
    &["key"],
];

fn key(wanted: &[Value], live: &[Value]) -> Option<&'static [&'static str]> {
    let unique = |items: &[Value], key: &[&str]| {
        items.iter().enumerate().all(|(index, item)| {
            item.get(key[0]).is_some() && !items[..index].iter().any(|earlier| same_key(earlier, item, key))
        })
    };
    // Ports have names too, but it is their numbers that are never left out.
    let by_number =
        wanted.iter().chain(live).any(|item| item.get("containerPort").is_some() || item.get("port").is_some());
    KEYS.into_iter().filter(|key| !by_number || key[0] != "name").find(|key| unique(wanted, key) && unique(live, key))
}

fn same_key(one: &Value, other: &Value, key: &[&str]) -> bool {
    let part = |item: &Value, name: &&str| match (item.get(*name), *name) {
        (None, "protocol") => Value::from("TCP"),
        (found, _) => found.cloned().unwrap_or_default(),
    };
    key.iter().all(|name| same(&part(one, name), &part(other, name)))
}

fn label(item: &Value, key: &[&str]) -> String {
    match item.get(key[0]) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// The API server drops null and empty maps and lists, or fills them in: they ask for nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn same_number(one: &Value, other: &Value) -> bool {
    one.as_f64().is_some_and(|one| Some(one) == other.as_f64())
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => same_number(one, other),
        // Quantities: `0.5` in the manifest is `500m` in the API server.
        (Value::String(one), Value::String(other)) => {
            one == other || (quantity(one).is_some() && quantity(one) == quantity(other))
        }
        (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
            let number = number.to_string();
            number == *text || quantity(&number).is_some_and(|number| Some(number) == quantity(text))
        }
        (one, other) => one == other,
    }
}

/// A quantity in thousandths, for example 500 for `500m` and `0.5`.
fn quantity(text: &str) -> Option<i128> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: i128 = match unit {
        "m" => 1,
        "" => 1000,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000_i128.pow(2),
        "G" => 1000 * 1000_i128.pow(3),
        "T" => 1000 * 1000_i128.pow(4),
        "Ki" => 1000 * 1024,
        "Mi" => 1000 * 1024_i128.pow(2),
        "Gi" => 1000 * 1024_i128.pow(3),
        "Ti" => 1000 * 1024_i128.pow(4),
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Longer ones are identifiers or versions, and none that a quantity of ours would need.
    if whole.is_empty() || whole.len() > 15 || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some(digits * factor * 1_000_000_000 / 10_i128.pow(u32::try_from(fraction.len()).ok()?))
}

/// One step of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
