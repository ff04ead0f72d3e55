//! Requests to a port of a Service, as checks make them.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Value, json};
use xtask::world::forward::http::get;
use xtask::world::forward::{At, Trouble};

use crate::server::{server, service};
use crate::settled;
use crate::support::{Namespace, PAUSE, deployment};

#[tokio::test]
async fn a_request_reaches_a_named_port_and_brings_back_what_the_pod_says() {
    let namespace = Namespace::make("request").await;
    namespace.apply(&service("web", 80)).await;
    namespace.apply(&deployment("web", 2, server())).await;
    settled(&namespace, "web").await;
    let headers = BTreeMap::from([("X-Say".to_owned(), SecretString::from("hello"))]);
    for at in ["web", "web:80", "web:http"] {
        let at = At::parse(namespace.name(), at);
        let answer = get(&namespace.client(), &at, "/path?a=b", &headers).await.expect("it answers");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (answer.status, body["path"].as_str(), body["say"].as_str()),
            (200, Some("/path?a=b"), Some("hello"))
        );
        assert_eq!(body["pod"].as_str(), Some(answer.pod.as_str()));
    }
    let at = At::parse(namespace.name(), "web");
    assert_eq!(get(&namespace.client(), &at, "/missing", &headers).await.expect("it answers").status, 404);
    namespace.remove().await;
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_apart_from_what_cannot_be_reached_yet() {
    let namespace = Namespace::make("unreachable").await;
    let nobody_listens = json!({"containers": [{
        "name": "app", "image": PAUSE, "imagePullPolicy": "Never", "ports": [{"name": "web", "containerPort": 8000}],
    }]});
    namespace.apply(&service("web", 80)).await;
    namespace.apply(&service("empty", 80)).await;
    namespace.apply(&deployment("web", 1, nobody_listens)).await;
    settled(&namespace, "web").await;
    let ask = async |at: &str| {
        let at = At::parse(namespace.name(), at);
        get(&namespace.client(), &at, "/", &BTreeMap::new()).await.expect_err("nothing answers")
    };
    let check = |trouble: Trouble, never: bool, says: &str| {
        assert_eq!(matches!(trouble, Trouble::Never(_)), never, "{trouble:?}");
        let text = trouble.into_failure().to_string();
        assert!(text.contains(says), "`{says}` is not in: {text}");
    };
    check(ask("none").await, true, "there is no service none");
    check(ask("web:81").await, true, "there is no service web:81");
    check(ask("empty").await, false, "its selector matches no pod");
    check(ask("web").await, false, "onnection refused");
    namespace.remove().await;
}
