//! The records that helm keeps of a release: one Secret per revision, labelled with name, status and version.
//!
//! The content is JSON, compressed by gzip, as base64 inside the Secret's own base64; helm 3 and 4 write it alike.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::failure::Failure;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions};
use kube::{Client, ResourceExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::kube::rendered::{self, Rendered};
use crate::world::kube::{MANAGER, error};

/// What helm says about a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It is what the cluster should run.
    Deployed,
    /// A later revision took its place.
    Superseded,
    /// Its upgrade, installation or rollback did not succeed.
    Failed,
    /// It was removed, and its history kept.
    Uninstalled,
    /// It is being removed.
    Uninstalling,
    /// Its installation has begun.
    PendingInstall,
    /// Its upgrade has begun.
    PendingUpgrade,
    /// Its rollback has begun.
    PendingRollback,
    /// Anything else.
    #[serde(other)]
    Unknown,
}

impl Status {
    /// Helm's own word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalled => "uninstalled",
            Self::Uninstalling => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
            Self::Unknown => "unknown",
        }
    }

    fn of(word: &str) -> Self {
        serde_json::from_value(word.into()).unwrap_or(Self::Unknown)
    }

    /// Whether helm has begun something and not ended it: it refuses to do anything else before that.
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback | Self::Uninstalling)
    }
}

/// What the labels of a record tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Counted from 1; every install, upgrade and rollback makes the next.
    pub revision: u32,
    /// What helm says about it.
    pub status: Status,
    /// The name of the record's Secret.
    pub secret: String,
    /// For writing the record only if nobody else has.
    pub uid: String,
}

impl Head {
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        let label = |name: &str| metadata.labels.as_ref()?.get(name);
        Some(Self {
            revision: label("version")?.parse().ok()?,
            status: Status::of(label("status")?),
            secret: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
        })
    }
}

/// A whole record.
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    /// The release's name.
    pub name: String,
    /// Counted from 1.
    #[serde(rename = "version")]
    pub revision: u32,
    /// How it went.
    pub info: Info,
    /// The rendered objects, hooks left out.
    #[serde(default)]
    pub manifest: String,
    /// Objects that helm makes at certain moments and forgets.
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// The values that were given.
    #[serde(default)]
    pub config: Value,
    /// The chart.
    pub chart: Chart,
    /// `ssa` when helm 4 applied it on the server's side; helm 3 says nothing.
    #[serde(default)]
    pub apply_method: Option<String>,
}

/// How a revision went.
#[derive(Debug, Clone, Deserialize)]
pub struct Info {
    /// What helm says about it.
    pub status: Status,
    /// In words.
    #[serde(default)]
    pub description: String,
    /// When its installation, upgrade or rollback began, in the time of the machine that helm ran on.
    #[serde(default)]
    pub last_deployed: String,
    /// When its removal began; empty before that.
    #[serde(default)]
    pub deleted: String,
}

impl Info {
    /// When helm began what it did last; `None` where it says nothing that can be read.
    pub fn begun(&self) -> Option<Timestamp> {
        [&self.deleted, &self.last_deployed].into_iter().find_map(|time| time.parse().ok())
    }
}

/// A hook: an object with the moments at which helm makes it.
#[derive(Debug, Clone, Deserialize)]
pub struct Hook {
    /// The object's name.
    pub name: String,
    /// The object's kind.
    pub kind: String,
    /// The rendered object.
    #[serde(default)]
    pub manifest: String,
    /// `pre-upgrade` and the like.
    #[serde(default)]
    pub events: Vec<String>,
}

/// What a record keeps of the chart, as far as it is used here.
#[derive(Debug, Clone, Deserialize)]
pub struct Chart {
    /// `Chart.yaml`.
    pub metadata: ChartMetadata,
}

/// Name and version of a chart.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartMetadata {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
}

/// All records of a release by their labels, oldest first: one request, and none of the contents.
pub async fn history(client: &Client, namespace: &str, release: &str) -> Result<Vec<Head>, Failure> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&format!("owner=helm,name={release}"));
    let list = secrets.list_metadata(&params).await.map_err(|found| {
        error::failed(&format!("list helm's records of {release} in namespace {namespace}"), &found)
    })?;
    let mut heads: Vec<Head> = list.items.iter().filter_map(|item| Head::of(&item.metadata)).collect();
    heads.sort_by_key(|head| head.revision);
    Ok(heads)
}

/// The newest record of a release by its labels.
pub async fn newest(client: &Client, namespace: &str, release: &str) -> Result<Option<Head>, Failure> {
    Ok(history(client, namespace, release).await?.pop())
}

/// Reads a whole record.
pub async fn read(client: &Client, namespace: &str, head: &Head) -> Result<Record, Failure> {
    let (_, content) = content(client, namespace, head).await?;
    serde_json::from_value(content).map_err(|error| unreadable(&head.secret, &error))
}

