//! The watch and its diagnoses on a real cluster: each class of failure is provoked, and what heals is let heal.
//!
//! The cluster comes from `XTASK_TEST_CONTEXT` (a kubeconfig context). Its nodes need the images
//! `registry.k8s.io/pause:3.10.1` and `python:3.13-slim`. Every test has a namespace of its own.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as it has to be"
)]

mod support;

use std::time::{Duration, Instant};

use engine::failure::Failure;
use serde_json::{Value, json};
use support::{Namespace, PAUSE, SHELL, daemon_set, deployment, shell};
use xtask::diagnose::evidence::{Identity, Kind};
use xtask::world::settle::scope::Scope;
use xtask::world::settle::{Expected, Settled, Watch};

/// Longer than any failure here takes to show, shorter than anybody would wait.
const DEADLINE: Duration = Duration::from_secs(120);

/// What ends a wait only because time is over.
const TIME: &str = "the time for the rollout is over";

/// Applies `objects` while a watch runs, and waits until `workloads` have settled.
async fn settle(namespace: &Namespace, objects: &[Value], workloads: &[(Kind, &str)]) -> Result<Settled, Failure> {
    within(namespace, objects, workloads, DEADLINE).await
}

async fn within(
    namespace: &Namespace,
    objects: &[Value],
    workloads: &[(Kind, &str)],
    time: Duration,
) -> Result<Settled, Failure> {
    let identities = workloads.iter().map(|(kind, name)| Identity::new(*kind, namespace.name(), *name));
    let expected: Vec<Expected> = identities.map(|identity| Expected { identity, generation: 1 }).collect();
    let scope = Scope::of(expected.iter().map(|expected| expected.identity.clone()));
    let mut watch = Watch::begin(namespace.client(), scope, support::show_all()).await?;
    for object in objects {
        namespace.apply(object).await;
    }
    watch.until_settled(&expected, Instant::now() + time).await
}

/// How long after the last sign of a failure that will not heal a wait may end.
const PROMPT: i64 = 5;

/// How much longer what often heals by itself gets: `Patience::LONG`.
const CHANCE: i64 = 10;

/// A Deployment that cannot start ends the wait within seconds of the last that the cluster told of it, and `says` why.
async fn breaks(case: &str, pod: Value, says: &[&str]) {
    breaks_within(PROMPT, case, pod, says).await;
}

async fn breaks_within(seconds: i64, case: &str, pod: Value, says: &[&str]) {
    let namespace = Namespace::make(case).await;
    let ended = settle(&namespace, &[deployment("app", 1, pod)], &[(Kind::Deployment, "app")]).await;
    is_told(&namespace, ended, seconds, says).await;
    namespace.remove().await;
}

/// A wait has ended within so many seconds of the last that the cluster told of a failure, and `says` why.
async fn is_told(namespace: &Namespace, ended: Result<Settled, Failure>, seconds: i64, says: &[&str]) {
    let failure = ended.expect_err("it cannot become ready");
    let ended = jiff::Timestamp::now();
    // The cluster's clock counts whole seconds.
    let late = ended.as_second() - namespace.last_sign(ended).await.as_second() - 1;
    assert!(late <= seconds, "it ended {late} s after the last sign: {failure:#?}");
    assert_says(&failure, says);
    assert!(!failure.causes.iter().any(|cause| cause.contains(TIME)), "it did not end early: {failure:#?}");
    assert!(!failure.help.is_empty(), "nothing says what to do: {failure:#?}");
}

fn assert_says(failure: &Failure, says: &[&str]) {
    let lines = failure.excerpts.iter().flat_map(|excerpt| excerpt.lines.clone());
    let text: Vec<String> = [failure.message.clone()].into_iter().chain(failure.causes.clone()).chain(lines).collect();
    let text = text.join("\n");
    for phrase in says {
        assert!(text.contains(phrase), "`{phrase}` is not in:\n{text}");
    }
}

