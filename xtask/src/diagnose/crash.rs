//! A container that ends again and again.
//!
//! Crashing is how many programs wait for their database, so a crash counts only once it is plain that nothing
//! else can heal it: three ends with the same last line, the last of them of a container that was started when
//! all other workloads were ready.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{ContainerOf, Evidence, Exit, Exits, Identity, Kind, Workload, uid};
use super::probe;

const CLASS: &str = "crash";

/// How many ends with the same last line make a crash that will not heal.
const ENOUGH: u32 = 3;

/// How long the others must have been ready when the container was started: a Service takes a moment to route.
const ROUTED: SignedDuration = SignedDuration::from_secs(3);

/// Containers that have ended, in pods that are there or, for a Job, in any of its pods.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    let (container, exits) = crashing(workload, evidence)?;
    let last = exits.all.last()?;
    let signature = match last.lines.as_deref().and_then(last_line) {
        Some(line) => format!("its last line is `{}`", line.trim()),
        None => "it says nothing".to_owned(),
    };
    let killed = workload
        .pods
        .iter()
        .find(|pod| super::evidence::name(pod) == container.pod)
        .and_then(|pod| probe::killed(uid(pod), &container.container, evidence));
    let often = so_often(exits.ends);
    let title = match (&killed, last.code) {
        (Some(_), _) => format!("{container} is killed again and again because its liveness probe fails"),
        (None, code) => format!("{container} ended with exit code {code}, {often}"),
    };
    let lines = last.lines.clone().unwrap_or_default();
    Some(
        Diagnosis::new(CLASS, &workload.identity, title)
            .because(killed.unwrap_or_else(|| last.message.clone()))
            .because(signature)
            .excerpt(container.to_string(), lines)
            .help(format!(
                "cargo xtask logs --previous {} shows all that it wrote; correct it and deploy again",
                workload.identity.name
            ))
            .patience(patience(workload, &exits.all, evidence)),
    )
}

/// A number of times, in words.
pub fn so_often(times: u32) -> String {
    match times {
        0 | 1 => "once so far".to_owned(),
        2 => "twice so far".to_owned(),
        _ => format!("{times} times so far"),
    }
}

/// Whether these ends of a container of `workload` end the wait: now, or not before the deadline.
pub fn patience(workload: &Workload, exits: &[Exit], evidence: &Evidence) -> Patience {
    let others = evidence.workloads.iter().filter(|other| other.identity != workload.identity);
    let mut ready_since = jiff::Timestamp::UNIX_EPOCH;
    for other in others {
        match other.ready_since() {
            Some(since) => ready_since = ready_since.max(since),
            // One that is stuck in the same way will not help either.
            None if stuck(&other.identity, evidence) => {}
            None => return Patience::UntilDeadline,
        }
    }
    let tried = |exit: &Exit| exit.started.duration_since(ready_since) >= ROUTED;
    let counts = same(exits) >= ENOUGH && exits.last().is_some_and(tried);
    if counts { Patience::NONE } else { Patience::UntilDeadline }
}

/// Whether a workload has a container with enough equal ends.
fn stuck(identity: &Identity, evidence: &Evidence) -> bool {
    let workload = evidence.workloads.iter().find(|workload| workload.identity == *identity);
    workload.and_then(|workload| crashing(workload, evidence)).is_some_and(|(_, exits)| same(&exits.all) >= ENOUGH)
}

/// How many of the latest ends were alike.
fn same(exits: &[Exit]) -> u32 {
    let Some(last) = exits.last().and_then(signature) else { return 0 };
    exits.iter().rev().take_while(|exit| signature(exit).as_ref() == Some(&last)).map(|exit| exit.times).sum()
}

/// What two ends must have in common to be the same: reason, code and the last line less its numbers, since a line
/// with the time in it would never be the same. `None` until the lines are known.
fn signature(exit: &Exit) -> Option<(&str, i32, String)> {
    let line = last_line(exit.lines.as_deref()?).unwrap_or_default();
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '0'..='9' if text.ends_with('0') => {}
            '0'..='9' => text.push('0'),
            c => text.push(c),
        }
    }
    Some((&exit.reason, exit.code, text))
}

fn last_line(lines: &[String]) -> Option<&str> {
    lines.iter().rev().map(String::as_str).find(|line| !line.trim().is_empty())
}

/// The container of the workload that has ended most often, with its ends. The pods of a Job are attempts at the
/// same thing, so their ends count together; an end of a Job's container with success is none.
fn crashing<'a>(workload: &Workload, evidence: &'a Evidence) -> Option<(&'a ContainerOf, Exits)> {
    if workload.identity.kind == Kind::Job {
        let mut ends: Vec<(&ContainerOf, &Exit)> = evidence
            .exits
            .iter()
            .filter(|(_, exits)| workload.creators.contains(&exits.owner))
            .flat_map(|(container, exits)| exits.all.iter().map(move |exit| (container, exit)))
            .filter(|(_, exit)| exit.code != 0)
            .collect();
        ends.sort_by_key(|(_, exit)| exit.started);
        let (container, _) = *ends.last()?;
        let all: Vec<Exit> = ends.into_iter().map(|(_, exit)| exit.clone()).collect();
        let ends = all.iter().map(|exit| exit.times).sum();
        return Some((container, Exits { pod: String::new(), owner: workload.uid.clone(), ends, all }));
    }
    let names: BTreeSet<(&str, &str)> = workload
        .pods
        .iter()
        .map(|pod| (pod.metadata.namespace.as_deref().unwrap_or_default(), super::evidence::name(pod)))
        .collect();
    evidence
        .exits
        .iter()
        .filter(|(container, _)| names.contains(&(container.namespace.as_str(), container.pod.as_str())))
        .filter(|(_, exits)| !exits.all.is_empty())
        .max_by_key(|(_, exits)| (exits.all.last().is_some_and(|exit| exit.code != 0), exits.ends))
        .map(|(container, exits)| (container, exits.clone()))
}