/// All that all kept revisions of all releases say (values, manifests, hooks), one text each.
pub async fn contents_of_all(client: &Client) -> Result<Vec<String>, Failure> {
    let secrets: Api<Secret> = Api::all(client.clone());
    let list = secrets.list(&ListParams::default().labels("owner=helm")).await;
    let list = list.map_err(|found| error::failed("list helm's records", &found))?;
    let contents = list.items.iter().map(|secret| {
        let content = decode(stored(secret)).map_err(|error| unreadable(&secret.name_any(), &error))?;
        Ok(content.to_string())
    });
    contents.collect()
}

/// Rewrites a record as failed, with `description`; helm then goes on from it.
pub async fn mark_failed(client: &Client, namespace: &str, head: &Head, description: &str) -> Result<(), Failure> {
    let (mut secret, mut content) = content(client, namespace, head).await?;
    content["info"]["status"] = Status::Failed.word().into();
    content["info"]["description"] = description.into();
    secret.metadata.labels.get_or_insert_default().insert("status".to_owned(), Status::Failed.word().to_owned());
    write(client, namespace, head, &mut secret, &content, "mark as failed").await
}

/// Writes a record back, refused when helm has written it since.
async fn write(
    client: &Client,
    namespace: &str,
    head: &Head,
    secret: &mut Secret,
    content: &Value,
    doing: &str,
) -> Result<(), Failure> {
    let encoded = encode(content).map_err(|error| unreadable(&head.secret, &error))?;
    secret.data.get_or_insert_default().insert("release".to_owned(), ByteString(encoded));
    let params = PostParams { dry_run: false, field_manager: Some(MANAGER.to_owned()) };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let written = secrets.replace(&head.secret, &params, secret).await;
    written.map(drop).map_err(|found| error::failed(&format!("{doing} helm's record {}", head.secret), &found))
}

/// Rewrites a record so that helm leaves `objects` alone when it removes the release.
pub async fn keep(client: &Client, namespace: &str, head: &Head, objects: &[&Rendered]) -> Result<(), Failure> {
    let (mut secret, mut content) = content(client, namespace, head).await?;
    content["manifest"] = kept(content["manifest"].as_str().unwrap_or_default(), objects).into();
    write(client, namespace, head, &mut secret, &content, "have volumes kept by").await
}

/// Rewrites a record without `objects`, which are gone with their kinds: helm could not remove the release otherwise.
pub async fn leave_out(client: &Client, namespace: &str, head: &Head, objects: &[Rendered]) -> Result<(), Failure> {
    let (mut secret, mut content) = content(client, namespace, head).await?;
    content["manifest"] = without(content["manifest"].as_str().unwrap_or_default(), objects).into();
    write(client, namespace, head, &mut secret, &content, "leave objects that are gone out of").await
}

/// `manifest` without the documents of `objects`.
fn without(manifest: &str, objects: &[Rendered]) -> String {
    let is_left_out = |document: &str| {
        let found = rendered::parse(document).ok().flatten();
        found.is_some_and(|found| objects.iter().any(|object| object.body == found))
    };
    let kept = rendered::documents(manifest).flat_map(single).filter(|document| !is_left_out(document));
    kept.map(|document| format!("---\n{document}\n")).collect()
}

/// A document, or those of a List's items: helm treats all in one document alike.
fn single(document: &str) -> Vec<String> {
    let list = rendered::parse(document).ok().flatten().filter(|found| found["kind"] == "List");
    match list.as_ref().and_then(|list| list["items"].as_array()) {
        Some(items) => items.iter().flat_map(|item| single(&item.to_string())).collect(),
        None => vec![document.to_owned()],
    }
}

/// `manifest` with the annotation by which helm leaves an object alone, on `objects`.
fn kept(manifest: &str, objects: &[&Rendered]) -> String {
    let mut text = String::new();
    for document in rendered::documents(manifest).flat_map(single) {
        text.push_str("---\n");
        let object = rendered::parse(&document).ok().flatten();
        match object.filter(|found| objects.iter().any(|object| object.body == *found)) {
            Some(mut object) => {
                object["metadata"]["annotations"]["helm.sh/resource-policy"] = "keep".into();
                text.push_str(&object.to_string());
            }
            None => text.push_str(&document),
        }
        text.push('\n');
    }
    text
}

/// Removes a record.
pub async fn remove(client: &Client, namespace: &str, head: &Head) -> Result<(), Failure> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let this = Preconditions { uid: Some(head.uid.clone()), resource_version: None };
    match secrets.delete(&head.secret, &DeleteParams::default().preconditions(this)).await {
        Err(found) if !error::is_missing(&found) => {
            Err(error::failed(&format!("remove helm's record {}", head.secret), &found))
        }
        _ => Ok(()),
    }
}

async fn content(client: &Client, namespace: &str, head: &Head) -> Result<(Secret, Value), Failure> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get(&head.secret).await;
    let secret = secret.map_err(|found| error::failed(&format!("read helm's record {}", head.secret), &found))?;
    let content = decode(stored(&secret)).map_err(|error| unreadable(&head.secret, &error))?;
    Ok((secret, content))
}

