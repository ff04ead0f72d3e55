//! The same over TLS with certificates on both sides: through a relay in front of the daemon's socket.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use buildkit::{Built, Endpoint, Error, build};
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use crate::fixture::{Folder, endpoint, remove};

/// A certificate for 127.0.0.1 and its key. It vouches for itself, so it serves as CA, server and client.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-out"])
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("this test needs `openssl`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (cert, key)
}

/// Listens on a port, and passes on what comes from those who show `cert`.
async fn relay(cert: &Path, key: &Path) -> u16 {
    let certificate = CertificateDer::from_pem_file(cert).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who is turned away sees it on their side.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut daemon = endpoint().connect().await.unwrap();
                    drop(copy_bidirectional(&mut stream, &mut daemon).await);
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_build_goes_through_tls_and_only_with_the_right_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let ours = certificate(folder.path(), "ours");
    let other = certificate(folder.path(), "other");
    let port = relay(&ours.0, &ours.1).await;
    let attempt = async |ca: &Path, cert: &(PathBuf, PathBuf)| -> Result<Built, Error> {
        let (ca, (cert, key)) = (ca.to_owned(), cert.clone());
        let endpoint = Endpoint::Tls { host: "127.0.0.1".to_owned(), port, ca, cert, key };
        let mut files = Folder::new();
        files.file("a", "x".repeat(1_000_000));
        build(&endpoint, files.request("FROM scratch\nCOPY a /\n"), |_| ()).await
    };
    let built = attempt(&ours.0, &ours).await.unwrap();
    assert_eq!(built.sent.bytes, 1_000_000);
    remove(&built.image_id).await;

    let error = attempt(&other.0, &ours).await.unwrap_err();
    assert!(matches!(&error, Error::Tls { subject, .. } if subject.starts_with("tcp://127.0.0.1:")), "{error:?}");
    // With TLS 1.3 the client learns that it was turned away only when it reads.
    let error = attempt(&ours.0, &other).await.unwrap_err();
    assert!(matches!(&error, Error::Tls { .. } | Error::Broken { .. }), "{error:?}");
    let error = attempt(&folder.path().join("none.pem"), &ours).await.unwrap_err();
    assert!(matches!(&error, Error::Tls { subject, .. } if subject.ends_with("none.pem")), "{error:?}");
}
