use std::str::FromStr;

/// A bootstrap token, `ID.SECRET`: six and sixteen of a-z and 0-9 (Kubernetes 1.6 on; its group,
/// system:bootstrappers, may ask for certificates and nothing else). It is never printed: no Debug.
#[derive(Clone)]
pub struct BootstrapToken {
    /// Names it, and is no secret.
    pub id: String,
    /// The secret part.
    pub secret: String,
}

impl FromStr for BootstrapToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part =
            |t: &str, len| t.len() == len && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        match text.split_once('.') {
            Some((id, secret)) if is_part(id, 6) && is_part(secret, 16) => {
                Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
            }
            _ => Err("a bootstrap token is ID.SECRET: 6 and 16 of a-z and 0-9".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_as_the_api_server_takes_them() {
        let token: BootstrapToken = "07401b.f395accd246ae52d".parse().unwrap();
        assert_eq!((token.id.as_str(), token.secret.as_str()), ("07401b", "f395accd246ae52d"));
        for bad in
            ["", "07401b", "07401b.f395accd246ae52", "07401B.f395accd246ae52d", "0740.1bf395accd246ae52d"]
        {
            assert!(bad.parse::<BootstrapToken>().is_err(), "{bad}");
        }
    }
}
