//! The doors to follows and blocks.

use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};
use studyhall_protocol::rest::Page;
use studyhall_protocol::social::{BlockPerson, FollowPerson};
use uuid::Uuid;

use super::sql;
use crate::error::{Error, Result};
use crate::http::door::bare_command;
use crate::http::{AppState, Caller, Paging, Path, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    const WHOM: &[&str] = &["user_id"];
    Router::new()
        .route("/users/{id}/followers", get(list_followers))
        .route("/users/{id}/following", get(list_following))
        .route("/users/{id}/follow", put(bare_command("user.follow", WHOM)).delete(bare_command("user.unfollow", WHOM)))
        .route("/users/{id}/block", put(bare_command("user.block", WHOM)).delete(bare_command("user.unblock", WHOM)))
        .route("/me/blocks", get(list_blocks))
}

/// Who follows somebody, newest first.
async fn list_followers(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<FollowPerson>>> {
    let limit = paging.limit()?;
    let rows = sql::followers_page(state.db.pool(), caller.id(), id, paging.after()?, i64::from(limit) + 1).await?;
    let rows = rows.ok_or_else(Error::not_found)?;
    Ok(Json(rows.into_page(limit, |row| (row.follow.created_at, row.follow.follower_id))?))
}

/// Whom somebody follows, newest first.
async fn list_following(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<FollowPerson>>> {
    let limit = paging.limit()?;
    let rows = sql::following_page(state.db.pool(), caller.id(), id, paging.after()?, i64::from(limit) + 1).await?;
    let rows = rows.ok_or_else(Error::not_found)?;
    Ok(Json(rows.into_page(limit, |row| (row.follow.created_at, row.follow.followee_id))?))
}

/// Whom I blocked, newest first.
async fn list_blocks(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<BlockPerson>>> {
    let limit = paging.limit()?;
    let rows = sql::blocks_page(state.db.pool(), caller.id(), paging.after()?, i64::from(limit) + 1).await?;
    Ok(Json(rows.into_page(limit, |row| (row.block.created_at, row.block.blocked_id))?))
}
