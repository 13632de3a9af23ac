//! Statements that compare, and those that count again.

use sqlx::{PgConnection, Postgres, Transaction};
use studyhall_protocol::Channel;
use uuid::Uuid;

use super::{Difference, Place};
use crate::db::Db;
use crate::error::{Error, Result};

/// Differences per statement.
const ROWS: i64 = 1_000;

/// A transaction whose statements may read whole tables; the usual limit is for people who wait. Each statement has its
/// own snapshot, taken after the locks on the days of the log: a day that is dropped is gone with its floors, or waits.
async fn patient(db: &Db) -> Result<Transaction<'static, Postgres>> {
    let mut tx = db.pool().begin().await?;
    sqlx::query!("set local statement_timeout = 0").execute(&mut *tx).await?;
    Ok(tx)
}

/// Adds a number if it is not what it should be.
fn compare(found: &mut Vec<Difference>, place: Place, field: &'static str, stored: i64, counted: i64) {
    if stored != counted {
        found.push(Difference { place, field, stored, counted });
    }
}

/// Likes and comments of posts.
pub(super) async fn posts(db: &Db, found: &mut Vec<Difference>) -> Result<()> {
    let mut after = Uuid::nil();
    loop {
        let mut tx = patient(db).await?;
        let rows = sqlx::query!(
            r#"select p.id, p.user_id, p.like_count, p.comment_count, l.many as "likes!", c.many as "comments!"
               from posts p
               cross join lateral (select count(*) as many from post_likes l where l.post_id = p.id) l
               cross join lateral (select count(*) as many from post_comments c where c.post_id = p.id) c
               where p.id > $1 and (p.like_count <> l.many or p.comment_count <> c.many)
               order by p.id
               limit $2"#,
            after,
            ROWS,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.rollback().await?;
        for row in &rows {
            let place = Place::Post(row.id, row.user_id);
            compare(found, place, "like_count", row.like_count.into(), row.likes);
            compare(found, place, "comment_count", row.comment_count.into(), row.comments);
            after = row.id;
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// Followers, followed and posts of people.
pub(super) async fn people(db: &Db, found: &mut Vec<Difference>) -> Result<()> {
    let mut after = Uuid::nil();
    loop {
        let mut tx = patient(db).await?;
        let rows = sqlx::query!(
            r#"select u.id, u.followers_count, u.following_count, u.posts_count,
                   i.many as "followers!", o.many as "following!", p.many as "posts!"
               from users u
               cross join lateral (select count(*) as many from follows f where f.followee_id = u.id) i
               cross join lateral (select count(*) as many from follows f where f.follower_id = u.id) o
               cross join lateral (select count(*) as many from posts p where p.user_id = u.id) p
               where u.id > $1
                   and (u.followers_count <> i.many or u.following_count <> o.many or u.posts_count <> p.many)
               order by u.id
               limit $2"#,
            after,
            ROWS,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.rollback().await?;
        for row in &rows {
            let place = Place::Person(row.id);
            compare(found, place, "followers_count", row.followers_count.into(), row.followers);
            compare(found, place, "following_count", row.following_count.into(), row.following);
            compare(found, place, "posts_count", row.posts_count.into(), row.posts);
            after = row.id;
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// Heads and floors: every number from the floor to the head is in the log, once, and none beyond. A channel without a
/// head stands at 0.
pub(super) async fn logs(db: &Db, found: &mut Vec<Difference>) -> Result<()> {
    let mut after = String::new();
    loop {
        let mut tx = patient(db).await?;
        let rows = sqlx::query!(
            r#"select h.channel as "channel!", h.head as "head!", h.floor as "floor!",
                   e.last as "last!", e.many as "many!"
               from (
                   select channel, head, floor from channel_heads
                   union all
                   select distinct e.channel, 0, 1 from events e
                   where not exists (select from channel_heads h where h.channel = e.channel)
               ) h
               cross join lateral (
                   select coalesce(max(e."offset"), h.floor - 1) as last, count(distinct e."offset") as many
                   from events e where e.channel = h.channel and e."offset" >= h.floor
               ) e
               where h.channel > $1 and (h.head <> e.last or h.head - h.floor + 1 <> e.many)
               order by h.channel
               limit $2"#,
            after,
            ROWS,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.rollback().await?;
        for row in &rows {
            let channel: Channel = row.channel.parse().map_err(Error::internal)?;
            compare(found, Place::Log(channel), "head", row.head, row.last);
            compare(found, Place::Log(channel), "number of events", row.many, row.last - row.floor + 1);
            after.clone_from(&row.channel);
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// Counts the likes and comments of a post; whether a count was wrong.
pub(super) async fn recount_post(db: &mut PgConnection, id: Uuid) -> Result<bool> {
    let repaired = sqlx::query!(
        "update posts p set like_count = n.likes, comment_count = n.comments
         from (select (select count(*) from post_likes l where l.post_id = $1) as likes,
                   (select count(*) from post_comments c where c.post_id = $1) as comments) n
         where p.id = $1 and (p.like_count <> n.likes or p.comment_count <> n.comments)",
        id,
    );
    Ok(repaired.execute(db).await?.rows_affected() == 1)
}

/// Counts whom a person follows, who follows them, and their posts; whether a count was wrong.
pub(super) async fn recount_person(db: &mut PgConnection, id: Uuid) -> Result<bool> {
    let repaired = sqlx::query!(
        "update users u set followers_count = n.followers, following_count = n.following, posts_count = n.posts
         from (select (select count(*) from follows f where f.followee_id = $1) as followers,
                   (select count(*) from follows f where f.follower_id = $1) as following,
                   (select count(*) from posts p where p.user_id = $1) as posts) n
         where u.id = $1
             and (u.followers_count <> n.followers or u.following_count <> n.following or u.posts_count <> n.posts)",
        id,
    );
    Ok(repaired.execute(db).await?.rows_affected() == 1)
}
