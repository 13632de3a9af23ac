//! The doors to tags.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::json;
use studyhall_protocol::check::{self, Check};
use studyhall_protocol::posts::FeedPost;
use studyhall_protocol::rest::Page;
use studyhall_protocol::tags::{TagRef, TagView, TaggedPerson};

use super::sql;
use crate::domain::feed;
use crate::error::Result;
use crate::http::door::door;
use crate::http::{AppState, Caller, Paging, Path, Query};

/// Beyond that nobody counts.
const COUNT_MAX: i64 = 1_000;

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/me/tags/{tag}", put(add).delete(remove))
        .route("/tags/{tag}", get(view))
        .route("/tags/{tag}/people", get(people))
        .route("/tags/{tag}/posts", get(posts))
}

async fn add(
    State(state): State<AppState>,
    caller: Caller,
    Path(tag): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    door(&caller, &state, &headers, "user_tag.add", json!({"tag": tag})).await
}

async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Path(tag): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    door(&caller, &state, &headers, "user_tag.remove", json!({"tag": tag})).await
}

/// What a tag leads to.
async fn view(caller: Caller, State(state): State<AppState>, Path(tag): Path<String>) -> Result<Json<TagView>> {
    let (tag, first) = (read(tag)?, Paging::default());
    let counts = sql::counts(state.db.pool(), caller.id(), tag.plain(), COUNT_MAX).await?;
    Ok(Json(TagView {
        tag: tag.plain().to_owned(),
        people_count: counts.people,
        posts_count: counts.posts,
        people: people_page(&caller, &state, &tag, &first).await?,
        posts: feed::routes::tagged(&caller, &state, tag.plain(), &first).await?,
    }))
}

/// The people who have a tag.
async fn people(
    caller: Caller,
    State(state): State<AppState>,
    Path(tag): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<TaggedPerson>>> {
    Ok(Json(people_page(&caller, &state, &read(tag)?, &paging).await?))
}

async fn people_page(caller: &Caller, state: &AppState, tag: &TagRef, paging: &Paging) -> Result<Page<TaggedPerson>> {
    let limit = paging.limit()?;
    let rows = sql::people(state.db.pool(), caller.id(), tag.plain(), paging.after()?, i64::from(limit)).await?;
    rows.into_page(limit, |row| (row.created_at, row.user.id))
}

/// The posts that carry a tag.
async fn posts(
    caller: Caller,
    State(state): State<AppState>,
    Path(tag): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<FeedPost>>> {
    Ok(Json(feed::routes::tagged(&caller, &state, read(tag)?.plain(), &paging).await?))
}

/// What is looked for has to be a tag that somebody could have.
fn read(tag: String) -> Result<TagRef> {
    check::no_nul(&json!({"tag": tag}))?;
    let tag = TagRef { tag };
    tag.check()?;
    Ok(tag)
}