fn container(image: &str, more: Value) -> Value {
    let mut container =
        json!({"name": "app", "image": image, "imagePullPolicy": "Never", "resources": {"requests": {"cpu": "10m"}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        container[key] = value.clone();
    }
    json!({"terminationGracePeriodSeconds": 0, "containers": [container]})
}

#[tokio::test]
async fn an_image_that_is_never_pulled() {
    breaks(
        "never-pull",
        container("local/none:1", json!({})),
        &["the image local/none:1 of pod app-", "is not in the cluster"],
    )
    .await;
}

#[tokio::test]
async fn an_image_name_that_is_none() {
    breaks("image-name", container("Local//None:1", json!({})), &["`Local//None:1`", "is no valid image name"]).await;
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached() {
    let pod = container("127.0.0.1:1/none:1", json!({"imagePullPolicy": "Always"}));
    breaks("registry", pod, &["the image 127.0.0.1:1/none:1 of pod app-", "connection refused"]).await;
}

/// A registry that answers that it has no such image: its second answer ends the wait.
#[tokio::test]
async fn an_image_that_the_registry_does_not_have() {
    let namespace = Namespace::make("no-image").await;
    let registry = "while ($c = $s->accept) { $_ = <$c>; my $no = /manifests/; 1 while <$c> =~ /\\S/; \
        my $b = $no ? '{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}' : '{}'; \
        printf $c \"HTTP/1.1 %s\\r\\nDocker-Distribution-Api-Version: registry/2.0\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s\", \
        $no ? '404 Not Found' : '200 OK', length $b, $no && 0 ? '' : $b; close $c }";
    let listen = format!(
        "use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 5000, Listen => 9, ReuseAddr => 1) or die; {registry}"
    );
    let pod = container(
        SHELL,
        json!({"command": ["perl", "-e", listen], "readinessProbe": {"tcpSocket": {"port": 5000}, "periodSeconds": 1}}),
    );
    settle(&namespace, &[deployment("registry", 1, pod)], &[(Kind::Deployment, "registry")]).await.expect("it starts");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "registry"},
        "spec": {"type": "NodePort", "selector": {"app": "registry"}, "ports": [{"port": 5000}]},
    });
    let port =
        namespace.apply(&service).await["spec"]["ports"][0]["nodePort"].as_i64().expect("the Service got a port");
    let image = format!("127.0.0.1:{port}/none:1");
    let pod = container(&image, json!({"imagePullPolicy": "Always"}));
    let failure = settle(&namespace, &[deployment("app", 1, pod)], &[(Kind::Deployment, "app")])
        .await
        .expect_err("there is no image");
    assert_says(&failure, &[&format!("the image {image} of pod app-"), "manifest unknown"]);
    assert!(!failure.causes.iter().any(|cause| cause.contains(TIME)), "{failure:#?}");
    namespace.remove().await;
}

#[tokio::test]
async fn a_secret_that_is_missing() {
    let variable =
        json!({"env": [{"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "nope", "key": "A"}}}]});
    breaks(
        "no-secret",
        container(PAUSE, variable),
        &["the Secret `nope` that pod app-", "does not exist", "the variable DATABASE_URL"],
    )
    .await;
}

#[tokio::test]
async fn a_key_that_is_missing_in_a_secret() {
    let namespace = Namespace::make("no-key").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "todo-secrets"}, "stringData": {"DATABASE_URI": "no-value-is-shown"}});
    let variable = json!({"env": [{"name": "URL", "valueFrom": {"secretKeyRef": {"name": "todo-secrets", "key": "DATABASE_URL"}}}]});
    let objects = [secret, deployment("app", 1, container(PAUSE, variable))];
    let failure = settle(&namespace, &objects, &[(Kind::Deployment, "app")]).await.expect_err("a key is missing");
    assert_says(
        &failure,
        &[
            "the Secret `todo-secrets` has no key DATABASE_URL that pod app-",
            "the variable URL",
            "its keys are DATABASE_URI",
        ],
    );
    assert!(!format!("{failure:?}").contains("no-value-is-shown"));
    namespace.remove().await;
}

/// The kubelet says that a Secret is missing, and a controller makes it a moment later.
#[tokio::test]
async fn a_secret_that_comes_late_is_waited_for() {
    let namespace = Namespace::make("late-secret").await;
    let variable = json!({"env": [{"name": "URL", "valueFrom": {"secretKeyRef": {"name": "late", "key": "A"}}}]});
    let expected = [Expected { identity: Identity::new(Kind::Deployment, namespace.name(), "app"), generation: 1 }];
    let scope = Scope::of([expected[0].identity.clone()]);
    let mut watch =
        Watch::begin(namespace.client(), scope, support::show_all()).await.expect("the cluster can be watched");
    namespace.apply(&deployment("app", 1, container(PAUSE, variable))).await;
    namespace.until_waiting("app", "CreateContainerConfigError").await;
    namespace
        .apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"A": "b"}}))
        .await;
    watch.until_settled(&expected, Instant::now() + DEADLINE).await.expect("the kubelet tries again");
    namespace.remove().await;
}

