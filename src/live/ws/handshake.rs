//! The opening handshake: is this request a WebSocket upgrade, and what is the answer?
//!
//! Only the rules of RFC 6455 are checked. Whether the `Origin` may connect, and who the user is,
//! are questions of the caller. No extension is ever negotiated: compression would need a window
//! per connection and would end the sharing of encoded messages.

use std::fmt;

use axum::http::header::{
    ALLOW, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use studyhall_protocol::format::Format;

/// The subprotocols that are spoken, besides none at all.
pub const SUBPROTOCOLS: &[&str] = &[Format::JSON_SUBPROTOCOL, Format::PROTOBUF_SUBPROTOCOL];

/// What RFC 6455 appends to the key before hashing.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An upgrade that can be answered with 101.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The value of `Sec-WebSocket-Accept`.
    pub key: HeaderValue,
    /// The subprotocol chosen: the client's most preferred of those allowed.
    pub subprotocol: Option<&'static str>,
}

impl Accept {
    /// Adds the headers of the 101 answer.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.key.clone());
        if let Some(name) = self.subprotocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        }
    }
}

/// Why a request cannot be upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The method is not GET.
    Method,
    /// The request is not HTTP/1.1.
    HttpVersion,
    /// `Upgrade` does not name `websocket`.
    Upgrade,
    /// `Connection` does not name `upgrade`, perhaps because a proxy removed it.
    Connection,
    /// `Sec-WebSocket-Version` is not 13.
    WebSocketVersion,
    /// There is not exactly one `Sec-WebSocket-Key` of 16 bytes.
    Key,
}

