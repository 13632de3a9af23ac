//! The doors to the feed.

use axum::extract::State;
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde::Deserialize;
use studyhall_protocol::check::{self, FieldError};
use studyhall_protocol::posts::{CommentPerson, FeedPost, Liker};
use studyhall_protocol::rest::{Answer, Page};
use uuid::Uuid;

use super::sql::pages::{self, Placed, Wanted};
use super::sql::people;
use crate::domain::page::Rows;
use crate::error::{Error, Result};
use crate::http::door::{bare_command, command};
use crate::http::{AppState, Caller, Paging, Path, Query};

/// The routes of this domain.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/feed", get(feed))
        .route("/posts", get(explore).post(command("post.create", &[])))
        .route(
            "/posts/{id}",
            get(one).patch(command("post.update", &["id"])).delete(bare_command("post.delete", &["id"])),
        )
        .route("/posts/{id}/comments", get(comments).post(command("comment.create", &["post_id"])))
        .route("/posts/{id}/likes", get(likers))
        .route(
            "/comments/{id}",
            patch(command("comment.update", &["id"])).delete(bare_command("comment.delete", &["id"])),
        )
        .route("/users/{id}/posts", get(of_person))
        .route("/me/likes", get(liked))
}

/// The posts of the people whom I follow, and mine.
async fn feed(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<FeedPost>>> {
    let (wanted, limit) = wanted(&caller, &paging)?;
    page(pages::home(state.db.pool(), wanted).await?, limit)
}

#[derive(Deserialize)]
struct About {
    #[serde(default)]
    tag: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

/// Everybody's posts.
async fn explore(
    caller: Caller,
    State(state): State<AppState>,
    Query(about): Query<About>,
) -> Result<Json<Page<FeedPost>>> {
    let (wanted, limit) = wanted(&caller, &about.paging)?;
    let (db, subject) = (state.db.pool(), about.subject.as_deref());
    searched("tag", about.tag.as_deref(), 50)?;
    searched("subject", subject, 80)?;
    let rows = match (about.tag.as_deref(), subject) {
        (Some(tag), _) => pages::explore_tag(db, wanted, plain(tag), subject).await?,
        (None, Some(subject)) => pages::explore_subject(db, wanted, subject).await?,
        (None, None) => pages::explore(db, wanted).await?,
    };
    page(rows, limit)
}

/// Everybody's posts that carry a tag, whatever its case.
pub async fn tagged(caller: &Caller, state: &AppState, tag: &str, paging: &Paging) -> Result<Page<FeedPost>> {
    let (wanted, limit) = wanted(caller, paging)?;
    Ok(page(pages::explore_tag(state.db.pool(), wanted, tag, None).await?, limit)?.0)
}

async fn of_person(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<FeedPost>>> {
    let (wanted, limit) = wanted(&caller, &paging)?;
    page(pages::of_person(state.db.pool(), wanted, id).await?.ok_or_else(Error::not_found)?, limit)
}

async fn one(caller: Caller, State(state): State<AppState>, Path(id): Path<Uuid>) -> Result<Json<Answer<FeedPost>>> {
    let rows = pages::one(state.db.pool(), caller.id(), id).await?.ok_or_else(Error::not_found)?;
    let data = rows.items.0.into_iter().next().ok_or_else(Error::not_found)?.post;
    Ok(Json(Answer { positions: rows.positions.0, data }))
}

/// The posts that I like.
async fn liked(
    caller: Caller,
    State(state): State<AppState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<FeedPost>>> {
    let (wanted, limit) = wanted(&caller, &paging)?;
    page(pages::liked(state.db.pool(), wanted).await?, limit)
}

async fn comments(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<CommentPerson>>> {
    let (wanted, limit) = wanted(&caller, &paging)?;
    let rows = people::comments(state.db.pool(), wanted, id).await?.ok_or_else(Error::not_found)?;
    Ok(Json(rows.into_page(limit, |row| (row.comment.created_at, row.comment.id))?))
}

async fn likers(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Liker>>> {
    let (wanted, limit) = wanted(&caller, &paging)?;
    let rows = people::likers(state.db.pool(), wanted, id).await?.ok_or_else(Error::not_found)?;
    Ok(Json(rows.into_page(limit, |row| (row.created_at, row.user.id))?))
}

fn wanted(caller: &Caller, paging: &Paging) -> Result<(Wanted, u32)> {
    let limit = paging.limit()?;
    Ok((Wanted { viewer: caller.id(), after: paging.after()?, limit: i64::from(limit) }, limit))
}

fn page(rows: Rows<Placed>, limit: u32) -> Result<Json<Page<FeedPost>>> {
    let Page { items, next_cursor, positions } = rows.into_page(limit, |row| (row.at, row.post.post.id))?;
    Ok(Json(Page { items: items.into_iter().map(|row| row.post).collect(), next_cursor, positions }))
}

/// What is looked for may be as long as what is stored, and have no NUL.
fn searched(field: &str, value: Option<&str>, max: usize) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    if value.contains('\0') {
        return Err(FieldError::new(field, "contains the NUL character, which cannot be stored").into());
    }
    Ok(check::text(field, value, max)?)
}

/// Tags are stored without it.
fn plain(tag: &str) -> &str {
    tag.trim_start_matches('#')
}
