//! The TLS handshake over any connection, and what its failures mean in words.

use crate::connect::{BoxIo, ConnectError, ConnectFailure, Target};
use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::ServerName;
use std::{io, sync::Arc, time::Duration};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Speaks TLS over `io`. `server_name` is the name the certificate must bear; the target's host where `None`.
///
/// # Errors
/// [`ConnectFailure::Tls`] with the reason in words, or [`ConnectFailure::Timeout`].
pub async fn connect_tls(
    io: BoxIo,
    target: &Target,
    server_name: Option<&str>,
    config: Arc<ClientConfig>,
    deadline: Duration,
) -> Result<TlsStream<BoxIo>, ConnectError> {
    let fail = |failure, detail| ConnectError { failure, target: target.clone(), via: None, detail };
    let text = server_name.unwrap_or(&target.host);
    let name = ServerName::try_from(text.to_owned())
        .map_err(|_| fail(ConnectFailure::Tls, format!("`{text}` cannot be the name in a certificate")))?;
    match tokio::time::timeout(deadline, TlsConnector::from(config).connect(name, io)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(fail(ConnectFailure::Tls, explain_tls(&error))),
        Err(_) => Err(fail(
            ConnectFailure::Timeout,
            format!("the other side did not finish the TLS handshake within {} s", deadline.as_secs_f32()),
        )),
    }
}

/// A TLS failure in the words of a person who has to act on it.
#[must_use]
pub fn explain_tls(error: &io::Error) -> String {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                "the other side closed the connection during the TLS handshake".into()
            }
            _ => format!("the TLS handshake failed: {error}"),
        };
    };
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::UnknownIssuer => {
                "the certificate is signed by an authority that is not trusted here".into()
            }
            CertificateError::BadSignature => {
                "the certificate is not signed by the trusted authority but by another one of the same name".into()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired".into(),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet; compare the clocks".into()
            }
            CertificateError::NotValidForName => "the certificate is for another name".into(),
            CertificateError::NotValidForNameContext { expected, presented } => format!(
                "the certificate is not for `{}` but for {}",
                expected.to_str(),
                if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") }
            ),
            CertificateError::Other(other) => other.to_string(),
            other => format!("the certificate is refused: {other}"),
        },
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS".into(),
        rustls::Error::AlertReceived(alert) => format!("the other side refused the TLS handshake: {alert:?}"),
        other => format!("the TLS handshake failed: {other}"),
    }
}
