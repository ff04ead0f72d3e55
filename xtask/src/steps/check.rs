//! A request through a port-forward that has to be answered as expected.
//!
//! Its output is what came back, less what was not asked about: a body with the time in it is the same answer each
//! time. A passed check ages, because the world behind it can change in ways that nobody can see.

mod expectation;
mod pods;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use engine::config::Check;
use engine::digest::Hasher;
use engine::failure::Failure;
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt};
use engine::run::{Job, Pool};
use engine::step::{Kind, StepId};
use engine::verdict::{Difference, Observation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::context::Context;
use crate::steps::variables::{SecretValues, Variables};
use crate::steps::{Belonging, Made, Scope, Step};
use crate::world::forward::http::{self, Answer};
use crate::world::forward::{At, Port, Trouble};
use expectation::Expectation;
use pods::Pods;

/// How long wrong answers are put down to a start that is not quite over: readiness says that a pod takes requests,
/// not that all behind it has been found yet.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests, at first; then twice as long each time.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two requests, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What came back, as later steps and receipts see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The status.
    pub status: u16,
    /// What the JSON said where it was asked: pointer to value.
    pub json: BTreeMap<String, serde_json::Value>,
}

/// The step `check:NAME`.
pub struct CheckStep {
    id: StepId,
    check: Check,
    /// The steps whose outputs stand behind the answer.
    behind: Vec<StepId>,
    secrets: Arc<dyn SecretValues>,
}

impl CheckStep {
    /// The check `name`. `behind` are the steps that put its Service there.
    pub fn new(name: &str, check: Check, behind: Vec<StepId>, secrets: Arc<dyn SecretValues>) -> Self {
        Self { id: StepId::new(Kind::Check, name), check, behind, secrets }
    }

    /// The Service's port.
    fn at(&self) -> At {
        At {
            namespace: self.check.namespace.clone(),
            service: self.check.service.name.clone(),
            port: Port::Number(self.check.service.port),
        }
    }

