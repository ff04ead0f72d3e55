//! Which cryptography TLS uses, decided once for all clients of this process.

/// Makes ring the provider. Without a choice rustls panics, or picks what some dependency happens to bring.
pub fn install_provider() {
    // The second call, and every later one, finds the choice made.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
