//! What helm says when it fails, as an error with file, line and next step. Pure.
//!
//! Helm's text names templates by `CHART/templates/…`; people have the chart's folder in front of them.

use std::path::Path;

use engine::failure::Failure;

use crate::world::helm::program::Place;
use crate::world::kube::error;

/// What helm's text contains, what that means for people, and what to do about it.
///
/// `{release}` and `{chart}` stand for the release's name and the chart's folder. The first row that fits counts.
const KNOWN: [(&str, &str, &str); 9] = [
    (
        "missing in charts/ directory",
        "the chart {chart} lacks a chart that it depends on",
        "fetch it with `helm dependency build {chart}`",
    ),
    (
        "meet the specifications of the schema",
        "the values of release {release} break the rules of {chart}/values.schema.json",
        "correct the values that are named above",
    ),
    ("cannot load values.yaml", "{chart}/values.yaml is not valid YAML", "correct the line that is named above"),
    (
        "no matches for kind",
        "the chart {chart} makes objects of a kind that the cluster does not have",
        "install what brings this kind (its CustomResourceDefinition), or correct the apiVersion",
    ),
    (
        "invalid ownership metadata",
        "release {release} would take over an object that is not its own",
        "rename it in the chart, remove it, or give it to the release by the labels that are named above",
    ),
    (
        "another operation (install/upgrade/rollback) is in progress",
        "helm is at work on release {release} somewhere else",
        "wait for it, then run the same command again",
    ),
    (
        HOOKS,
        "a hook of release {release} did not come to a good end",
        "look at what it says: kubectl get jobs,pods; its manifest is in {chart}/templates",
    ),
    (
        "conflict",
        "somebody else claims fields of release {release}'s objects",
        "let go of them there, then run the same command again",
    ),
    ("cluster unreachable", "helm could not reach the cluster for release {release}", error::STARTS),
];

/// In what helm says when it gave up on hooks.
const HOOKS: &str = "hooks failed";

/// What helm says when another helm is at work on the same release.
const IN_THE_WAY: [&str; 2] =
    ["release: already exists", "another operation (install/upgrade/rollback) is in progress"];

/// Whether another helm was at work on the same release.
pub fn is_in_the_way(failure: &Failure) -> bool {
    failure.causes.iter().any(|cause| IN_THE_WAY.iter().any(|part| cause.contains(part)))
}

/// Whether hooks are what failed.
pub fn is_about_hooks(failure: &Failure) -> bool {
    failure.causes.iter().any(|cause| cause.contains(HOOKS))
}

/// Whether something that was rendered is no YAML, and nobody says in which file. Helm 4 reads all of it in one go
/// when it has a post-renderer.
pub fn is_about_some_file(failure: &Failure) -> bool {
    failure.causes.iter().any(|cause| cause.starts_with("yaml: "))
}

/// The error for helm's `text` about the release at `place`, of the chart in the folder `chart`.
///
/// `text` is what helm wrote to its standard error, already redacted.
pub fn failure(place: &Place, chart: &Path, text: &str) -> Failure {
    let release = &place.release;
    let complaint = complaint(text);
    if let Some(fixed) = fixed(&complaint) {
        return fixed.failure(place, chart);
    }
    if let Some(spot) = spot(&complaint) {
        return at(&spot, chart);
    }
    let filled = |text: &str| text.replace("{release}", release).replace("{chart}", &chart.display().to_string());
    match KNOWN.into_iter().find(|(part, _, _)| complaint.contains(part)) {
        Some((_, message, help)) => Failure::step(filled(message)).because(complaint).help(filled(help)),
        None => Failure::step(format!("helm could not deploy release {release}"))
            .because(complaint)
            .help(filled("see what {chart} renders: helm template {chart} --debug")),
    }
}

/// A field that the API server lets nobody change once the object is there.
struct Fixed<'a> {
    /// `Job`.
    kind: &'a str,
    name: &'a str,
    /// `spec.template`.
    path: &'a str,
    /// What it says of it, without the value: a pod template has 2,000 characters.
    reason: &'a str,
}

/// What the API server's refusal to change a fixed field says.
fn fixed(complaint: &str) -> Option<Fixed<'_>> {
    const FIXED: [&str; 4] = ["immutable", "are forbidden", "may not change once set", "cannot change roleRef"];
    if !FIXED.iter().any(|words| complaint.contains(words)) {
        return None;
    }
    // `Job.batch "once" is invalid: spec.template: Invalid value: {…}: field is immutable`
    let (before, after) = complaint.split_once("\" is invalid: ")?;
    let (before, name) = before.rsplit_once('"')?;
    let kind = before.trim_end().rsplit(' ').next()?.split('.').next()?;
    let (path, rest) = after.trim_start_matches('[').split_once(": ")?;
    let reason = match rest.strip_prefix("Invalid value: ") {
        Some(value) => value.rsplit_once(": ").map_or(value, |(_, reason)| reason),
        None => rest.split_once(": ").map_or(rest, |(_, reason)| reason),
    };
    Some(Fixed { kind, name, path, reason: reason.trim_end_matches(']') })
}