/// The bytes of a record's content.
fn stored(secret: &Secret) -> &[u8] {
    let data = secret.data.as_ref().and_then(|data| data.get("release"));
    data.map_or(&[][..], |data| data.0.as_slice())
}

fn unreadable(secret: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::step(format!("helm's record {secret} cannot be read"))
        .because(error)
        .help(format!("if helm cannot read it either, remove it: kubectl delete secret {secret}"))
}

/// A record's content from its bytes in the Secret.
fn decode(bytes: &[u8]) -> std::io::Result<Value> {
    let mut content = STANDARD.decode(bytes).map_err(std::io::Error::other)?;
    // Records that were converted from helm 2 may be without compression, and helm reads them too.
    if content.starts_with(&[0x1f, 0x8b]) {
        let mut json = Vec::new();
        GzDecoder::new(&content[..]).read_to_end(&mut json)?;
        content = json;
    }
    Ok(serde_json::from_slice(&content)?)
}

fn encode(content: &Value) -> std::io::Result<Vec<u8>> {
    let mut compressed = GzEncoder::new(Vec::new(), flate2::Compression::best());
    compressed.write_all(&serde_json::to_vec(content)?)?;
    Ok(STANDARD.encode(compressed.finish()?).into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Record, Rendered, Status, decode, encode, kept, without};
    use crate::world::kube::rendered;

    #[test]
    fn what_is_written_reads_back() {
        let content = json!({
            "name": "todo", "version": 3, "namespace": "todo", "manifest": "---\nkind: Service\n", "config": {"a": 1},
            "info": {"status": "pending-upgrade", "description": "Preparing upgrade"},
            "chart": {"metadata": {"name": "tiny", "version": "0.1.0", "apiVersion": "v2"}, "templates": []},
            "hooks": [{"name": "migrate", "kind": "Job", "manifest": "kind: Job", "events": ["pre-upgrade"]}],
        });
        let read = decode(&encode(&content).unwrap()).unwrap();
        assert_eq!(read, content);
        let record: Record = serde_json::from_value(read).unwrap();
        assert_eq!((record.revision, record.info.status), (3, Status::PendingUpgrade));
        assert_eq!(record.hooks[0].events, ["pre-upgrade"]);
    }

    #[test]
    fn only_the_objects_that_are_to_stay_are_kept() {
        let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
        let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n";
        let other = claim.replace("name: data", "name: scratch");
        let staying = rendered::objects(claim, "test").unwrap();
        let text = kept(&format!("{service}{claim}{other}"), &staying.iter().collect::<Vec<_>>());
        assert!(text.starts_with(service), "{text}");
        let objects = rendered::objects(&text, "test").unwrap();
        let policies: Vec<_> = objects.iter().map(|object| object.annotation("helm.sh/resource-policy")).collect();
        assert_eq!(policies, [None, Some("keep"), None]);
    }

    #[test]
    fn the_objects_of_a_list_stay_or_go_each_for_itself() {
        let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}}\n\
                    - {apiVersion: v1, kind: Service, metadata: {name: a}}\n";
        let objects = rendered::objects(list, "test").unwrap();
        let names = |text: &str| -> Vec<(String, bool)> {
            let found = rendered::objects(text, "test").unwrap();
            let asks = |object: &Rendered| object.annotation("helm.sh/resource-policy") == Some("keep");
            found.iter().map(|object| (object.name.clone(), asks(object))).collect()
        };
        let text = kept(list, &[&objects[0]]);
        assert_eq!(names(&text), [("data".to_owned(), true), ("a".to_owned(), false)]);
        assert_eq!(rendered::documents(&text).filter(|document| !document.trim().is_empty()).count(), 2, "{text}");
        assert_eq!(names(&without(list, &objects[..1])), [("a".to_owned(), false)]);
    }

    #[test]
    fn only_the_objects_that_are_gone_are_left_out() {
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
        let widget = "# Source: tiny/templates/a.yaml\napiVersion: example.org/v1\nkind: Widget\nmetadata: {name: a}\n";
        let other = widget.replace("Widget", "Gadget");
        let text = format!("---\n{service}---\n{widget}---\n{other}");
        let gone = rendered::objects(widget, "test").unwrap();
        let left = rendered::objects(&without(&text, &gone), "test").unwrap();
        assert_eq!(left.iter().map(Rendered::title).collect::<Vec<_>>(), ["Service a", "Gadget a"]);
    }

    #[test]
    fn statuses_are_helms_words() {
        let check = |word: &str, status: Status, pending: bool| {
            assert_eq!((Status::of(word), Status::of(word).is_pending()), (status, pending));
            assert_eq!(status.word(), if status == Status::Unknown { "unknown" } else { word });
        };
        check("deployed", Status::Deployed, false);
        check("pending-install", Status::PendingInstall, true);
        check("pending-rollback", Status::PendingRollback, true);
        check("uninstalling", Status::Uninstalling, true);
        check("failed", Status::Failed, false);
        check("something new", Status::Unknown, false);
    }
}
