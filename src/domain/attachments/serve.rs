//! What is in a file, on its way out: as what it was found to be, whole or in part, and never as a page.

use std::ops::Range;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use studyhall_protocol::attachments::Attachment;

use super::sql::Seen;
use crate::error::{Error, Result};
use crate::storage::Storage;

/// How long a browser may show what it has without asking whether its person may still see it. The bytes never change.
const FRESH: &str = "private, max-age=3600, immutable";
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, FRESH),
    // A browser keeps what it has by address; somebody else may sign in to it.
    (header::VARY, "Authorization, Cookie, Origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-site"),
    (header::ACCEPT_RANGES, "bytes"),
];

/// Answers what is in a file that whoever asks may see.
pub async fn serve(storage: &Storage, seen: Seen, asked: &HeaderMap) -> Result<Response> {
    let file = seen.file.0;
    let etag = format!("\"{}\"", file.sha256);
    let size = u64::try_from(file.size_bytes).map_err(Error::internal)?;
    if names(asked, &header::IF_NONE_MATCH, &etag) {
        return Ok(with_headers(StatusCode::NOT_MODIFIED.into_response(), &file, &etag));
    }
    // What was asked for of other bytes is of no use.
    let same = !asked.contains_key(header::IF_RANGE) || names(asked, &header::IF_RANGE, &etag);
    let wanted = asked.get(header::RANGE).filter(|_| same).and_then(|range| parse(range.to_str().ok()?, size));
    let (status, range) = match wanted {
        None => (StatusCode::OK, 0..size),
        Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(None) => return Ok(beyond(size)),
    };
    let length = range.end - range.start;
    let content_range = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    let Some(content) = storage.read(&seen.storage_key, range).await? else {
        tracing::error!(attachment = %file.id, "a file is not in the store");
        return Err(Error::not_found());
    };
    let mut response = with_headers((status, Body::from_stream(content)).into_response(), &file, &etag);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(content_range).map_err(Error::internal)?);
    }
    Ok(response)
}

fn with_headers(mut response: Response<Body>, file: &Attachment, etag: &str) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let inline = matches!(file.kind.as_str(), "image" | "video" | "audio");
    let how = if inline { "inline" } else { "attachment" };
    let disposition = format!("{how}; filename*=UTF-8''{}", encoded(&file.file_name));
    let more = [
        (header::CONTENT_TYPE, file.content_type.clone()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::ETAG, etag.to_owned()),
    ];
    for (name, value) in more {
        // All of it is ASCII.
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    }
    response
}

/// 416, with the size.
fn beyond(size: u64) -> Response {
    let detail = format!("the file has {size} bytes");
    let mut response =
        Error::status(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail).into_response();
    let range = HeaderValue::try_from(format!("bytes */{size}")).ok();
    response.headers_mut().extend(range.map(|range| (header::CONTENT_RANGE, range)));
    response
}

/// Whether a header names this tag, weakly or not, or any.
fn names(asked: &HeaderMap, name: &HeaderName, etag: &str) -> bool {
    let lines = asked.get_all(name).iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The one range that is asked for: nothing for what is no range, or several, which are then not looked at; no range for
/// one that lies beyond the end.
fn parse(text: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let range = match (first, last) {
        ("", last) => {
            let length: u64 = number(last)?;
            size.saturating_sub(length)..size
        }
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last): (u64, u64) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..size.min(last.saturating_add(1))
        }
    };
    Some((range.start < range.end).then_some(range))
}

/// As `filename*` wants it (RFC 8187).
fn encoded(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(parse("bytes=0-0", 10), Some(Some(0..1)));
        assert_eq!(parse("bytes=2-", 10), Some(Some(2..10)));
        assert_eq!(parse("bytes=-3", 10), Some(Some(7..10)));
        assert_eq!(parse("bytes=-30", 10), Some(Some(0..10)));
        assert_eq!(parse("bytes=5-500", 10), Some(Some(5..10)));
        for beyond in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(parse(beyond, 10), Some(None), "{beyond}");
        }
        for none in ["bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes=", "bytes=-", "bytes=+1-2", "0-1"] {
            assert_eq!(parse(none, 10), None, "{none}");
        }
        assert_eq!(parse("bytes=0-18446744073709551615", 10), Some(Some(0..10)));
    }

    #[test]
    fn names_are_only_names() {
        assert_eq!(encoded("a b\"\r\n日.png"), "a%20b%22%0D%0A%E6%97%A5.png");
    }
}