    fn expectation(&self) -> Expectation<'_> {
        Expectation { status: self.check.status, json: &self.check.json, text: self.check.text.as_deref() }
    }

    /// Asks until the answer is as expected, and gives it.
    ///
    /// # Errors
    /// What came back instead, once it has had its time.
    pub async fn ask(&self, cx: &Context) -> Result<Answer, Failure> {
        let variables = Variables::look_up(cx, &*self.secrets, self.check.headers.values())?;
        let mut headers: BTreeMap<String, SecretString> = BTreeMap::new();
        for (name, template) in &self.check.headers {
            headers.insert(name.clone(), variables.expand_secret(template)?);
        }
        let client = cx.world.kube().await?;
        let (at, begun) = (self.at(), Instant::now());
        let mut first_wrong = None;
        let mut pause = PAUSE;
        loop {
            let left = self.check.timeout.saturating_sub(begun.elapsed()).max(LONGEST_PAUSE);
            let asked = tokio::time::timeout(left, http::get(&client, &at, &self.check.get, &headers));
            let answered = tokio::select! {
                answered = asked => answered.unwrap_or_else(|_| {
                    let said = format!("GET {} of {at} was not answered within {}s", self.check.get, left.as_secs());
                    Err(Trouble::NotYet(Failure::step(said)))
                }),
                () = cx.cancel.cancelled() => return Err(Failure::interrupted()),
            };
            let failure = match answered {
                Ok(answer) => match self.wrong(cx, &at, &answer) {
                    None => return Ok(answer),
                    Some(failure) => {
                        let since = *first_wrong.get_or_insert_with(Instant::now);
                        if since.elapsed() >= PATIENCE {
                            return Err(failure);
                        }
                        failure
                    }
                },
                Err(Trouble::Never(failure)) => return Err(failure),
                Err(Trouble::NotYet(failure)) => {
                    // A pod that answered wrongly is on its way out, perhaps: its successor gets its own time.
                    first_wrong = None;
                    failure
                }
            };
            if begun.elapsed() >= self.check.timeout {
                return Err(failure.because(format!("asked again and again for {}s", self.check.timeout.as_secs())));
            }
            cx.progress(&self.id, failure.message.clone());
            tokio::select! {
                () = crate::world::pause(pause) => {}
                () = cx.cancel.cancelled() => return Err(Failure::interrupted()),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What is wrong with an answer: what came back against what was expected.
    fn wrong(&self, cx: &Context, at: &At, answer: &Answer) -> Option<Failure> {
        let wrong = self.expectation().mismatches(answer.status, &answer.body);
        if wrong.is_empty() {
            return None;
        }
        let mut failure = Failure::step(format!("GET {} of {at} is not answered as expected", self.check.get));
        failure.causes = wrong.iter().map(|wrong| cx.redactor.redact(wrong)).collect();
        let beginning = expectation::beginning(&answer.body).iter().map(|line| cx.redactor.redact(line)).collect();
        Some(
            failure
                .excerpt(format!("status {} from pod {}", answer.status, answer.pod), beginning)
                .help(format!("cargo xtask logs {} shows what the pod said about it", answer.pod)),
        )
    }
}

#[async_trait]
impl Step for CheckStep {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn pool(&self) -> Pool {
        Pool::Requests
    }

    fn lock_name(&self, cx: &Context) -> Result<String, Failure> {
        Ok(format!("check {} {} {}", cx.world.context(), self.check.namespace, self.id.name))
    }

    async fn gather(&self, cx: &Context) -> Result<Manifest, Failure> {
        let check = &self.check;
        let mut manifest = Manifest::new(self.id.clone());
        manifest.value(Source::Definition, "service", &check.service);
        manifest.value(Source::Definition, "namespace", &check.namespace);
        manifest.value(Source::Definition, "get", &check.get);
        manifest.value(Source::Definition, "status", check.status);
        for (pointer, value) in &check.json {
            manifest.value(Source::Definition, format!("json.{pointer}"), value);
        }
        if let Some(text) = &check.text {
            manifest.value(Source::Definition, "text", text);
        }
        for (name, template) in &check.headers {
            manifest.value(Source::Definition, format!("headers.{name}"), template);
        }
        Variables::look_up(cx, &*self.secrets, check.headers.values())?.add_to(&mut manifest);
        for step in &self.behind {
            if let Some(output) = cx.output(step) {
                manifest.digest(Source::Upstream, step.to_string(), output.digest);
            }
        }
        Ok(manifest)
    }

    fn understands(&self, receipt: &Receipt) -> bool {
        super::has_shapes::<Facts, Pods>(receipt)
    }

    async fn observe(&self, cx: &Context, receipt: &Receipt) -> Result<Observation, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_millis(receipt.finished_ms));
        let mut differences = Vec::new();
        if age >= self.check.fresh_for {
            differences.push(Difference::Aged(format!(
                "passed {}s ago, which counts for {}s",
                age.as_secs(),
                self.check.fresh_for.as_secs()
            )));
        }
        if cx.world.was_started() {
            // The API server takes a pod for as ready as it was until its probes have failed.
            differences.push(Difference::Unhealthy("the node was started just now".to_owned()));
        }
        let pods = Pods::behind(&cx.world.kube().await?, &self.at()).await?;
        let before: Option<Pods> = serde_json::from_value(receipt.observed.clone()).ok();
        differences.extend(pods.differences_to(before.as_ref(), &self.at()));
        Ok(Observation { differences, refreshed: None })
    }

    async fn perform(&self, cx: &Context, _: &Job) -> Result<Made, Failure> {
        let answer = self.ask(cx).await?;
        let json = self.expectation().said(&answer.body);
        let facts = Facts { status: answer.status, json };
        let mut digest = Hasher::new("check/1");
        digest.number(u64::from(facts.status));
        for (pointer, value) in &facts.json {
            digest.text(pointer).text(&value.to_string());
        }
        let digest = digest.finish();
        let facts = serde_json::to_value(facts)
            .map_err(|error| Failure::step(format!("could not keep what {} made", self.id)).because_of(&error))?;
        let pods = Pods::behind(&cx.world.kube().await?, &self.at()).await?;
        let observed = serde_json::to_value(pods)
            .map_err(|error| Failure::step(format!("could not keep what {} saw", self.id)).because_of(&error))?;
        let summary = format!("GET {} {} in {}ms", self.check.get, answer.status, answer.took.as_millis());
        Ok(Made { output: Output { facts, digest }, observed, summary })
    }

    async fn belongings(&self, _: &Context, _: Scope) -> Result<Vec<Belonging>, Failure> {
        // It makes nothing.
        Ok(Vec::new())
    }

    async fn remove(&self, _: &Context, _: Scope) -> Result<(), Failure> {
        Ok(())
    }
}