#[tokio::test]
async fn a_config_map_that_is_missing() {
    let from = json!({"envFrom": [{"configMapRef": {"name": "nope"}}]});
    breaks("no-map", container(PAUSE, from), &["the ConfigMap `nope` that pod app-", "does not exist"]).await;
}

fn with_volume(volume: Value) -> Value {
    let mut pod = container(PAUSE, json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
    let mut volume = volume;
    volume["name"] = json!("v");
    pod["volumes"] = json!([volume]);
    pod
}

#[tokio::test]
async fn a_volume_of_a_secret_that_is_missing() {
    breaks(
        "mount-secret",
        with_volume(json!({"secret": {"secretName": "nope"}})),
        &["the Secret `nope` that pod app-", "its volume `v`"],
    )
    .await;
}

#[tokio::test]
async fn a_volume_of_a_config_map_that_is_missing() {
    breaks(
        "mount-map",
        with_volume(json!({"configMap": {"name": "nope"}})),
        &["the ConfigMap `nope` that pod app-", "its volume `v`"],
    )
    .await;
}

#[tokio::test]
async fn a_claim_that_is_missing() {
    let claim = json!({"persistentVolumeClaim": {"claimName": "nope"}});
    breaks("no-claim", with_volume(claim), &["the PersistentVolumeClaim `nope` that pod app-"]).await;
}

#[tokio::test]
async fn a_claim_of_a_storage_class_that_is_missing() {
    let namespace = Namespace::make("no-class").await;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"storageClassName": "settle-fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    });
    let app = deployment("app", 1, with_volume(json!({"persistentVolumeClaim": {"claimName": "data"}})));
    let failure =
        settle(&namespace, &[claim, app], &[(Kind::Deployment, "app")]).await.expect_err("nothing provisions it");
    assert_says(&failure, &["StorageClass `settle-fast`, which does not exist"]);
    namespace.remove().await;
}

#[tokio::test]
async fn a_command_that_is_not_in_the_image() {
    breaks(
        "no-command",
        container(SHELL, json!({"command": ["nosuch"]})),
        &["cannot start `nosuch`", "executable file not found"],
    )
    .await;
}

#[tokio::test]
async fn a_job_that_has_failed() {
    let namespace = Namespace::make("job").await;
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "app", "image": SHELL, "imagePullPolicy": "Never", "command": shell("echo relation exists; exit 7")}],
        }}},
    });
    let failure = settle(&namespace, &[job], &[(Kind::Job, "migrate")]).await.expect_err("it fails");
    assert_says(
        &failure,
        &["Job migrate failed as often as its backoffLimit allows", "exit code 7", "relation exists"],
    );
    namespace.remove().await;
}

#[tokio::test]
async fn a_container_that_keeps_ending_with_the_same_words() {
    let pod = container(SHELL, json!({"command": shell("echo starting; echo \"$(date): no moon\" >&2; exit 3")}));
    breaks("crash", pod, &["container app ended with exit code 3", ": no moon"]).await;
}

#[tokio::test]
async fn an_init_container_that_keeps_ending() {
    let mut pod = container(PAUSE, json!({}));
    pod["initContainers"] = json!([{"name": "migrate", "image": SHELL, "imagePullPolicy": "Never", "command": shell("echo no such table; exit 1")}]);
    breaks("init", pod, &["container migrate ended with exit code 1", "no such table"]).await;
}

