//! What an error of PostgreSQL means to whoever asked.

use axum::http::StatusCode;

use super::{Error, Retry};

/// The answer to a violated constraint.
#[derive(Debug, Clone, Copy)]
pub struct Violation {
    status: StatusCode,
    code: &'static str,
    field: Option<&'static str>,
    detail: &'static str,
}

impl Violation {
    const fn new(status: StatusCode, code: &'static str, field: Option<&'static str>, detail: &'static str) -> Self {
        Self { status, code, field, detail }
    }
}

/// Whoever acts was erased a moment ago.
const GONE: Violation =
    Violation::new(StatusCode::UNAUTHORIZED, "unauthorized", None, "this account does not exist any more");

/// Constraints that a request can violate, by name.
///
/// A name that is not in here is a mistake of ours: 500, and the log says which.
pub const CONSTRAINTS: &[(&str, Violation)] = &[
    (
        "users_username_key",
        Violation::new(StatusCode::CONFLICT, "username_taken", Some("username"), "this name is taken"),
    ),
    (
        "users_email_key",
        Violation::new(StatusCode::CONFLICT, "email_taken", Some("email"), "this address belongs to another account"),
    ),
    ("operations_user_id_fkey", GONE),
    ("sign_ins_user_id_fkey", GONE),
    ("task_lists_user_id_fkey", GONE),
    ("post_likes_user_id_fkey", GONE),
    ("immersive_workspaces_user_id_fkey", GONE),
    ("posts_user_id_fkey", GONE),
    ("courses_user_id_fkey", GONE),
    ("assignments_user_id_fkey", GONE),
    ("study_resources_user_id_fkey", GONE),
    ("focus_entries_user_id_fkey", GONE),
    ("study_playlists_user_id_fkey", GONE),
    ("progress_metrics_user_id_fkey", GONE),
    ("user_tags_user_id_fkey", GONE),
    (
        "course_members_user_id_fkey",
        Violation::new(StatusCode::NOT_FOUND, "not_found", Some("user_id"), "there is no such person"),
    ),
    ("post_comments_author_id_fkey", GONE),
    (
        "tasks_list_owner_fkey",
        Violation::new(StatusCode::NOT_FOUND, "not_found", Some("list_id"), "there is no such list"),
    ),
    (
        "post_likes_post_id_fkey",
        Violation::new(StatusCode::NOT_FOUND, "not_found", Some("post_id"), "there is no such post"),
    ),
    (
        "immersive_widgets_workspace_id_fkey",
        Violation::new(StatusCode::NOT_FOUND, "not_found", None, "there is no such room"),
    ),
    (
        "workspace_members_workspace_id_fkey",
        Violation::new(StatusCode::NOT_FOUND, "not_found", None, "there is no such room"),
    ),
    (
        "workspace_members_user_id_fkey",
        Violation::new(StatusCode::NOT_FOUND, "not_found", Some("user_id"), "there is no such person"),
    ),
    (
        "workspace_members_pkey",
        Violation::new(StatusCode::CONFLICT, "already_member", Some("user_id"), "they are in the room already"),
    ),
    ("widget_drags_pkey", Violation::new(StatusCode::CONFLICT, "drag_closed", Some("drag_id"), "this drag is over")),
    (
        "follows_no_self_check",
        Violation::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", None, "nobody follows themselves"),
    ),
    (
        "blocks_no_self_check",
        Violation::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", None, "nobody blocks themselves"),
    ),
    ("blocks_blocked_id_fkey", Violation::new(StatusCode::NOT_FOUND, "not_found", None, "there is no such person")),
    ("follows_followee_id_fkey", Violation::new(StatusCode::NOT_FOUND, "not_found", None, "there is no such person")),
];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::RowNotFound => Self::not_found(),
            sqlx::Error::Database(database) => match from_database(database.as_ref()) {
                // What people can do something about is no news for us.
                Some(this) if this.0.status.is_client_error() => this,
                Some(this) => this.because(error),
                None => Self::internal(error),
            },
            sqlx::Error::PoolTimedOut => {
                Self::unavailable("busy", "the server is busy; try again shortly").because(error)
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => database_gone().because(error).retryable(Retry::Lost),
            _ => Self::internal(error),
        }
    }
}

fn database_gone() -> Error {
    Error::unavailable("unavailable", "the database cannot be reached; try again shortly")
}

/// What an error of PostgreSQL means to whoever asked; `None` when it is our mistake.
fn from_database(error: &dyn sqlx::error::DatabaseError) -> Option<Error> {
    if let Some(name) = error.constraint()
        && let Some((_, violation)) = CONSTRAINTS.iter().find(|row| row.0 == name)
    {
        let mut this = Error::new(violation.status, violation.code, Some(violation.detail.to_owned()));
        this.0.field = violation.field.map(str::to_owned);
        return Some(this);
    }
    // A batch stores its operation ids last: somebody stored one of them since it looked.
    if error.constraint() == Some("operations_pkey") {
        return Some(Error::changed_meanwhile());
    }
    let busy = || Error::unavailable("busy", "the server is busy; try again shortly");
    let code = error.code()?;
    Some(match code.as_ref() {
        "40001" | "40P01" => busy().retryable(Retry::Conflict),
        // lock_not_available, query_canceled (statement_timeout), too many connections or out of memory.
        "55P03" | "57014" | "53200" | "53300" => busy(),
        // Disk full, trouble with files, read-only transaction: not for long, or somebody is called.
        "53100" | "25006" | "58000" | "58030" | "58P01" => database_gone(),
        // While somebody works at it, connections are refused: a database that is being put back, a password that changes.
        "3D000" | "28000" | "28P01" | "55000" => database_gone().retryable(Retry::Lost),
        // Shutdown, crash, start-up; idle_in_transaction_session_timeout.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => database_gone().retryable(Retry::Lost),
        // Text that is too long or has characters that no column takes, a number out of range.
        "22001" | "22021" | "22P05" | "22003" | "22008" => {
            Error::status(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", "a value does not fit its column")
        }
        code if code.starts_with("08") => database_gone().retryable(Retry::Lost),
        _ => return None,
    })
}
