//! What the host's BuildKit keeps of builds that nobody goes on from: the archives that it was sent, and stages that
//! are in no image. It is as large as what was made, and whoever makes it again has changed it.
//!
//! Only what came while this run built is removed: records of other builds cost their owners time.

use std::collections::BTreeSet;

use bollard::query_parameters::PruneBuildOptionsBuilder;
use engine::failure::Failure;
use serde::Deserialize;

use crate::world::daemon::Daemon;

/// The daemon's list. Engines of 2026 and later call it another name.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    #[serde(default)]
    build_cache: Option<Vec<Record>>,
    #[serde(default)]
    build_cache_usage: Option<Items>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Items {
    #[serde(default)]
    items: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "ID")]
    id: String,
    /// Layers of an image, which stay with it.
    #[serde(rename = "Shared", default)]
    shared: bool,
}

/// The records that are there, by their IDs.
pub(super) struct BuildCache(BTreeSet<String>);

impl BuildCache {
    /// What is there now.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(super) async fn of(host: &Daemon) -> Result<Self, Failure> {
        Ok(Self(records(host).await?.into_iter().map(|record| record.id).collect()))
    }

    /// Removes what has come since.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(super) async fn remove_later(self, host: &Daemon) -> Result<(), Failure> {
        let docker = host.connect().await?;
        let is_ours = |record: &Record| !record.shared && !self.0.contains(&record.id);
        let mut before = usize::MAX;
        loop {
            let ours: Vec<Record> = records(host).await?.into_iter().filter(is_ours).collect();
            // A record goes only when none is made on it any more.
            if ours.is_empty() || ours.len() >= before {
                return Ok(());
            }
            before = ours.len();
            for record in ours {
                let options =
                    PruneBuildOptionsBuilder::new().all(true).filters(&[("id", vec![record.id])].into()).build();
                docker.prune_build(Some(options)).await.map_err(|error| host.unreachable(&error))?;
            }
        }
    }
}

async fn records(host: &Daemon) -> Result<Vec<Record>, Failure> {
    let doing = "tell what it keeps of builds";
    let answer = host.endpoint()?.get("/system/df?type=build-cache&verbose=true").await;
    let answer = answer.map_err(|error| host.failure(doing, error))?;
    let usage = serde_json::from_slice(answer.body()).map_err(|error| {
        Failure::environment(format!("the docker daemon at {host} would not {doing}")).because(error)
    })?;
    Ok(listed(usage))
}

fn listed(usage: Usage) -> Vec<Record> {
    usage.build_cache.or(usage.build_cache_usage.map(|usage| usage.items)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn records_are_read_from_what_old_and_new_engines_say() {
        let rows = [
            (r#"{"BuildCache": [{"ID": "a", "Shared": true, "Size": 1}, {"ID": "b"}], "Images": []}"#, 2),
            (r#"{"BuildCacheUsage": {"TotalCount": 1, "Items": [{"ID": "a", "Shared": false}]}}"#, 1),
            (r#"{"BuildCache": null}"#, 0),
        ];
        for (text, expected) in rows {
            assert_eq!(listed(serde_json::from_str(text).unwrap()).len(), expected, "{text}");
        }
    }
}