#[tokio::test]
async fn a_container_that_needs_more_memory_than_its_limit() {
    // The probe keeps it from counting as ready between its start and its end.
    let probe = json!({"exec": {"command": ["false"]}});
    let eat = json!({"command": ["perl", "-e", "my $x = q(a) x 200000000; sleep 100"], "readinessProbe": probe, "resources": {"limits": {"memory": "32Mi"}, "requests": {"cpu": "10m"}}});
    breaks("memory", container(SHELL, eat), &["was killed for using more memory than its limit of 32Mi"]).await;
}

#[tokio::test]
async fn a_liveness_probe_that_kills() {
    let pod = container(
        SHELL,
        json!({
            "command": shell("echo up; exec sleep infinity"),
            "livenessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1, "failureThreshold": 1},
            "readinessProbe": {"tcpSocket": {"port": 8000}},
        }),
    );
    breaks("liveness", pod, &["is killed again and again because its liveness probe fails", "connection refused"])
        .await;
}

#[tokio::test]
async fn a_pod_that_asks_for_more_than_the_node_has() {
    let pod = container(PAUSE, json!({"resources": {"requests": {"cpu": "64"}}}));
    breaks_within(
        CHANCE + PROMPT,
        "room",
        pod,
        &["no node has room for pod app-", "Insufficient cpu: pod asks 64000m, node ", " are requested"],
    )
    .await;
}

#[tokio::test]
async fn a_pod_that_no_node_fits() {
    let mut pod = container(PAUSE, json!({}));
    pod["nodeSelector"] = json!({"settle/disk": "ssd"});
    breaks_within(CHANCE + PROMPT, "selector", pod, &["no node takes pod app-", "node affinity/selector"]).await;
}

#[tokio::test]
async fn a_quota_that_is_used_up() {
    let namespace = Namespace::make("quota").await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"requests.cpu": "5m"}}});
    namespace.apply(&quota).await;
    namespace.until_quota("small").await;
    for (kind, object) in [
        (Kind::Deployment, deployment("app", 1, container(PAUSE, json!({})))),
        (Kind::StatefulSet, support::stateful_set("app", container(PAUSE, json!({})))),
    ] {
        let failure = settle(&namespace, &[object], &[(kind, "app")]).await.expect_err("the quota forbids it");
        assert_says(&failure, &["the ResourceQuota `small` leaves no room for the pods of", "exceeded quota"]);
    }
    namespace.remove().await;
}

#[tokio::test]
async fn a_service_account_that_is_missing() {
    let mut pod = container(PAUSE, json!({}));
    pod["serviceAccountName"] = json!("nobody");
    breaks("account", pod, &["the ServiceAccount `nobody`"]).await;
}

#[tokio::test]
async fn a_stateful_set_that_waits_for_a_broken_pod_of_its_old_template() {
    let namespace = Namespace::make("stuck").await;
    let set = |script: &str| support::stateful_set("app", container(SHELL, json!({"command": shell(script)})));
    namespace.apply(&set("echo no moon; exit 3")).await;
    namespace.until_waiting("app", "CrashLoopBackOff").await;
    let identity = Identity::new(Kind::StatefulSet, namespace.name(), "app");
    let scope = Scope::of([identity.clone()]);
    let mut watch = Watch::begin(namespace.client(), scope, support::show_all()).await.expect("it can be watched");
    namespace.apply(&set("sleep infinity")).await;
    let expected = [Expected { identity, generation: 2 }];
    let failure = watch.until_settled(&expected, Instant::now() + DEADLINE).await.expect_err("nothing replaces it");
    assert_says(&failure, &["StatefulSet app waits for its old pod app-0, which is broken", "CrashLoopBackOff"]);
    assert!(failure.help.iter().any(|help| help.contains("delete pod app-0")), "{failure:#?}");
    assert!(!failure.causes.iter().any(|cause| cause.contains(TIME)), "it did not end early: {failure:#?}");

    // What it advises helps.
    namespace.delete_pods("app").await;
    watch.until_settled(&expected, Instant::now() + DEADLINE).await.expect("the new template is sound");
    namespace.remove().await;
}

