//! The one TLS provider of a process.

/// Makes aws-lc-rs the provider of everything that speaks TLS. Called first in every `main`: with several providers
/// compiled in by dependencies, a builder without an explicit choice panics. Calling it again changes nothing.
pub fn install_provider() {
    // An error means that a provider is installed already, and only this function installs one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
