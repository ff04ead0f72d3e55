//! Each kind of mistake in a Dockerfile gets its own error, from what this daemon really says.

use buildkit::{BaseImageProblem, Endpoint, Error, build};

use crate::fixture::{Folder, build_watched};

async fn failure(dockerfile: &str) -> Error {
    let mut folder = Folder::new();
    folder.file("x", "x");
    folder.build(dockerfile).await.unwrap_err()
}

#[tokio::test]
async fn syntax_errors_name_the_line() {
    let rows = [
        ("FROM scratch\nFOO bar\n", Some(2), "unknown instruction: FOO"),
        ("FROM scratch\n\nCOPY\n", Some(3), "COPY requires at least two arguments"),
        ("", None, "cannot be empty"),
        ("FROM scratch\nFROM $NOPE\n", Some(2), "should not be blank"),
        ("FROM UPPER:1\n", Some(1), "must be lowercase"),
    ];
    for (dockerfile, expected, words) in rows {
        let error = failure(dockerfile).await;
        let Error::Syntax { line, message } = &error else { panic!("{dockerfile:?}: {error:?}") };
        assert_eq!(*line, expected, "{dockerfile:?}");
        assert!(message.contains(words), "{dockerfile:?}: {message}");
    }
}

#[tokio::test]
async fn an_unknown_target_comes_with_the_known_ones() {
    let mut request = Folder::new().request("FROM scratch AS one\nFROM scratch AS two\n");
    request.target = Some("tow".to_owned());
    let error = build_watched(request).await.0.unwrap_err();
    assert!(
        matches!(&error, Error::UnknownTarget { target, stages } if target == "tow" && *stages == ["one", "two"]),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_missing_source_names_path_and_line() {
    let rows = [
        ("FROM scratch\nCOPY nope /\n", "nope", 2),
        ("FROM scratch\nCOPY x /\nADD a/nope x /\n", "a/nope", 3),
        ("FROM scratch AS a\nCOPY x /\nFROM scratch\nCOPY --from=a /zzz /\n", "zzz", 4),
    ];
    for (dockerfile, expected, at) in rows {
        let error = failure(dockerfile).await;
        assert!(
            matches!(&error, Error::MissingSource { path, line } if path == expected && *line == Some(at)),
            "{dockerfile:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_base_image_whose_registry_is_away_names_image_and_line() {
    // Nothing listens on port 1.
    let rows = [
        ("ARG TAG=1\nFROM 127.0.0.1:1/no/such:$TAG\nRUN a\n", "127.0.0.1:1/no/such:1", 2),
        ("FROM scratch\nCOPY --from=127.0.0.1:1/other /a /\n", "127.0.0.1:1/other:latest", 2),
    ];
    for (dockerfile, expected, at) in rows {
        let error = failure(dockerfile).await;
        let Error::BaseImage { image, problem, line, .. } = &error else { panic!("{dockerfile:?}: {error:?}") };
        assert_eq!((image.as_str(), *problem, *line), (expected, BaseImageProblem::Unreachable, Some(at)));
    }
}

#[tokio::test]
async fn no_daemon_at_all_names_the_endpoint() {
    let folder = Folder::new();
    let endpoint = Endpoint::Unix(folder.path("no.sock"));
    let error = build(&endpoint, folder.request("FROM scratch\n"), |_| ()).await.unwrap_err();
    assert!(matches!(&error, Error::Connect { endpoint, .. } if endpoint.ends_with("/no.sock")), "{error:?}");
}

#[tokio::test]
async fn a_refused_request_keeps_the_daemons_words() {
    let mut request = Folder::new().request("FROM scratch\n");
    request.tags.push("Not A Tag".to_owned());
    let error = build_watched(request).await.0.unwrap_err();
    assert!(
        matches!(&error, Error::Refused { message, .. } if message.contains("invalid reference format")),
        "{error:?}"
    );
}
