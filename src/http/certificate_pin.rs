//! A server that is known by the SHA-1 thumbprint of its certificate and by nothing else: Service
//! Fabric's endpoint, whose certificate is self-signed.
//!
//! No chain, name or date is checked, but the handshake's signature is: who answers holds the key
//! of that very certificate. SHA-1 is what the platform hands out; forging a certificate to a given
//! thumbprint takes a second preimage, which nobody can compute.

use std::sync::Arc;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};

use super::{TransportError, tls};

/// The SHA-1 of a certificate's DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 20]);

impl Thumbprint {
    /// Reads 40 hexadecimal digits of any case; colons and blanks between them do not count.
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

/// Says, inside of a TLS error, that the certificate has another thumbprint.
#[derive(Debug)]
pub struct ThumbprintMismatch;

impl std::fmt::Display for ThumbprintMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the thumbprint of the server's certificate does not match")
    }
}

impl std::error::Error for ThumbprintMismatch {}

/// A TLS configuration that accepts one certificate only.
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
