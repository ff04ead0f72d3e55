//! Brings a release to what it should be: drift put back, helm, and the watch until its pods run what they should.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::event::{Event, Level};
use engine::failure::Failure;
use engine::step::StepId;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::dayzero::bases::{self, Wanted};
use crate::dev::overlay::Amendment;
use crate::diagnose::evidence::Identity as Workload;
use crate::steps::cluster;
use crate::steps::exclusive::{self, under_lease};
use crate::steps::namespace;
use crate::steps::release::ReleaseStep;
use crate::steps::release::changes::Changes;
use crate::steps::release::gone_kinds;
use crate::steps::release::observed::{self, Known, Observed};
use crate::steps::release::remade;
use crate::world::docker::familiar;
use crate::world::helm::annotate;
use crate::world::helm::complaint;
use crate::world::helm::hooks;
use crate::world::helm::pending::{self, Ours};
use crate::world::helm::program::{HISTORY, Helm, Place, Upgrade};
use crate::world::helm::record::{self, Head, Record, Status};
use crate::world::helm::unread::Reads;
use crate::world::kube::drift::{Found, Inspected};
use crate::world::kube::identity::{self, Address};
use crate::world::kube::lease;
use crate::world::kube::put_back::{put_back, resume, rolls_pods};
use crate::world::kube::rendered::{self, Rendered};
use crate::world::pause;
use crate::world::settle::scope::{self, Scope};
use crate::world::settle::{Expected, Settled, Watch};

/// A release that runs as it should.
pub struct Deployed {
    /// What was left in the world.
    pub left: Observed,
    /// How its workloads are.
    pub settled: Settled,
}

/// What is deployed, all inputs gathered.
pub struct Plan {
    /// Helm.
    pub helm: Helm,
    /// Where.
    pub place: Place,
    /// The chart's folder.
    pub chart: PathBuf,
    /// The values.
    pub values: super::inputs::Values,
    /// The Secrets that its pods may read.
    pub secrets: annotate::Secrets,
    /// What `dev` changes in the manifests; nothing in a deploy.
    pub amendments: Vec<Amendment>,
    /// What helm's record says of the revision.
    pub description: String,
    /// What an earlier deploy has left.
    pub left: Option<Observed>,
    /// Whether the API server's schemas are asked before anything is applied.
    pub validate: bool,
}

impl Plan {
    /// Has helm render the chart without the cluster, as one of the version `kubernetes` where that is known.
    pub async fn rehearse(
        &self,
        cx: &Context,
        step: &ReleaseStep,
        kubernetes: Option<&str>,
    ) -> Result<String, Failure> {
        let upgrade = self.upgrade(step, true, None);
        self.helm.render(&upgrade, kubernetes, cx.redact(), &cx.cancel).await
    }

    fn upgrade<'a>(
        &'a self,
        step: &'a ReleaseStep,
        server_side: bool,
        post_renderer: Option<(PathBuf, PathBuf)>,
    ) -> Upgrade<'a> {
        Upgrade {
            place: &self.place,
            chart: &self.chart,
            shown: &step.definition.chart,
            values: &self.values.all,
            server_side,
            post_renderer,
            description: self.description.as_str(),
            timeout: step.definition.timeout,
            // However often `dev` upgrades, the revision that it goes back to at the end is there. That one's upgrade or
            // rollback removes what is too much.
            history: if self.amendments.is_empty() { HISTORY } else { 0 },
            validate: self.validate,
        }
    }
}

/// How often helm is run while another helm is in its way.
const ATTEMPTS: u32 = 5;

const SECOND: Duration = Duration::from_secs(1);

/// One deploy of a release.
pub struct Deploy<'a> {
    /// The run.
    pub cx: &'a Context,
    /// The step.
    pub step: &'a ReleaseStep,
    /// The API server.
    pub client: Client,
}

