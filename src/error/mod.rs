//! The one error of the server: what the caller can do about it, in one word and one sentence.
//!
//! REST answers it as `application/problem+json`, `rpc` as a [`WireError`] with the same word. A cause that is ours
//! is logged once, where the answer is made, and never shown.

mod database;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use studyhall_protocol::check::FieldError;
use studyhall_protocol::command::CommandError;
use studyhall_protocol::error::WireError;
use studyhall_protocol::rest::Problem;

pub use database::CONSTRAINTS;

/// What everything in the server returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Characters of a detail that quotes what was sent.
const DETAIL_CHARS_MAX: usize = 300;

/// Why something was not done. Small, because it is in every `Result`.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: Option<String>,
    field: Option<String>,
    /// Seconds.
    retry_after: Option<u32>,
    /// For our log only.
    cause: Option<anyhow::Error>,
    retry: Retry,
}

/// Whether a transaction that failed with this error may simply be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The answer would be the same.
    No,
    /// PostgreSQL rolled the transaction back to let another one through: deadlock or serialization failure.
    Conflict,
    /// The connection broke.
    Lost,
}

impl Error {
    fn new(status: StatusCode, code: &'static str, detail: Option<String>) -> Self {
        Self(Box::new(Inner { status, code, detail, field: None, retry_after: None, cause: None, retry: Retry::No }))
    }