#[tokio::test]
async fn a_rollout_that_its_controller_gives_up() {
    let namespace = Namespace::make("stall").await;
    let probe = json!({"command": shell("sleep infinity"), "readinessProbe": {"httpGet": {"path": "/api/health", "port": 8000}, "periodSeconds": 1}});
    let mut object = deployment("app", 1, container(SHELL, probe));
    object["spec"]["progressDeadlineSeconds"] = json!(5);
    let failure = settle(&namespace, &[object], &[(Kind::Deployment, "app")]).await.expect_err("nothing listens");
    assert_says(
        &failure,
        &[
            "its readiness probe fails",
            "GET /api/health on port 8000",
            "connection refused",
            "its progressDeadlineSeconds are over",
        ],
    );
    namespace.remove().await;
}

#[tokio::test]
async fn a_probe_that_fails_until_the_deadline_is_named_with_its_answer() {
    let namespace = Namespace::make("probe").await;
    let probe = json!({
        "command": shell("echo waiting for the moon; sleep infinity"),
        "readinessProbe": {"exec": {"command": shell("echo database is locked; exit 1")}, "periodSeconds": 1},
    });
    let object = deployment("app", 1, container(SHELL, probe));
    let failure = within(&namespace, &[object], &[(Kind::Deployment, "app")], Duration::from_secs(15)).await;
    assert_says(
        &failure.expect_err("it never is ready"),
        &["its readiness probe fails", "database is locked", "waiting for the moon", TIME, "0 of 1 pods available"],
    );
    namespace.remove().await;
}

/// The backend ends at once for as long as the database makes its files, which takes longer than two of its lives in
/// each pod.
#[tokio::test]
async fn a_backend_that_restarts_until_its_database_is_ready_passes() {
    let namespace = Namespace::make("heals").await;
    let listen = "until [ -e /tmp/made ]; do sleep 0.1; done; exec perl -e 'use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 5432, Listen => 5, ReuseAddr => 1) or die; close $c while $c = $s->accept'";
    let database = container(
        SHELL,
        json!({
            "command": shell(listen),
            "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
        }),
    );
    let connect = "if ! (exec 3<>/dev/tcp/postgres/5432); then echo 'no database'; exit 1; fi; exec sleep infinity";
    let backend = container(SHELL, json!({"command": ["bash", "-c", connect], "env": []}));
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "postgres"},
        "spec": {"selector": {"app": "postgres"}, "ports": [{"port": 5432}]},
    });
    let objects = [service, support::stateful_set("postgres", database), deployment("backend", 2, backend)];
    let database_is_made = async {
        namespace.until_restarted("backend", 2, 2).await;
        namespace.run_in("postgres-0", &["touch", "/tmp/made"]).await;
    };
    let workloads = [(Kind::StatefulSet, "postgres"), (Kind::Deployment, "backend")];
    let (settled, ()) = futures_util::join!(settle(&namespace, &objects, &workloads), database_is_made);
    let settled = settled.expect("what heals is let heal");
    let backend = &settled.workloads[&Identity::new(Kind::Deployment, namespace.name(), "backend")];
    assert_eq!((backend.ready, backend.desired, backend.unchanged), (2, 2, false));
    namespace.remove().await;
}

#[tokio::test]
async fn a_changed_workload_is_told_from_an_unchanged_one() {
    let namespace = Namespace::make("unchanged").await;
    let both = [(Kind::Deployment, "a"), (Kind::Deployment, "b")];
    let objects = [deployment("a", 1, container(PAUSE, json!({}))), deployment("b", 0, container(PAUSE, json!({})))];
    settle(&namespace, &objects, &both).await.expect("both settle, also without replicas");
    let changed = deployment("a", 1, container(PAUSE, json!({"env": [{"name": "A", "value": "b"}]})));
    let expected = [("a", 2), ("b", 1)].map(|(name, generation)| Expected {
        identity: Identity::new(Kind::Deployment, namespace.name(), name),
        generation,
    });
    let scope = Scope::of(expected.iter().map(|expected| expected.identity.clone()));
    let mut watch =
        Watch::begin(namespace.client(), scope, support::show_all()).await.expect("the cluster can be watched");
    namespace.apply(&changed).await;
    let settled = watch.until_settled(&expected, Instant::now() + DEADLINE).await.expect("the change rolls out");
    let unchanged: Vec<bool> =
        expected.iter().map(|expected| settled.workloads[&expected.identity].unchanged).collect();
    assert_eq!(unchanged, [false, true]);
    namespace.remove().await;
}

