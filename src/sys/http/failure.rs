//! Why there was no answer, in words.

use rustls::AlertDescription;

use crate::error::Error;

/// Why there was no answer.
#[derive(Debug)]
pub struct Failure {
    /// The reason in words.
    pub why: String,
    /// Whether trying again may help.
    pub passing: bool,
}

/// TLS errors in words. What only time or the other side can mend is tried again.
pub(super) fn tls_failure(error: &rustls::Error, name: &str, ca: Option<&str>) -> Failure {
    use rustls::CertificateError as Bad;
    let (why, passing) = match error {
        rustls::Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            ("the server's certificate is not valid yet, by this host's clock".to_owned(), true)
        }
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            ("the server's certificate has expired, by this host's clock".to_owned(), false)
        }
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => (
            match ca {
                None => "the server's certificate is signed by nobody we trust: give its CA with --cacert"
                    .to_owned(),
                Some(ca) => format!(
                    "the server's certificate is signed by nobody we trust: {ca} is of another CA, or of another cluster?"
                ),
            },
            false,
        ),
        rustls::Error::InvalidCertificate(Bad::BadSignature) => (
            "the server's certificate is signed by a CA of the same name, but with another key: \
             is --cacert or the kubeconfig of another cluster?"
                .to_owned(),
            false,
        ),
        rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            (format!("the server's certificate is not for {name}"), false)
        }
        rustls::Error::InvalidCertificate(other) => (format!("the server's certificate: {other:?}"), false),
        // The pins' own words.
        rustls::Error::General(why) => (why.clone(), false),
        rustls::Error::InvalidMessage(_) => {
            ("the server does not speak TLS: http:// instead?".to_owned(), false)
        }
        rustls::Error::AlertReceived(alert) => alert_failure(*alert),
        other => (other.to_string(), false),
    };
    Failure { why, passing }
}

/// What the server says as it ends the handshake.
fn alert_failure(alert: AlertDescription) -> (String, bool) {
    match alert {
        AlertDescription::CertificateRequired => {
            ("the server wants a client certificate: --cert".to_owned(), false)
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::CertificateExpired => {
            (format!("the server refuses the client certificate ({alert:?})"), false)
        }
        _ => {
            // A load balancer says these while none of its backends is up.
            let passing = matches!(
                alert,
                AlertDescription::InternalError
                    | AlertDescription::HandshakeFailure
                    | AlertDescription::UnrecognisedName
            );
            (format!("the server ended the TLS handshake: {alert:?}"), passing)
        }
    }
}

impl From<Failure> for crate::sys::wait::Retry {
    fn from(failure: Failure) -> Self {
        if failure.passing {
            Self::Later { why: failure.why, after: None }
        } else {
            Self::Never(Error::failed(failure.why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError::{BadSignature, UnknownIssuer};

    #[test]
    fn what_a_balancer_without_backends_says_passes() {
        for (alert, passing) in [
            (AlertDescription::InternalError, true),
            (AlertDescription::HandshakeFailure, true),
            (AlertDescription::UnrecognisedName, true),
            (AlertDescription::ProtocolVersion, false),
            (AlertDescription::CertificateRequired, false),
            (AlertDescription::UnknownCA, false),
        ] {
            let failure = tls_failure(&rustls::Error::AlertReceived(alert), "n", None);
            assert_eq!(failure.passing, passing, "{}", failure.why);
        }
    }

    #[test]
    fn the_advice_is_by_where_the_ca_came_from() {
        for (error, ca, says) in [
            (UnknownIssuer, None, "signed by nobody we trust: give its CA with --cacert"),
            (
                UnknownIssuer,
                Some("/a/ca.crt"),
                "signed by nobody we trust: /a/ca.crt is of another CA, or of another cluster?",
            ),
            (
                BadSignature,
                Some("/a/ca.crt"),
                "signed by a CA of the same name, but with another key: is --cacert or the kubeconfig of another cluster?",
            ),
        ] {
            let failure = tls_failure(&rustls::Error::InvalidCertificate(error), "n", ca);
            assert_eq!(
                (failure.why, failure.passing),
                (format!("the server's certificate is {says}"), false)
            );
        }
    }
}
