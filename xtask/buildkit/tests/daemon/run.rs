//! `RUN`: secrets, caches, and what is told of a command that fails.

use buildkit::{Error, Request};
use secrecy::SecretSlice;

use crate::base::base;
use crate::fixture::{Folder, api, build_watched, file_in, ran, remove};

const SECRET: &str = "s3cr3t-that-must-not-stay";

async fn with_secret(folder: &Folder, instruction: &str, value: &str) -> Request {
    let mut request = folder.request(&format!("FROM {}\n{instruction}\n", base().await));
    request.secrets.insert("token".to_owned(), SecretSlice::from(value.as_bytes().to_vec()));
    request
}

#[tokio::test]
async fn a_secret_reaches_the_command_and_stays_out_of_the_image() {
    let folder = Folder::new();
    let read = r"RUN --mount=type=secret,id=token read -r t < /run/secrets/token || true; echo ${#t} > /length";
    let (built, _) = build_watched(with_secret(&folder, read, SECRET).await).await;
    let image = built.unwrap().image_id;
    assert_eq!(file_in(&image, "/length").await, format!("{}\n", SECRET.len()).as_bytes());
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    // The layers are saved uncompressed; history and inspection are the rest of what an image consists of.
    let saved = api("GET", &format!("/images/{image}/get"), "").await;
    assert!(has(&saved, "echo ${#t}"), "the saved image is not readable as it is");
    assert!(!has(&saved, SECRET));
    for what in ["json", "history"] {
        assert!(!has(&api("GET", &format!("/images/{image}/{what}"), "").await, SECRET));
    }
    remove(&image).await;
}

#[tokio::test]
async fn a_changed_secret_takes_effect_under_another_salt_only() {
    let folder = Folder::new();
    let id = folder.unlike_others();
    let command = "cat /run/secrets/token > /copy; echo ran >> /cache/log; cat /cache/log > /log";
    let mounts = format!("--mount=type=secret,id=token --mount=type=cache,id={id},target=/cache");
    let instruction = &format!("RUN {mounts} {command} # {id}");
    let salted = |value: &'static str, salt: &'static str| {
        let folder = &folder;
        async move {
            let mut request = with_secret(folder, instruction, value).await;
            request.salt = Some(salt.to_owned());
            let (built, events) = build_watched(request).await;
            (built.unwrap().image_id, ran(&events).len())
        }
    };
    let (first, _) = salted("one", "stands-for-one").await;
    assert_eq!(file_in(&first, "/copy").await, b"one");
    let unsalted = salted("two", "stands-for-one").await;
    assert_eq!(unsalted, (first.clone(), 0), "BuildKit's keys leave secrets out; were that to change, salts can go");

    let (second, runs) = salted("two", "stands-for-two").await;
    assert_eq!((runs, file_in(&second, "/copy").await), (1, b"two".to_vec()));
    assert_eq!(file_in(&second, "/log").await, b"ran\nran\n", "caches that commands keep outlive it");
    let (again, runs) = salted("one", "stands-for-one").await;
    assert_eq!((again, runs), (first.clone(), 0), "what was made with the first one was not replaced");
    remove(&first).await;
    remove(&second).await;
}

#[tokio::test]
async fn a_missing_secret_is_named_if_it_is_required() {
    let folder = Folder::new();
    let dockerfile = format!("FROM {}\nRUN --mount=type=secret,id=other,required=true true\n", base().await);
    let error = folder.build(&dockerfile).await.unwrap_err();
    assert!(matches!(&error, Error::MissingSecret { id, line: Some(2) } if id == "other"), "{error:?}");

    let built = folder.build(&dockerfile.replace(",required=true", "")).await.unwrap();
    remove(&built.image_id).await;
}

#[tokio::test]
async fn a_cache_mount_outlives_the_build() {
    let folder = Folder::new();
    let id = folder.unlike_others();
    let mount = format!("RUN --mount=type=cache,id={id},target=/cache echo ran >> /cache/log; cat /cache/log > /log");
    for times in 1..=2 {
        let built = folder.build(&format!("FROM {}\n{mount} # {times}\n", base().await)).await;
        let image = built.unwrap().image_id;
        assert_eq!(file_in(&image, "/log").await, "ran\n".repeat(times).as_bytes());
        remove(&image).await;
    }
}

#[tokio::test]
async fn a_failed_command_is_told_with_its_code_its_last_lines_and_its_line() {
    let mut folder = Folder::new();
    folder.file("a", "a");
    let dockerfile = format!(
        "FROM {} AS build\nCOPY a /\nRUN i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; done; \\\n  exit 42\n",
        base().await
    );
    let (result, events) = build_watched(folder.request(&dockerfile)).await;
    let Err(Error::Instruction { command, exit_code, last_lines, line, .. }) = result else {
        panic!("{result:?}");
    };
    assert!(command.starts_with("RUN i=0; while"), "{command}");
    assert_eq!((exit_code, line), (Some(42), Some(3)));
    assert_eq!((last_lines.len(), last_lines.last().map(String::as_str)), (40, Some("100")));
    let lines = events.iter().filter(|event| matches!(event.change, buildkit::Change::Wrote(_)));
    assert_eq!(lines.count(), 100, "all lines are told as they come");
}