#[tokio::test]
async fn a_daemon_set_is_rolled_out_and_its_change_too() {
    let namespace = Namespace::make("daemons").await;
    let daemons = [(Kind::DaemonSet, "app")];
    let settled = settle(&namespace, &[daemon_set("app", container(PAUSE, json!({})))], &daemons).await;
    let identity = Identity::new(Kind::DaemonSet, namespace.name(), "app");
    let first = settled.expect("it starts").workloads[&identity].clone();
    assert!(first.desired >= 1, "no node takes its pods, so it proves nothing");
    assert_eq!((first.ready, first.unchanged), (first.desired, false));

    let changed = container(PAUSE, json!({"env": [{"name": "A", "value": "b"}]}));
    for (generation, unchanged) in [(2, false), (2, true)] {
        let scope = Scope::of([identity.clone()]);
        let mut watch = Watch::begin(namespace.client(), scope, support::show_all()).await.expect("it can be watched");
        namespace.apply(&daemon_set("app", changed.clone())).await;
        let expected = [Expected { identity: identity.clone(), generation }];
        let settled = watch.until_settled(&expected, Instant::now() + DEADLINE).await.expect("it is replaced");
        let state = &settled.workloads[&identity];
        assert_eq!((state.ready, state.unchanged), (first.desired, unchanged));
        let pods = namespace.pods("app").await;
        let staying = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let envs = staying.flat_map(|pod| pod.spec.iter().flat_map(|spec| &spec.containers)).map(|app| app.env.iter());
        assert!(envs.into_iter().all(|env| env.len() == 1), "a pod of the old template is left");
    }
    namespace.remove().await;
}

#[tokio::test]
async fn a_daemon_set_that_cannot_start() {
    let namespace = Namespace::make("daemon-image").await;
    let object = daemon_set("app", container("local/none:1", json!({})));
    let ended = settle(&namespace, &[object], &[(Kind::DaemonSet, "app")]).await;
    let says = ["the image local/none:1 of pod app-", "is not in the cluster"];
    is_told(&namespace, ended, PROMPT, &says).await;
    namespace.remove().await;
}

#[tokio::test]
async fn a_change_of_a_daemon_set_that_keeps_ending() {
    let namespace = Namespace::make("daemon-crash").await;
    let daemons = [(Kind::DaemonSet, "app")];
    settle(&namespace, &[daemon_set("app", container(PAUSE, json!({})))], &daemons).await.expect("it starts");
    let identity = Identity::new(Kind::DaemonSet, namespace.name(), "app");
    let scope = Scope::of([identity.clone()]);
    let mut watch = Watch::begin(namespace.client(), scope, support::show_all()).await.expect("it can be watched");
    let crash = container(SHELL, json!({"command": shell("echo no moon; exit 3")}));
    namespace.apply(&daemon_set("app", crash)).await;
    let expected = [Expected { identity, generation: 2 }];
    let ended = watch.until_settled(&expected, Instant::now() + DEADLINE).await;
    is_told(&namespace, ended, PROMPT, &["container app ended with exit code 3", "no moon"]).await;
    namespace.remove().await;
}