    /// 401 `unauthorized`: no credentials, or dead ones.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", Some("sign in first".into()))
    }

    /// 403: known, and not allowed.
    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, Some(detail.into()))
    }

    /// 404 `not_found`: no such thing, or none that this person may know of.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", None)
    }

    /// 409: cannot be done in the state that things are in.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, Some(detail.into()))
    }

    /// 422 `invalid_field`: the field and what is wrong with it.
    pub fn invalid(error: FieldError) -> Self {
        let detail = if error.field.is_empty() {
            format!("the body {}", error.problem)
        } else {
            format!("{} {}", error.field, error.problem)
        };
        let mut this = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", Some(detail));
        this.0.field = Some(error.field).filter(|field| !field.is_empty());
        this
    }

    /// 400: the request does not have the shape that it should have. The detail may quote it, so it is kept short.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(DETAIL_CHARS_MAX) {
            detail.truncate(end);
            detail.push('…');
        }
        Self::new(StatusCode::BAD_REQUEST, code, Some(detail))
    }

    /// Any other refusal of a request.
    pub fn status(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(status, code, Some(detail.into()))
    }

    /// 429 with `Retry-After`, in seconds.
    pub fn too_many(code: &'static str, detail: impl Into<String>, retry_after_s: u32) -> Self {
        let mut this = Self::new(StatusCode::TOO_MANY_REQUESTS, code, Some(detail.into()));
        this.0.retry_after = Some(retry_after_s.max(1));
        this
    }

    /// 503 with `Retry-After`: goes away by itself.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let mut this = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, Some(detail.into()));
        this.0.retry_after = Some(1);
        this
    }

    /// 503 `busy` with `Retry-After`, in seconds.
    pub fn busy(detail: impl Into<String>, retry_after_s: u32) -> Self {
        let mut this = Self::unavailable("busy", detail);
        this.0.retry_after = Some(retry_after_s.max(1));
        this
    }

    /// 500 `internal`: our fault; `cause` goes to the log.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let mut this = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", None);
        this.0.cause = Some(cause.into());
        this
    }

    /// 410 `unrecoverable_position`: the log cannot be read from there; load the state again.
    pub fn unrecoverable_position() -> Self {
        let detail = "the log cannot be read from this position; load the state again";
        Self::status(StatusCode::GONE, "unrecoverable_position", detail)
    }

    /// 422 `op_reused`: the operation id was used for another command.
    pub fn op_reused() -> Self {
        let detail = "this operation id belongs to another command; use a new one";
        Self::status(StatusCode::UNPROCESSABLE_ENTITY, "op_reused", detail)
    }

    /// What an action looked up before it took its locks is not so any more: the transaction is run again.
    pub fn changed_meanwhile() -> Self {
        Self::unavailable("busy", "this was changed at the same moment; try again").retryable(Retry::Conflict)
    }

    /// Names the field that is to blame.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Adds what goes to our log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    fn retryable(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// The HTTP status.
    pub fn http_status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable word.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Whether the transaction may be run again.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether the same request can succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.0.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR
        )
    }

    /// Whether the server is the trouble and not the request: 503.
    pub fn is_unavailable(&self) -> bool {
        self.0.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// The same for somebody else whom it concerns too. The cause stays behind: it is logged once.
    #[must_use]
    pub fn again(&self) -> Self {
        let inner = &*self.0;
        Self(Box::new(Inner { detail: inner.detail.clone(), field: inner.field.clone(), cause: None, ..*inner }))
    }

    /// Writes a cause that is ours to the log. Both doors call it, once.
    pub fn log(&self) {
        let Some(cause) = &self.0.cause else { return };
        if self.0.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = self.0.code, error = format!("{cause:#}"), "failed");
        } else {
            tracing::warn!(code = self.0.code, error = format!("{cause:#}"), "refused");
        }
    }

    /// The answer on a live connection.
    pub fn wire(&self) -> WireError {
        self.log();
        let message = match &self.0.detail {
            Some(detail) => format!("{}: {detail}", self.0.code),
            None => self.0.code.to_owned(),
        };
        let code = match (self.0.status, self.0.code) {
            (StatusCode::INTERNAL_SERVER_ERROR, _) => 100,
            (_, "method_not_found") => 104,
            (status, _) => 1_000 + u32::from(status.as_u16()),
        };
        WireError { code, message, temporary: self.is_temporary() }
    }

    /// The answer over HTTP, without its headers.
    pub fn problem(&self) -> Problem {
        let mut title = self.0.code.replace('_', " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Problem {
            status: self.0.status.as_u16(),
            code: self.0.code.to_owned(),
            title,
            detail: self.0.detail.clone(),
            field: self.0.field.clone(),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.0.code)?;
        if let Some(detail) = &self.0.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(cause) = &self.0.cause {
            write!(f, " ({cause:#})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        Self::invalid(error)
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::UnknownMethod => {
                Self::status(StatusCode::NOT_FOUND, "method_not_found", "there is no command of this name")
            }
            CommandError::Malformed(detail) => Self::bad_request("bad_request", detail),
            CommandError::Field(field) => Self::invalid(field),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.log();
        let mut response = (self.0.status, Json(self.problem())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_doors_say_the_same_word() {
        let error = Error::conflict("username_taken", "this name is taken").with_field("username");
        let problem = error.problem();
        assert_eq!((problem.status, &*problem.code, &*problem.title), (409, "username_taken", "Username taken"));
        assert_eq!(problem.field.as_deref(), Some("username"));
        assert_eq!(error.wire(), WireError::new(1_409, "username_taken: this name is taken"));
    }

    #[test]
    fn faults_of_ours_are_not_shown() {
        let error = Error::internal(anyhow::anyhow!("secret"));
        assert_eq!(error.wire(), WireError::internal());
        assert!(!serde_json::to_string(&error.problem()).unwrap().contains("secret"));
    }

    #[test]
    fn what_passes_is_temporary() {
        assert!(Error::too_many("too_many_attempts", "later", 900).wire().temporary);
        assert!(Error::unavailable("busy", "later").wire().temporary);
        assert!(!Error::not_found().wire().temporary);
        let response = Error::too_many("too_many_attempts", "later", 900).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "900");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn commands_that_cannot_be_read() {
        assert_eq!(Error::from(CommandError::UnknownMethod).wire().code, 104);
        assert_eq!(Error::from(CommandError::Malformed("x".into())).wire().code, 1_400);
        assert_eq!(Error::from(FieldError::new("name", "must not be empty")).wire().code, 1_422);
    }
}
