//! Which web pages may use the cookies of people who are signed in.

use std::sync::Arc;

use anyhow::bail;
use axum::http::{HeaderMap, HeaderValue, header};

/// The page's own host, and a list of others.
#[derive(Debug, Clone)]
pub struct AllowedOrigins {
    listed: Arc<[String]>,
}

/// Where a request comes from, as far as the browser says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginVerdict {
    /// No `Origin`: not a script of a page, or a plain read.
    Absent,
    /// A page of this host, or a listed one.
    Allowed,
    /// Any other page.
    Foreign,
}

impl AllowedOrigins {
    /// `listed`: exact origins such as `https://app.example.org`. An error names one that is none.
    pub fn new(listed: &[String]) -> anyhow::Result<Self> {
        let mut origins = Vec::with_capacity(listed.len());
        for origin in listed.iter().map(|origin| origin.trim()).filter(|origin| !origin.is_empty()) {
            let origin = origin.trim_end_matches('/').to_ascii_lowercase();
            let plain = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' ']);
            match split(&origin) {
                Some((_, host)) if plain(host) && HeaderValue::try_from(&origin).is_ok() => origins.push(origin),
                _ => bail!("STUDYHALL_ORIGINS: {origin} is not an origin such as https://app.example.org"),
            }
        }
        Ok(Self { listed: origins.into() })
    }

    /// What the request's `Origin` means. The same rule for REST and for the upgrade of a socket.
    pub fn allows(&self, headers: &HeaderMap) -> OriginVerdict {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return OriginVerdict::Absent;
        };
        let allowed = self.is_listed(origin) || is_same_host(origin, headers.get(header::HOST));
        if allowed { OriginVerdict::Allowed } else { OriginVerdict::Foreign }
    }

    /// Whether the origin is on the list.
    pub fn is_listed(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| self.listed.iter().any(|listed| listed.eq_ignore_ascii_case(origin)))
    }
}

/// Schemes are not compared: behind a proxy that speaks TLS we do not know ours.
fn is_same_host(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), host.map(HeaderValue::to_str)) else {
        return false;
    };
    let Some((scheme, authority)) = split(origin) else {
        return false;
    };
    let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let plain = |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    !authority.is_empty() && plain(authority) == plain(host)
}

fn split(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some((scheme, authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(origin: Option<&'static str>, host: &'static str) -> OriginVerdict {
        let origins = AllowedOrigins::new(&["https://App.example.org/".into(), String::new()]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        origins.allows(&headers)
    }

    #[test]
    fn same_host_or_listed() {
        assert_eq!(verdict(None, "localhost:8080"), OriginVerdict::Absent);
        for (origin, host) in [
            ("http://localhost:8080", "localhost:8080"),
            ("https://study.example", "study.example"),
            ("https://study.example", "study.example:443"),
            ("https://STUDY.example", "study.example"),
            ("https://app.example.org", "study.example"),
        ] {
            assert_eq!(verdict(Some(origin), host), OriginVerdict::Allowed, "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://localhost:3000",
            "http://localhost",
            "https://app.example.org.evil.example",
            "https://evil.example/app.example.org",
            "http://app.example.org",
            "file://localhost:8080",
        ] {
            assert_eq!(verdict(Some(origin), "localhost:8080"), OriginVerdict::Foreign, "{origin}");
        }
    }

    #[test]
    fn a_list_of_origins_only() {
        for bad in ["*", "app.example.org", "https://", "https://*.example.org", "https://a.example/path", "null"] {
            assert!(AllowedOrigins::new(&[bad.into()]).is_err(), "{bad}");
        }
    }
}
