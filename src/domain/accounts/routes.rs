//! The REST doors of people.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router, extract::State};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use studyhall_protocol::accounts::{
    Credentials, Me, NewAccount, PasswordChange, SessionsEnded, SignIn, SignedIn, User,
};
use studyhall_protocol::check::FieldError;
use studyhall_protocol::rest::{Answer, Page};
use studyhall_protocol::social::UserView;
use uuid::Uuid;

use super::sql;
use crate::auth::{Token, rows};
use crate::error::{Error, Result};
use crate::http::door::door;
use crate::http::{Address, AppState, Body, Caller, Paging, Path, Query, cursor};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/accounts", post(sign_up))
        .route("/sessions", post(sign_in).get(sign_ins))
        .route("/sessions/current", delete(sign_out))
        .route("/sessions/{id}", delete(end_session))
        .route("/me", get(me).patch(update_me))
        .route("/me/password", post(change_password))
        .route("/users", get(search))
        .route("/users/{id}", get(user))
}

async fn sign_up(
    State(state): State<AppState>,
    Address(address): Address,
    headers: HeaderMap,
    Body(new): Body<NewAccount>,
) -> Result<Response> {
    state.refuse_foreign(&headers)?;
    let (signed_in, token) = super::sign_up(&state, new, address).await?;
    with_cookie(&state, signed_in, &token)
}

async fn sign_in(
    State(state): State<AppState>,
    Address(address): Address,
    headers: HeaderMap,
    Body(given): Body<Credentials>,
) -> Result<Response> {
    state.refuse_foreign(&headers)?;
    let (signed_in, token) = super::sign_in(&state, given, address).await?;
    with_cookie(&state, signed_in, &token)
}

fn with_cookie(state: &AppState, signed_in: SignedIn, token: &Token) -> Result<Response> {
    let cookie = state.cookies.set(token, signed_in.expires_at)?;
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Json(signed_in)).into_response())
}

async fn sign_out(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<(StatusCode, [(header::HeaderName, HeaderValue); 1])> {
    super::end_session(&state, caller.asker(), caller.identity.session_id).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, state.cookies.clear()?)]))
}

async fn end_session(State(state): State<AppState>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode> {
    super::end_session(&state, caller.asker(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sign_ins(
    State(state): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<SignIn>>> {
    let limit = paging.limit()?;
    let after: Option<(DateTime<Utc>, Uuid)> = paging.after()?;
    let (id, current) = (caller.id(), caller.identity.session_id);
    let (mut items, positions) =
        rows::select_sign_ins(state.db.pool(), id, current, after, i64::from(limit) + 1).await?;
    let next_cursor = cursor::cut(&mut items, limit, |row| (row.created_at, row.id))?;
    Ok(Json(Page { items, next_cursor, positions }))
}

async fn me(State(state): State<AppState>, caller: Caller) -> Result<Json<Answer<Me>>> {
    let found = sql::select_me_with_positions(state.db.pool(), caller.id()).await?;
    let (data, positions) = found.ok_or_else(Error::unauthorized)?;
    Ok(Json(Answer { positions, data }))
}

async fn update_me(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response> {
    door(&caller, &state, &headers, "profile.update", body).await
}

async fn change_password(
    State(state): State<AppState>,
    caller: Caller,
    Body(change): Body<PasswordChange>,
) -> Result<Json<Answer<SessionsEnded>>> {
    let done = super::change_password(&state, &caller, change).await?;
    Ok(Json(Answer { positions: done.positions, data: done.data }))
}

async fn user(State(state): State<AppState>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<Answer<UserView>>> {
    let found = sql::select_user(state.db.pool(), caller.id(), id).await?;
    let (data, positions) = found.ok_or_else(Error::not_found)?;
    Ok(Json(Answer { positions, data }))
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    query: String,
    #[serde(flatten)]
    paging: Paging,
}

async fn search(
    State(state): State<AppState>,
    caller: Caller,
    Query(Search { query, paging }): Query<Search>,
) -> Result<Json<Page<User>>> {
    let limit = paging.limit()?;
    let after: Option<String> = paging.after()?;
    let prefix = prefix(&query)?;
    let rows = i64::from(limit) + 1;
    let found = sql::search_users(state.db.pool(), caller.id(), &prefix, after.as_deref(), rows).await?;
    let (mut items, mut positions): (Vec<User>, Vec<_>) = found.into_iter().unzip();
    positions.truncate(limit as usize);
    // Usernames are ASCII: the database comes to the same lower case.
    let next_cursor = cursor::cut(&mut items, limit, |user| user.username.to_ascii_lowercase())?;
    Ok(Json(Page { items, next_cursor, positions }))
}

/// What is typed stands for itself: `%` and `_` are no jokers here.
fn prefix(query: &str) -> Result<String> {
    let query = query.trim();
    if query.contains('\0') || query.chars().count() > 120 {
        return Err(Error::invalid(FieldError::new("query", "must have at most 120 characters and no NUL")));
    }
    Ok(query.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jokers_are_letters() {
        assert_eq!(prefix(r" 50%_\ ").unwrap(), r"50\%\_\\");
        assert_eq!(prefix("a\0").unwrap_err().code(), "invalid_field");
    }
}