impl Fixed<'_> {
    fn failure(&self, place: &Place, chart: &Path) -> Failure {
        let Self { kind, name, path, reason } = self;
        let kubectl = |verb: &str| {
            let resource = kind.to_lowercase();
            format!("kubectl --namespace {} {verb} {resource} {name}", place.namespace)
        };
        let failure =
            Failure::step(format!("release {} changes what cannot be changed: {path} of {kind} {name}", place.release))
                .because(format!("the API server says: {reason}"));
        match *kind {
            "Job" => failure
                .help(format!("remove it, and the next deploy makes and runs it anew: {}", kubectl("delete")))
                .help(format!(
                    "for good: make it a hook of {} with helm.sh/hook-delete-policy: before-hook-creation",
                    chart.display()
                )),
            "StatefulSet" => failure.help(format!(
                "remove it without its pods, and the next deploy makes it anew: {} --cascade=orphan",
                kubectl("delete")
            )),
            // What holds data is not for removal.
            "PersistentVolumeClaim" | "PersistentVolume" => failure.help(format!(
                "set it back in {}, or give the claim another name: the data stays in this one",
                chart.display()
            )),
            _ => failure.help(format!("remove it, and the next deploy makes it anew: {}", kubectl("delete"))),
        }
    }
}

/// The text behind the last `Error:`, in one paragraph.
fn complaint(text: &str) -> String {
    const ERROR: &str = "Error: ";
    let from = text.rfind(ERROR).map_or(text, |at| &text[at + ERROR.len()..]);
    let lines: Vec<_> = from.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines.join(" ");
    text.trim_start_matches("UPGRADE FAILED: ").trim_start_matches("INSTALLATION FAILED: ").to_owned()
}

/// A place in a template.
struct Spot<'a> {
    /// `tiny/templates/cm.yaml`.
    file: &'a str,
    line: u32,
    column: Option<u32>,
    /// The line counts in the rendered text, not in the template.
    rendered: bool,
    /// What helm has against it.
    reason: &'a str,
}

fn spot(complaint: &str) -> Option<Spot<'_>> {
    if let Some(rest) = complaint.strip_prefix("YAML parse error on ") {
        let (file, reason) = rest.split_once(": ")?;
        let (line, _) = number(reason.split_once("line ")?.1)?;
        let reason = reason.rsplit_once("yaml: ").map_or(reason, |(_, reason)| reason);
        return Some(Spot { file, line, column: None, rendered: true, reason });
    }
    // Helm names the template that failed first, then those that include it.
    let starts = complaint.match_indices("/templates/").filter_map(|(at, _)| {
        let before = complaint[..at].rfind([' ', '(', '"', '<']).map_or(0, |at| at + 1);
        let (file, rest) = complaint[before..].split_once(':')?;
        let (line, rest) = number(rest)?;
        let (column, rest) = rest.strip_prefix(':').and_then(number).map_or((None, rest), |(n, rest)| (Some(n), rest));
        Some(Spot { file, line, column, rendered: false, reason: rest.trim_start_matches([':', ')', ' ']) })
    });
    starts.filter(|spot| !spot.file.contains(' ')).last()
}