/// What an apply has put elsewhere is watched from then on; who may look at one namespace alone needs no more.
#[tokio::test]
async fn a_workload_in_another_namespace_than_the_watch_began_with() {
    let (namespace, aside) = (Namespace::make("own").await, Namespace::make("aside").await);
    let expected = |namespace: &Namespace| {
        [Expected { identity: Identity::new(Kind::Deployment, namespace.name(), "app"), generation: 1 }]
    };
    let confined = namespace.confined_client().await;
    let scope = Scope::release(namespace.name(), "todo");
    let begin = |client| Watch::begin(client, scope.clone(), support::show_all());
    let mut watch = begin(namespace.client()).await.expect("it can be watched");
    let mut confined = begin(confined).await.expect("it may look here");
    namespace.apply(&deployment("app", 1, container(PAUSE, json!({})))).await;
    confined.until_settled(&expected(&namespace), Instant::now() + DEADLINE).await.expect("it may look here");
    aside.apply(&deployment("app", 1, container(PAUSE, json!({})))).await;
    let both = [expected(&namespace), expected(&aside)].concat();
    let settled = watch.until_settled(&both, Instant::now() + DEADLINE).await.expect("both start");
    assert_eq!(settled.workloads.len(), 2);

    let forbidden = confined.until_settled(&both, Instant::now() + DEADLINE).await.expect_err("it may not look there");
    let help = format!("in namespace {}", aside.name());
    assert!(forbidden.help.iter().any(|line| line.ends_with(&help)), "{forbidden:#?}");

    // One that cannot start there ends the wait as it would here.
    aside.apply(&deployment("bad", 1, container("local/none:1", json!({})))).await;
    let bad = [Expected { identity: Identity::new(Kind::Deployment, aside.name(), "bad"), generation: 1 }];
    let mut watch = begin(namespace.client()).await.expect("it can be watched");
    let failure = watch.until_settled(&bad, Instant::now() + DEADLINE).await.expect_err("there is no image");
    assert_says(&failure, &["the image local/none:1 of pod bad-"]);
    assert!(!failure.causes.iter().any(|cause| cause.contains(TIME)), "it did not end early: {failure:#?}");
    namespace.remove().await;
    aside.remove().await;
}

/// Beside helm: what was broken before is not this run's failure, what this run breaks is.
#[tokio::test]
async fn only_what_was_changed_since_the_watch_began_fails_it() {
    let namespace = Namespace::make("before").await;
    let broken = |image: &str| deployment("old", 1, container(image, json!({})));
    let failure = settle(&namespace, &[broken("local/none:1")], &[(Kind::Deployment, "old")]).await;
    failure.expect_err("the old revision is broken");
    let scope =
        Scope::release(namespace.name(), "todo").with([Identity::new(Kind::Deployment, namespace.name(), "old")]);
    let watch = Watch::begin(namespace.client(), scope, support::show_all()).await.expect("the cluster can be watched");
    // A hook is known by its release's label.
    let hook = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "migrate", "labels": {"app.kubernetes.io/instance": "todo"}, "annotations": {"helm.sh/hook": "pre-upgrade"}},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "local/hook:1", "imagePullPolicy": "Never"}]}}},
    });
    namespace.apply(&hook).await;
    let failure = tokio::time::timeout(DEADLINE, watch.failure()).await.expect("the hook cannot start");
    assert_says(&failure, &["the image local/hook:1 of pod migrate-"]);
    namespace.remove().await;
}

#[tokio::test]
async fn progress_is_told_while_pods_start() {
    use futures_util::StreamExt;
    let namespace = Namespace::make("progress").await;
    let scope = Scope::release(namespace.name(), "todo").with([Identity::new(
        Kind::Deployment,
        namespace.name(),
        "todo-backend",
    )]);
    let watch = Watch::begin(namespace.client(), scope, support::show_all()).await.expect("the cluster can be watched");
    let mut progress = Box::pin(watch.progress());
    namespace.apply(&deployment("todo-backend", 2, container(PAUSE, json!({})))).await;
    let mut lines = Vec::new();
    while let Some(line) = tokio::time::timeout(DEADLINE, progress.next()).await.expect("it goes on") {
        let last = line == "backend 2/2";
        lines.push(line);
        if last {
            break;
        }
    }
    assert_eq!(lines.first().map(String::as_str), Some("backend 0/2 ready"));
    namespace.remove().await;
}
