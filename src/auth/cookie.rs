//! The cookie of browsers that do not handle tokens themselves.

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{DateTime, Utc};

use super::Token;
use crate::error::{Error, Result};

/// How the cookie is named and marked.
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    secure: bool,
}

impl Cookies {
    /// `secure`: only over HTTPS, and bound to this very host.
    pub fn new(secure: bool) -> Self {
        Self { secure }
    }

    /// `studyhall`, or `__Host-studyhall` when secure.
    pub fn name(&self) -> &'static str {
        if self.secure { "__Host-studyhall" } else { "studyhall" }
    }

    /// The `Set-Cookie` that signs a browser in.
    pub fn set(&self, token: &Token, expires_at: DateTime<Utc>) -> Result<HeaderValue> {
        let seconds = (expires_at - Utc::now()).num_seconds().max(0);
        self.header(token.secret(), seconds)
    }

    /// The `Set-Cookie` that signs it out.
    pub fn clear(&self) -> Result<HeaderValue> {
        self.header("", 0)
    }

    fn header(&self, value: &str, max_age_s: i64) -> Result<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = self.name();
        let text = format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::try_from(text).map_err(Error::internal)
    }

    /// The value of the cookie in a request.
    pub fn read<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, value)| *name == self.name() && !value.is_empty())
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_as_it_should_be() {
        let token = Token::generate().unwrap();
        let plain = Cookies::new(false).set(&token, Utc::now() + chrono::TimeDelta::days(30)).unwrap();
        let plain = plain.to_str().unwrap();
        assert!(plain.starts_with(&format!("studyhall={}; Path=/; Max-Age=25", token.secret())), "{plain}");
        assert!(plain.ends_with("HttpOnly; SameSite=Strict"), "{plain}");
        let secure = Cookies::new(true).clear().unwrap();
        assert_eq!(secure, "__Host-studyhall=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure");
    }

    #[test]
    fn found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; xstudyhall=no"));
        assert_eq!(Cookies::new(false).read(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("theme=dark; studyhall=shs_x; c"));
        assert_eq!(Cookies::new(false).read(&headers), Some("shs_x"));
        assert_eq!(Cookies::new(true).read(&headers), None);
    }
}
