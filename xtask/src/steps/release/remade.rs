//! Data that has outlived its release and that the next installation would take away: before helm makes the object of a
//! hook, it removes one that is there, whatever is in it.
//!
//! It is known by labels: a removal by this tool gives them to what it leaves, and an installation to what its hooks have
//! made, because somebody else's removal gives none. What an installation that has not come to its end has made has none
//! either: it is made anew.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::failure::Failure;
use kube::Client;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::context::Context;
use crate::steps::Step as _;
use crate::steps::release::ReleaseStep;
use crate::steps::release::inventory::is_hook;
use crate::world::helm::hooks;
use crate::world::helm::record::Record;
use crate::world::kube::apply::Owner;
use crate::world::kube::claims::{self, Claim, Whose};
use crate::world::kube::identity::Address;
use crate::world::kube::kept;
use crate::world::kube::rendered::{self, Rendered};
use crate::world::kube::{PROJECT, STEP};

/// Refuses to install where one of the chart's `objects` is a hook that would take kept data away.
///
/// # Errors
/// That one, with what helps; or the cluster does not answer.
pub async fn refuse(
    cx: &Context,
    step: &ReleaseStep,
    client: &Client,
    chart: &Path,
    objects: &[Rendered],
) -> Result<(), Failure> {
    let mut lost = Vec::new();
    let may_hold = |object: &&Rendered| hooks::is_made_once(object) && !looks_first(object, chart);
    for hook in objects.iter().filter(may_hold) {
        let address = Address::of_known(client, &step.kinds, hook, &step.definition.namespace).await?;
        let Some(address) = address else { continue };
        let live = address.read(client).await?;
        if live.is_some_and(|live| was_kept(&live, &cx.project, &step.id().file_stem()) && holds_more(&live, hook)) {
            let place = address.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}"));
            lost.push(format!("{}{}", address.title(), place.unwrap_or_default()));
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    let lost = lost.join(", ");
    Err(Failure::step(format!("helm would remove data that was kept, and make it anew: {lost}"))
        .because("the chart makes it in a hook, and before helm makes that it removes what is there of the name")
        .help("have the chart make it only where `lookup` finds none, or outside of hooks, kept by helm.sh/resource-policy")
        .help("or, if the data is not needed any more, have it removed: cargo xtask teardown --data"))
}

/// Labels what hooks of the installed revision `record` have made, are not to make again and may have data in: so it is
/// known, whoever takes the release away.
///
/// # Errors
/// When the cluster does not answer, or an object cannot be labelled.
pub async fn remember(cx: &Context, step: &ReleaseStep, client: &Client, record: &Record) -> Result<(), Failure> {
    let (stem, namespace) = (step.id().file_stem(), step.definition.namespace.as_str());
    let whose = Whose { project: &cx.project, step: &stem, namespace, release: &step.definition.name };
    for hook in &record.hooks {
        for object in rendered::objects(&hook.manifest, &format!("the hook {}", hook.name))? {
            if !hooks::is_made_once(&object) || !may_hold_data(&object.kind) {
                continue;
            }
            let Some(address) = Address::of_known(client, &step.kinds, &object, namespace).await? else { continue };
            let live = address.read(client).await?.filter(is_hook);
            if live.is_none_or(|live| was_kept(&live, &cx.project, &stem)) {
                continue;
            }
            let beside = match &address.namespace {
                Some(namespace) if object.kind == "Secret" => claims::all(client, namespace).await?,
                _ => Vec::new(),
            };
            if object.kind != "Secret" || may_open(&beside, &whose) {
                kept::mark(client, &address, &Owner { project: &cx.project, step: &stem }).await?;
            }
        }
    }
    Ok(())
}

/// Whether objects of a kind hold data, or may open what does.
fn may_hold_data(kind: &str) -> bool {
    matches!(kind, "PersistentVolumeClaim" | "PersistentVolume" | "Secret")
}

/// Whether a Secret of a release may open what is in one of the `claims` beside it: in all that are not another's.
fn may_open(claims: &[Claim], whose: &Whose<'_>) -> bool {
    claims.iter().any(|claim| claim.is_of(whose) != Some(false))
}

/// Whether the chart may look at what is there before it makes the object: rendered without the cluster, it finds
/// nothing.
fn looks_first(object: &Rendered, chart: &Path) -> bool {
    match object.kind.as_str() {
        // What is taken from an old Secret for a new one is mostly looked up somewhere else in the chart.
        "Secret" => rendered::is_mentioned(chart, "lookup"),
        _ => {
            let template = object.source.as_deref().and_then(|source| source.split_once('/'));
            template.is_some_and(|(_, path)| {
                std::fs::read_to_string(chart.join(path)).is_ok_and(|text| text.contains("lookup"))
            })
        }
    }
}

/// Whether the object bears the labels of what this step has left as data, or is to leave.
fn was_kept(live: &DynamicObject, project: &str, step: &str) -> bool {
    let labels = live.metadata.labels.as_ref();
    let label = |name: &str| labels.and_then(|labels| labels.get(name)).map(String::as_str);
    (label(PROJECT), label(STEP)) == (Some(project), Some(step))
}

/// Whether something is in the object that is not in what the chart would make.
fn holds_more(live: &DynamicObject, wanted: &Rendered) -> bool {
    match wanted.kind.as_str() {
        "PersistentVolumeClaim" | "PersistentVolume" => true,
        "Secret" => {
            let texts = |field: &Value| -> BTreeMap<String, String> {
                let entries = field.as_object().into_iter().flatten();
                entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
            };
            let mut made = texts(&wanted.body["data"]);
            let plain = texts(&wanted.body["stringData"]);
            made.extend(plain.into_iter().map(|(key, value)| (key, STANDARD.encode(value))));
            texts(&live.data["data"]) != made
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::{Value, json};

    use super::{holds_more, looks_first, may_hold_data, may_open, was_kept};
    use crate::world::kube::claims::{Claim, Whose};
    use crate::world::kube::rendered::{self, Rendered};

    fn hook(kind: &str, rest: &Value) -> Rendered {
        let mut body = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let text = format!("# Source: chart/templates/a.yaml\n{body}");
        rendered::objects(&text, "test").unwrap().remove(0)
    }

    fn live(rest: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "labels": {"xtask/project": "todo", "xtask/step": "release-todo"}},
            "data": rest["data"],
        }))
        .unwrap()
    }

    #[test]
    fn a_claim_always_holds_more_and_a_secret_what_is_made_otherwise() {
        let check = |kind: &str, wanted: Value, there: Value, expected: bool| {
            assert_eq!(holds_more(&live(&there), &hook(kind, &wanted)), expected, "{kind} {wanted} {there}");
        };
        let there = json!({"data": {"password": "b2xk"}});
        check("PersistentVolumeClaim", json!({}), json!({}), true);
        check("ConfigMap", json!({"data": {"a": "new"}}), json!({"data": {"a": "old"}}), false);
        check("Secret", json!({"stringData": {"password": "old"}}), there.clone(), false);
        check("Secret", json!({"data": {"password": "b2xk"}}), there.clone(), false);
        check("Secret", json!({"stringData": {"password": "new"}}), there.clone(), true);
        check("Secret", json!({}), there, true);
    }

    #[test]
    fn only_what_this_step_has_left_was_kept() {
        let object = live(&json!({}));
        assert!(was_kept(&object, "todo", "release-todo"));
        assert!(!was_kept(&object, "other", "release-todo") && !was_kept(&object, "todo", "release-other"));
    }

    #[test]
    fn what_hooks_make_is_remembered_where_it_is_data_or_may_open_some() {
        for (kind, expected) in
            [("PersistentVolumeClaim", true), ("PersistentVolume", true), ("Secret", true), ("Job", false)]
        {
            assert_eq!(may_hold_data(kind), expected, "{kind}");
        }
        let claim = |labels: Value| {
            Claim::of(serde_json::from_value(json!({"name": "data", "labels": labels})).unwrap()).unwrap()
        };
        let whose = Whose { project: "shop", step: "release-todo", namespace: "todo", release: "todo" };
        let others = claim(json!({"app.kubernetes.io/instance": "other"}));
        assert!(!may_open(&[], &whose));
        assert!(!may_open(std::slice::from_ref(&others), &whose));
        assert!(may_open(&[others, claim(json!({"app": "db"}))], &whose));
    }

    #[test]
    fn a_chart_that_looks_first_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(folder.path().join("templates")).unwrap();
            std::fs::write(folder.path().join("templates").join(name), text).unwrap();
        };
        let check = |claim: bool, secret: bool| {
            assert_eq!(looks_first(&hook("PersistentVolumeClaim", &json!({})), folder.path()), claim);
            assert_eq!(looks_first(&hook("Secret", &json!({})), folder.path()), secret);
        };
        write("a.yaml", "kind: PersistentVolumeClaim");
        check(false, false);
        write("_helpers.tpl", "{{ lookup \"v1\" \"Secret\" }}");
        check(false, true);
        write("a.yaml", "{{ if not (lookup \"v1\" \"PersistentVolumeClaim\") }}");
        check(true, true);
    }
}