impl Deploy<'_> {
    /// Only waits: nothing is wrong with the objects, something is with their pods.
    pub async fn settle(&self, left: Observed) -> Result<Deployed, Failure> {
        let mut watch = Watch::begin(self.client.clone(), self.scope(&left), self.cx.redact()).await?;
        self.settled(&mut watch, left).await
    }

    /// Upgrades under the namespace's Lease.
    pub async fn upgrade(&self, plan: &Plan) -> Result<Deployed, Failure> {
        let place = plan.place.namespace.as_str();
        namespace::ensure(self.cx, &self.step.id, &self.client, place).await?;
        under_lease(self.cx, &self.step.id, &self.client, place, Box::pin(self.upgrade_alone(plan))).await
    }

    /// Makes the next revision as `head` was, under the namespace's Lease, and waits for its pods.
    pub async fn roll_back(&self, helm: &Helm, head: &Head) -> Result<Deployed, Failure> {
        let place = self.step.place(self.cx);
        let namespace = place.namespace.as_str();
        let work = async {
            self.clear(&place).await?;
            let (_, newest) = self.newest(namespace, &place.release).await?;
            let scope = self.release_scope().with(self.workloads(namespace, &newest).await?);
            let mut watch = Watch::begin(self.client.clone(), scope, self.cx.redact()).await?;
            let record = record::read(&self.client, namespace, head).await?;
            let server_side = record.apply_method.as_deref() == Some("ssa");
            let timeout = self.step.definition.timeout;
            let rollback = helm.rollback(&place, head.revision, server_side, timeout, &self.cx.cancel);
            self.noted(&place, rollback).await?;
            let (head, record) = self.newest(namespace, &place.release).await?;
            self.put_back(namespace, &record, None, None).await?;
            let left = self.look(namespace, &head, &record).await?;
            self.settled(&mut watch, left).await
        };
        under_lease(self.cx, &self.step.id, &self.client, namespace, Box::pin(work)).await
    }

    /// Removes the release with its history. Only while holding the namespace's Lease.
    pub async fn uninstall_alone(&self, helm: &Helm) -> Result<(), Failure> {
        let place = self.step.place(self.cx);
        self.noted(&place, helm.uninstall(&place, &self.cx.cancel)).await
    }

    async fn upgrade_alone(&self, plan: &Plan) -> Result<Deployed, Failure> {
        let Place { namespace, release, .. } = &plan.place;
        let ours = self.clear(&plan.place).await?;
        let newest = record::newest(&self.client, namespace, release).await?;
        let before = match &newest {
            Some(head) => Some(record::read(&self.client, namespace, head).await?),
            None => None,
        };
        if let Some(record) = &before {
            gone_kinds::bring_back(self.cx, self.step, &self.client, &plan.chart, record).await?;
        }
        let deployed = before.as_ref().filter(|record| record.info.status == Status::Deployed);
        self.warn_of_unread(plan);
        self.provide_images(plan).await?;
        if before.is_none() && plan.values.has_secrets() {
            let text = format!("helm gets secret values and keeps them in its history, in namespace {namespace}");
            self.cx.note(&self.step.id, Level::Info, text);
        }
        let mut scope = plan.left.as_ref().map_or_else(|| self.release_scope(), |left| self.scope(left));
        if let Some(record) = &before {
            scope = scope.with(self.workloads(namespace, record).await?);
        }
        let hooks = self.hooks(plan).await?;
        if before.is_none() {
            remade::refuse(self.cx, self.step, &self.client, &plan.chart, &hooks).await?;
        }
        let hooks = hooks::workloads(&hooks, namespace);
        let scope = scope.with(hooks.iter().cloned());
        // Before the first write, so that pods which only a put-back has replaced are not told as unchanged.
        let mut watch = Watch::begin(self.client.clone(), scope, self.cx.redact()).await?;
        let mut held = Vec::new();
        let changed = async {
            if let Some(record) = deployed {
                self.put_back(namespace, record, plan.left.as_ref(), Some(&mut held)).await?;
            }
            self.noted(&plan.place, self.run_helm(plan, before.as_ref(), &ours, &watch, &hooks)).await
        };
        let changed = changed.await;
        // However helm has ended: nothing stays held back.
        let resumed = try_join_all(held.iter().map(|address| resume(&self.client, address))).await;
        changed?;
        resumed?;
        let (head, record) = self.newest(namespace, release).await?;
        if deployed.is_none() && newest.is_some() {
            // After a failed revision nobody knows what of it is there, and helm compares with what it thinks is.
            self.put_back(namespace, &record, None, None).await?;
        }
        let left = self.look(namespace, &head, &record).await?;
        let deployed = self.settled(&mut watch, left).await?;
        // By now the sets have had their claims made.
        remade::remember(self.cx, self.step, &self.client, &record).await?;
        Ok(deployed)
    }

    /// Returns when no helm is at work on the release, with what tells ours from others.
    async fn clear(&self, place: &Place) -> Result<Ours, Failure> {
        let description = self.step.description(self.cx);
        let ours = Ours::of(&self.client, &place.namespace, &place.release, description).await?;
        self.wait_or_repair(place, &ours).await?;
        Ok(ours)
    }

    async fn wait_or_repair(&self, place: &Place, ours: &Ours) -> Result<(), Failure> {
        lease::confirm(&self.client, &place.namespace, &exclusive::holder(&self.step.id)).await?;
        let waiting = |holder| self.cx.tell(Event::Waiting { step: self.step.id.clone(), holder });
        let repaired = tokio::select! {
            repaired = pending::clear(&self.client, &place.namespace, &place.release, ours, waiting) => repaired?,
            () = self.cx.cancel.cancelled() => return Err(Failure::interrupted()),
        };
        if let Some(repaired) = repaired {
            self.cx.note(&self.step.id, Level::Warning, repaired);
        }
        Ok(())
    }

    /// Awaits `helm`, which runs helm, so that whatever comes of it the next run knows what it may repair.
    async fn noted<T>(&self, place: &Place, helm: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let Place { namespace, release, .. } = place;
        let holder = exclusive::holder(&self.step.id);
        let started = pending::note_start(&self.client, namespace, &holder, release).await?;
        let ended = helm.await;
        let cleaned = async {
            // What is pending now may be somebody else's.
            lease::confirm(&self.client, namespace, &holder).await?;
            // A helm that found another one in its way has left nothing.
            if ended.as_ref().is_err_and(|failure| !complaint::is_in_the_way(failure)) {
                pending::clean_up(&self.client, namespace, release, started).await?;
            }
            pending::note_end(&self.client, namespace, &holder, release).await
        };
        let cleaned = cleaned.await;
        let ended = ended?;
        cleaned.map(|()| ended)
    }

    /// Gives what was changed by hand its values back: helm changes only what differs between two manifests. Where
    /// something is `held`, pods that this would roll are left for what comes after, and their Deployments added to it.
    async fn put_back(
        &self,
        namespace: &str,
        record: &Record,
        left: Option<&Observed>,
        mut held: Option<&mut Vec<Address>>,
    ) -> Result<(), Failure> {
        let objects = observed::objects(&self.client, &self.step.kinds, namespace, record).await?;
        let addresses = objects.known.into_iter().map(|(address, _)| address).collect();
        let seen = identity::look(&self.client, &addresses).await?;
        let as_left = |address: &Address| {
            let seen = seen.get(address).and_then(Option::as_ref).map(|seen| &seen.identity);
            left.is_some_and(|left| left.is_as_left(address, seen))
        };
        let suspects: Vec<&Address> = addresses.iter().filter(|address| !as_left(address)).collect();
        for inspected in observed::inspect(&self.client, &self.step.kinds, namespace, record, &suspects).await? {
            self.put_one_back(&inspected, held.as_deref_mut()).await?;
        }
        Ok(())
    }

    async fn put_one_back(&self, inspected: &Inspected, held: Option<&mut Vec<Address>>) -> Result<(), Failure> {
        if let Found::There { differences, live, .. } = &inspected.found
            && !differences.is_empty()
        {
            for sentence in inspected.sentences() {
                self.cx.note(&self.step.id, Level::Info, format!("putting back: {sentence}"));
            }
            let hold = held.filter(|_| rolls_pods(&inspected.address, live, differences));
            put_back(&self.client, &inspected.address, live, differences, hold.is_some()).await?;
            hold.into_iter().for_each(|held| held.push(inspected.address.clone()));
        }
        Ok(())
    }

    fn warn_of_unread(&self, plan: &Plan) {
        for unread in Reads::of_chart(&plan.chart).unread(&plan.values.given) {
            let chart = self.step.definition.chart.display();
            let mut text = format!("no template of {chart} reads the value {}", unread.path);
            if let Some(nearest) = unread.nearest {
                text.push_str(&format!("; did you mean {nearest}?"));
            }
            self.cx.note(&self.step.id, Level::Warning, text);
        }
    }

    /// Gets images that the pods name and the node lacks, where they may be among those that can be assembled.
    async fn provide_images(&self, plan: &Plan) -> Result<(), Failure> {
        let cluster: cluster::Facts = self.cx.facts(&StepId::cluster())?;
        if cluster.profile.is_none() {
            return Ok(());
        }
        let daemon = self.cx.world.node_daemon().await?;
        let inventory = self.cx.world.inventory(&daemon).await?;
        let values = plan.values.all.to_string();
        let mentioned = |name: &str| {
            name.split(':').next().is_some_and(|repository| {
                values.contains(repository) || rendered::is_mentioned(&plan.chart, repository)
            })
        };
        // Rendering costs a process; mostly everything is there, or nothing of the kind is spoken of.
        if !bases::absent(&inventory).any(mentioned) {
            return Ok(());
        }
        let text = plan
            .helm
            .render(
                &plan.upgrade(self.step, true, None),
                self.kubernetes().as_deref(),
                self.cx.redact(),
                &self.cx.cancel,
            )
            .await?;
        let chart = self.step.definition.chart.display();
        let objects = rendered::objects(&text, &chart.to_string())?;
        let images: BTreeSet<&str> = objects.iter().flat_map(Rendered::images).collect();
        let wanted = images.into_iter().filter(|image| bases::absent(&inventory).any(|name| name == familiar(image)));
        let wanted: Vec<_> = wanted.map(|name| Wanted { name, place: chart.to_string() }).collect();
        bases::provide(self.cx, &self.step.id, &daemon, &wanted).await.map(drop)
    }

    /// The chart's objects, where helm may make some of them at certain moments of the upgrade.
    async fn hooks(&self, plan: &Plan) -> Result<Vec<Rendered>, Failure> {
        // Rendering costs a process; most charts have no hooks.
        if !hooks::may_have(&plan.chart) {
            return Ok(Vec::new());
        }
        let text = plan
            .helm
            .render(
                &plan.upgrade(self.step, true, None),
                self.kubernetes().as_deref(),
                self.cx.redact(),
                &self.cx.cancel,
            )
            .await?;
        rendered::objects(&text, &self.step.definition.chart.display().to_string())
    }

    /// Runs helm under the watch, again when another helm was about to end.
    async fn run_helm(
        &self,
        plan: &Plan,
        before: Option<&Record>,
        ours: &Ours,
        watch: &Watch,
        hooks: &[Workload],
    ) -> Result<(), Failure> {
        let folder = tempfile::Builder::new().prefix("xtask-release-").tempdir();
        let folder = folder.map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), &error))?;
        let post_renderer = self.post_renderer(plan, folder.path())?;
        let server_side = before.is_none_or(|record| record.apply_method.as_deref() == Some("ssa"));
        let upgrade = plan.upgrade(self.step, server_side, post_renderer);
        self.cx.progress(&self.step.id, "helm upgrade");
        let mut attempt = 1;
        loop {
            match self.run_helm_once(plan, &upgrade, watch, hooks).await {
                // The helm of a run that was killed takes a moment to hear of it, and writes a record meanwhile.
                Err(failure) if attempt < ATTEMPTS && complaint::is_in_the_way(&failure) => {
                    attempt += 1;
                    pause(SECOND).await;
                    self.wait_or_repair(&plan.place, ours).await?;
                }
                // Without the post-renderer helm says in which file it is.
                Err(failure) if complaint::is_about_some_file(&failure) => {
                    let rendered = plan
                        .helm
                        .render(&upgrade, self.kubernetes().as_deref(), self.cx.redact(), &self.cx.cancel)
                        .await;
                    return Err(rendered.err().unwrap_or(failure));
                }
                ended => return ended,
            }
        }
    }

    /// Runs helm, and ends it as soon as the watch sees something that will not heal: helm waits for hooks until its
    /// own time is over, and then does not say what was wrong with them.
    async fn run_helm_once(
        &self,
        plan: &Plan,
        upgrade: &Upgrade<'_>,
        watch: &Watch,
        hooks: &[Workload],
    ) -> Result<(), Failure> {
        let cancel: CancellationToken = self.cx.cancel.child_token();
        let running =
            plan.helm.upgrade(upgrade, self.cx.redact(), &cancel, |_, line| self.cx.line(&self.step.id, line));
        tokio::pin!(running);
        let diagnosis = tokio::select! {
            ended = &mut running => match ended {
                Err(failure) if complaint::is_about_hooks(&failure) => tokio::select! {
                    // It may look up logs and events before it says why.
                    diagnosis = watch.failure() => return Err(diagnosis.because(failure.to_string())),
                    // Nothing has failed: helm's time is over.
                    () = pause(SECOND * 2) => return Err(match watch.overdue(hooks).await {
                        Some(diagnosis) => diagnosis.because(failure.to_string()),
                        None => failure,
                    }),
                },
                ended => return ended,
            },
            diagnosis = watch.failure() => diagnosis,
        };
        cancel.cancel();
        // Helm, asked to end, marks its record as failed; what it could not mark is repaired when it has ended.
        if running.await.is_ok() { Ok(()) } else { Err(diagnosis) }
    }

    fn post_renderer(&self, plan: &Plan, folder: &std::path::Path) -> Result<Option<(PathBuf, PathBuf)>, Failure> {
        if plan.secrets.objects.is_empty() && plan.amendments.is_empty() {
            return Ok(None);
        }
        let file = folder.join("changes.json");
        let changes = Changes {
            release: plan.place.release.clone(),
            secrets: plan.secrets.clone(),
            amendments: plan.amendments.clone(),
        };
        let json = serde_json::to_vec(&changes)
            .map_err(|error| Failure::step("could not tell helm how to change the manifests").because(error))?;
        std::fs::write(&file, json).map_err(|error| Failure::io("write", &file, &error))?;
        Ok(Some((self.step.program()?, file)))
    }

    async fn newest(&self, namespace: &str, release: &str) -> Result<(Head, Record), Failure> {
        let head = record::newest(&self.client, namespace, release).await?;
        let head = head.ok_or_else(|| {
            Failure::step(format!("helm has installed release {release} and left no record of it"))
                .because("somebody removed it at the same time")
                .help("run the same command again")
        })?;
        let record = record::read(&self.client, namespace, &head).await?;
        Ok((head, record))
    }

    /// The objects of a record as they are now.
    async fn look(&self, namespace: &str, head: &Head, record: &Record) -> Result<Observed, Failure> {
        let objects = observed::objects(&self.client, &self.step.kinds, namespace, record).await?;
        if let Some(object) = objects.unknown.first() {
            return Err(gone_kinds::nobody_brings(object, &self.step.definition.chart));
        }
        let addresses = objects.known.into_iter().map(|(address, _)| address).collect();
        let seen = identity::look(&self.client, &addresses).await?;
        let objects =
            seen.into_iter().map(|(address, seen)| Known { address, identity: seen.map(|seen| seen.identity) });
        Ok(Observed { revision: head.revision, record: head.uid.clone(), objects: objects.collect() })
    }

    /// Waits for the workloads of `left`, telling how they are.
    async fn settled(&self, watch: &mut Watch, left: Observed) -> Result<Deployed, Failure> {
        let expected: Vec<Expected> = left
            .objects
            .iter()
            .filter_map(|known| {
                let generation = known.identity.as_ref()?.generation.unwrap_or(0);
                Some(Expected { identity: scope::workload(&known.address)?, generation })
            })
            .collect();
        let deadline = Instant::now() + self.step.definition.timeout;
        let lines = watch.progress();
        let progress = async {
            let mut lines = std::pin::pin!(lines);
            while let Some(line) = lines.next().await {
                self.cx.progress(&self.step.id, line);
            }
            std::future::pending::<()>().await
        };
        let settled = tokio::select! {
            settled = watch.until_settled(&expected, deadline) => settled?,
            () = progress => return Err(Failure::interrupted()),
            () = self.cx.cancel.cancelled() => return Err(Failure::interrupted()),
        };
        Ok(Deployed { left: self.after(left).await?, settled })
    }

    /// What was left, with the traces of controllers that wrote while the pods were made: a bound volume, an address.
    async fn after(&self, left: Observed) -> Result<Observed, Failure> {
        let Place { namespace, release, .. } = self.step.place(self.cx);
        let observation = observed::observe(&self.client, &self.step.kinds, &namespace, &release, &left).await?;
        let refreshed = observation.refreshed.and_then(|refreshed| serde_json::from_value(refreshed).ok());
        Ok(refreshed.unwrap_or(left))
    }

    /// The workloads of a record, wherever they are.
    async fn workloads(&self, namespace: &str, record: &Record) -> Result<Vec<Workload>, Failure> {
        let objects = observed::objects(&self.client, &self.step.kinds, namespace, record).await?;
        Ok(objects.known.iter().filter_map(|(address, _)| scope::workload(address)).collect())
    }

    fn release_scope(&self) -> Scope {
        let Place { namespace, release, .. } = self.step.place(self.cx);
        Scope::release(namespace, release)
    }

    fn scope(&self, left: &Observed) -> Scope {
        self.release_scope().with(left.objects.iter().filter_map(|known| scope::workload(&known.address)))
    }

    /// The version of Kubernetes that charts are rendered for.
    fn kubernetes(&self) -> Option<String> {
        self.cx.facts::<cluster::Facts>(&StepId::cluster()).ok()?.kubernetes
    }
}