/// The number that `text` begins with, and the rest.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn at(spot: &Spot<'_>, chart: &Path) -> Failure {
    // `CHART/templates/x.yaml`, or `CHART/charts/SUB/templates/x.yaml`: the first part is the chart's name.
    let inside = spot.file.split_once('/').map_or(spot.file, |(_, inside)| inside);
    let file = chart.join(inside).display().to_string();
    let place = match spot.column {
        _ if spot.rendered => file.clone(),
        Some(column) => format!("{file}:{}:{column}", spot.line),
        None => format!("{file}:{}", spot.line),
    };
    let failure = Failure::step(format!("{place} does not render")).because(spot.reason);
    if spot.rendered {
        failure.help(format!(
            "look at about line {} of what it renders: helm template {} --debug --show-only {inside}",
            spot.line,
            chart.display()
        ))
    } else if spot.reason.contains("nil pointer evaluating") {
        failure.help("give the value in values.yaml, or guard it in the template with `with` or `default`")
    } else {
        failure.help(format!("correct {file}"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::failure;
    use crate::world::helm::program::Place;

    fn todo() -> Place {
        Place { context: "c".to_owned(), namespace: "shop".to_owned(), release: "todo".to_owned() }
    }

    #[test]
    fn a_field_that_cannot_be_changed_is_named_without_its_value() {
        let check = |text: &str, message: &str, reason: &str, help: &str| {
            let failure = failure(&todo(), Path::new("helm/tiny"), &format!("Error: UPGRADE FAILED: {text}"));
            assert_eq!(failure.message, format!("release todo changes what cannot be changed: {message}"), "{text}");
            assert_eq!(failure.causes, [format!("the API server says: {reason}")]);
            assert!(failure.help.join("\n").contains(help), "{failure:?}");
        };
        // Helm 4, and helm 3.
        for text in [
            "Job.batch \"once\" is invalid: spec.template: Invalid value: {\"labels\":{\"a\":\"b: c\"},\"Spec\":{}}: field is immutable",
            "cannot patch \"once\" with kind Job: Job.batch \"once\" is invalid: spec.template: Invalid value: \
             core.PodTemplateSpec{ObjectMeta:v1.ObjectMeta{Name:\"\"}}: field is immutable",
        ] {
            check(
                text,
                "spec.template of Job once",
                "field is immutable",
                "kubectl --namespace shop delete job once\nfor good: make it a hook of helm/tiny",
            );
        }
        check(
            "StatefulSet.apps \"db\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \
             'replicas', 'template' are forbidden",
            "spec of StatefulSet db",
            "updates to statefulset spec for fields other than 'replicas', 'template' are forbidden",
            "kubectl --namespace shop delete statefulset db --cascade=orphan",
        );
        check(
            "PersistentVolumeClaim \"data\" is invalid: spec: Forbidden: spec is immutable after creation",
            "spec of PersistentVolumeClaim data",
            "spec is immutable after creation",
            "the data stays in this one",
        );
        check(
            "Service \"a\" is invalid: [spec.clusterIPs[0]: Invalid value: [\"10.0.0.9\"]: may not change once set]",
            "spec.clusterIPs[0] of Service a",
            "may not change once set",
            "kubectl --namespace shop delete service a",
        );
    }

    #[test]
    fn helms_words_become_a_place_a_cause_and_a_next_step() {
        let check = |text: &str, message: &str, cause: &str, help: &str| {
            let failure = failure(&todo(), Path::new("helm/tiny"), text);
            assert_eq!(failure.message, message, "{text}");
            assert!(failure.causes.join(": ").contains(cause), "{failure:?}");
            assert!(failure.help.join("\n").contains(help), "{failure:?}");
        };
        check(
            "Release \"b\" does not exist. Installing it now.\nError: template: tiny/templates/cm.yaml:6:15: executing \
             \"tiny/templates/cm.yaml\" at <.Values.no.such.key>: nil pointer evaluating interface {}.such",
            "helm/tiny/templates/cm.yaml:6:15 does not render",
            "nil pointer evaluating interface {}.such",
            "guard it in the template",
        );
        check(
            "Error: tiny/templates/cm.yaml:6:15\n  executing \"tiny/templates/cm.yaml\" at <.Values.no.such.key>:\n    \
             nil pointer evaluating interface {}.such\n",
            "helm/tiny/templates/cm.yaml:6:15 does not render",
            "<.Values.no.such.key>: nil pointer evaluating interface {}.such",
            "guard it in the template",
        );
        check(
            "Error: UPGRADE FAILED: template: tiny/templates/a.yaml:3:4: executing \"tiny/templates/a.yaml\" at <include \
             \"x\" .>: error calling include: template: tiny/templates/_x.tpl:9:2: executing \"x\" at <.Values.a.b>: wrong",
            "helm/tiny/templates/_x.tpl:9:2 does not render",
            "wrong",
            "correct helm/tiny/templates/_x.tpl",
        );
        check(
            "Error: UPGRADE FAILED: YAML parse error on tiny/templates/cm.yaml: error converting YAML to JSON: yaml: line \
             5: mapping values are not allowed in this context",
            "helm/tiny/templates/cm.yaml does not render",
            "mapping values are not allowed in this context",
            "line 5 of what it renders: helm template helm/tiny --debug --show-only templates/cm.yaml",
        );
        check(
            "Error: execution error at (tiny/charts/db/templates/cm.yaml:5:9): you must set x",
            "helm/tiny/charts/db/templates/cm.yaml:5:9 does not render",
            "you must set x",
            "correct helm/tiny/charts/db/templates/cm.yaml",
        );
        check(
            "Error: parse error at (tiny/templates/cm.yaml:5): missing value for if",
            "helm/tiny/templates/cm.yaml:5 does not render",
            "missing value for if",
            "correct helm/tiny/templates/cm.yaml",
        );
        check(
            "Error: an error occurred while checking for chart dependencies. You may need to run `helm dependency build` \
             to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: redis",
            "the chart helm/tiny lacks a chart that it depends on",
            "redis",
            "helm dependency build helm/tiny",
        );
        check(
            "Error: values don't meet the specifications of the schema(s) in the following chart(s):\ntiny:\n- at \
             '/replicas': got number, want string\n",
            "the values of release todo break the rules of helm/tiny/values.schema.json",
            "at '/replicas': got number, want string",
            "correct the values",
        );
        check(
            "level=WARN msg=\"upgrade failed\" name=b\nError: UPGRADE FAILED: failed to create resource: Service \"xx\" \
             is invalid: [spec.ports[0].port: Invalid value: 99999]",
            "helm could not deploy release todo",
            "Service \"xx\" is invalid: [spec.ports[0].port: Invalid value: 99999]",
            "",
        );
        check(
            "Error: unable to build kubernetes objects from release manifest: resource mapping not found for name: \"x\" \
             namespace: \"\" from \"\": no matches for kind \"Foo\" in version \"v1\"\nensure CRDs are installed first",
            "the chart helm/tiny makes objects of a kind that the cluster does not have",
            "no matches for kind \"Foo\"",
            "CustomResourceDefinition",
        );
    }
}
