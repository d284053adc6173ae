//! Certificate pinning for Service Fabric, whose endpoint has a self-signed certificate: the SHA-1 thumbprint alone
//! identifies the server.
//!
//! Chain, name and dates are not checked. The signature of the handshake is, so the server holds the private key of the
//! pinned certificate. The platform supplies a SHA-1 thumbprint; forging a certificate for it takes a second preimage
//! of SHA-1, for which no practical attack is known.

use std::sync::Arc;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};

use super::{TransportError, tls};

/// The SHA-1 hash of a certificate in DER form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 20]);

impl Thumbprint {
    /// Parses 40 hexadecimal digits of either case. Colons and white space are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|c| *c != ':' && !c.is_whitespace())
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()?;
        let mut bytes = [0; 20];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Some(Self(bytes))
    }

    fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut bytes = [0; 20];
        bytes.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate).as_ref());
        Self(bytes)
    }
}

/// The cause of a TLS error if the certificate has another thumbprint.
#[derive(Debug)]
pub struct ThumbprintMismatch;

impl std::fmt::Display for ThumbprintMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the thumbprint of the server's certificate does not match")
    }
}

impl std::error::Error for ThumbprintMismatch {}

/// Returns a TLS configuration that accepts only the certificate with this thumbprint.
pub fn pinned_tls_config(thumbprint: Thumbprint) -> Result<ClientConfig, TransportError> {
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let verifier = Arc::new(PinnedCertVerifier {
        thumbprint,
        algorithms,
    });
    let mut config = tls::tls_builder()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A resumed session would skip the verifier.
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[derive(Debug)]
struct PinnedCertVerifier {
    thumbprint: Thumbprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedCertVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Thumbprint::of(end_entity) == self.thumbprint {
            Ok(ServerCertVerified::assertion())
        } else {
            let mismatch = CertificateError::Other(OtherError(Arc::new(ThumbprintMismatch)));
            Err(rustls::Error::InvalidCertificate(mismatch))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprint_has_40_hex_digits_in_any_spelling() {
        let plain = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let expected = Thumbprint::of(&CertificateDer::from_slice(b"abc"));
        let colons = "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D";
        for text in [plain, &plain.to_uppercase(), colons, &format!(" {plain}\n")] {
            assert_eq!(Thumbprint::parse(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "a9",
            &plain[1..],
            &format!("{plain}00"),
            &plain.replace('a', "g"),
        ] {
            assert_eq!(Thumbprint::parse(text), None, "{text}");
        }
    }
}