impl HandshakeError {
    /// The status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::HttpVersion | Self::Upgrade | Self::Connection | Self::Key => StatusCode::BAD_REQUEST,
        }
    }

    /// A sentence for whoever debugs the client.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Method => "a WebSocket is opened with GET",
            Self::HttpVersion => "a WebSocket is opened with HTTP/1.1",
            Self::Upgrade => "the header Upgrade must contain websocket",
            Self::Connection => "the header Connection must contain upgrade",
            Self::WebSocketVersion => "the header Sec-WebSocket-Version must be 13",
            Self::Key => "there must be one header Sec-WebSocket-Key, 16 bytes in base64",
        }
    }

    /// Adds the headers that the status demands: which method, or which version, would do.
    pub fn write_headers(self, headers: &mut HeaderMap) {
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::WebSocketVersion => {
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                // RFC 9110 wants both with a 426.
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            }
            Self::HttpVersion | Self::Upgrade | Self::Connection | Self::Key => {}
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for HandshakeError {}

/// Checks a request for an upgrade; `allowed` are the subprotocols spoken ([`SUBPROTOCOLS`]).
///
/// A client that offers only unknown subprotocols is accepted without one, as the RFC has it:
/// whether to go on is then its own decision (browsers close).
pub fn check(
    method: &Method,
    version: &Version,
    headers: &HeaderMap,
    allowed: &[&'static str],
) -> Result<Accept, HandshakeError> {
    if method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if *version != Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    if !tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket")) {
        return Err(HandshakeError::Upgrade);
    }
    if !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return Err(HandshakeError::Connection);
    }
    if only(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|value| value.as_bytes() != b"13") {
        return Err(HandshakeError::WebSocketVersion);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    let subprotocol = tokens(headers, &SEC_WEBSOCKET_PROTOCOL)
        .find_map(|offered| allowed.iter().copied().find(|name| *name == offered));
    Ok(Accept { key: accept_key(key.as_bytes())?, subprotocol })
}

/// The answer to a key, if it is one.
fn accept_key(key: &[u8]) -> Result<HeaderValue, HandshakeError> {
    // The longest text that fits is refused by its length before it is decoded.
    let nonce = (key.len() == 24).then(|| STANDARD.decode(key).ok()).flatten();
    if nonce.is_none_or(|nonce| nonce.len() != 16) {
        return Err(HandshakeError::Key);
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::try_from(STANDARD.encode(digest)).map_err(|_| HandshakeError::Key)
}

/// The comma-separated tokens of all lines of a header. A line that is not text has none.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|token| token.trim_matches([' ', '\t']))
}

/// The value of a header that must be there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers to be replaced, or removed.
    type Changes<'c> = &'c [(&'static str, Option<&'static str>)];

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(changes: Changes<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        headers.insert("connection", HeaderValue::from_static("Upgrade"));
        headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
        headers.insert("sec-websocket-key", HeaderValue::from_static(KEY));
        for (name, _) in changes {
            headers.remove(*name);
        }
        for (name, value) in changes {
            if let Some(value) = value {
                headers.append(*name, HeaderValue::from_static(value));
            }
        }
        headers
    }

    fn checked(headers: &HeaderMap) -> Result<Accept, HandshakeError> {
        check(&Method::GET, &Version::HTTP_11, headers, SUBPROTOCOLS)
    }

    #[test]
    fn example_of_the_rfc() {
        let accept = checked(&request(&[])).unwrap();
        assert_eq!(accept.key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accept.subprotocol, None);
        let mut headers = HeaderMap::new();
        accept.write_headers(&mut headers);
        assert_eq!(headers.len(), 3);
        assert_eq!(headers[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn method_and_version() {
        let headers = request(&[]);
        for method in [Method::POST, Method::HEAD, Method::CONNECT, Method::OPTIONS] {
            let error = check(&method, &Version::HTTP_11, &headers, SUBPROTOCOLS).unwrap_err();
            assert_eq!((error, error.status().as_u16()), (HandshakeError::Method, 405));
        }
        for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
            let error = check(&Method::GET, &version, &headers, SUBPROTOCOLS).unwrap_err();
            assert_eq!((error, error.status().as_u16()), (HandshakeError::HttpVersion, 400));
        }
    }

    #[test]
    fn lists_and_cases_are_accepted() {
        for changes in [
            [("upgrade", Some("WebSocket")), ("connection", Some("keep-alive, UPGRADE"))],
            [("upgrade", Some("h2c,\twebsocket ")), ("connection", Some(",upgrade,"))],
        ] {
            assert!(checked(&request(&changes)).is_ok(), "{changes:?}");
        }
        let lines = [("connection", Some("keep-alive")), ("connection", Some("upgrade"))];
        assert!(checked(&request(&lines)).is_ok());
    }

    #[test]
    fn refusals() {
        use HandshakeError::{Connection, Key, Upgrade, WebSocketVersion};
        let table: &[(Changes<'_>, HandshakeError)] = &[
            (&[("upgrade", None)], Upgrade),
            (&[("upgrade", Some("websockets"))], Upgrade),
            (&[("upgrade", Some("web socket"))], Upgrade),
            (&[("connection", None)], Connection),
            (&[("connection", Some("keep-alive"))], Connection),
            (&[("sec-websocket-version", None)], WebSocketVersion),
            (&[("sec-websocket-version", Some("8"))], WebSocketVersion),
            (&[("sec-websocket-version", Some("13, 8"))], WebSocketVersion),
            (&[("sec-websocket-version", Some("13")), ("sec-websocket-version", Some("13"))], WebSocketVersion),
            (&[("sec-websocket-key", None)], Key),
            (&[("sec-websocket-key", Some(""))], Key),
            (&[("sec-websocket-key", Some("SGVsbG8sIHdvcmxkIQ=="))], Key),
            (&[("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZSE="))], Key),
            (&[("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25j!Q=="))], Key),
            (&[("sec-websocket-key", Some(KEY)), ("sec-websocket-key", Some(KEY))], Key),
        ];
        for (changes, expected) in table {
            let error = checked(&request(changes)).unwrap_err();
            assert_eq!(error, *expected, "{changes:?}");
            assert_eq!(error.status().as_u16(), if error == WebSocketVersion { 426 } else { 400 });
            assert!(!error.message().is_empty());
        }
        let mut headers = HeaderMap::new();
        WebSocketVersion.write_headers(&mut headers);
        assert_eq!(headers[SEC_WEBSOCKET_VERSION], "13");
    }

    #[test]
    fn subprotocols() {
        let table: &[(Changes<'_>, Option<&str>)] = &[
            (&[("sec-websocket-protocol", Some("centrifuge-json"))], Some("centrifuge-json")),
            (&[("sec-websocket-protocol", Some("centrifuge-protobuf, centrifuge-json"))], Some("centrifuge-protobuf")),
            (
                &[("sec-websocket-protocol", Some("other")), ("sec-websocket-protocol", Some("centrifuge-json"))],
                Some("centrifuge-json"),
            ),
            (&[("sec-websocket-protocol", Some("centrifuge-protobuf"))], Some("centrifuge-protobuf")),
            (&[("sec-websocket-protocol", Some("Centrifuge-JSON"))], None),
        ];
        for (changes, expected) in table {
            let accept = checked(&request(changes)).unwrap();
            assert_eq!(accept.subprotocol, *expected, "{changes:?}");
            let mut headers = HeaderMap::new();
            accept.write_headers(&mut headers);
            let sent = headers.get(SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().unwrap());
            assert_eq!(sent, *expected);
        }
        let preferred = request(&[("sec-websocket-protocol", Some("b, a"))]);
        let accept = check(&Method::GET, &Version::HTTP_11, &preferred, &["a", "b"]).unwrap();
        assert_eq!(accept.subprotocol, Some("b"));
    }
}
