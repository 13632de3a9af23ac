//! Statements that compare, and those that count again.

use sqlx::PgConnection;
use studyhall_protocol::Channel;
use uuid::Uuid;

use super::{Difference, Place};
use crate::db::{Db, Session};
use crate::error::{Error, Result};

/// A transaction whose statements may read whole tables; the usual limit is for people who wait. Each statement has its
/// own snapshot, taken after the locks on the days of the log: a day that is dropped is gone with its floors, or waits.
async fn patient(db: &Db) -> Result<Session> {
    let mut tx = db.begin().await?;
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
    let mut tx = patient(db).await?;
    let rows = sqlx::query!(
        r#"select p.id, p.user_id, p.like_count, p.comment_count,
               coalesce(l.many, 0) as "likes!", coalesce(c.many, 0) as "comments!"
           from posts p
           left join (select post_id, count(*) as many from post_likes group by post_id) l on l.post_id = p.id
           left join (select post_id, count(*) as many from post_comments group by post_id) c on c.post_id = p.id
           where p.like_count <> coalesce(l.many, 0) or p.comment_count <> coalesce(c.many, 0)
           order by p.id"#,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.rollback().await?;
    for row in rows {
        let place = Place::Post(row.id, row.user_id);
        compare(found, place, "like_count", row.like_count.into(), row.likes);
        compare(found, place, "comment_count", row.comment_count.into(), row.comments);
    }
    Ok(())
}

/// Followers, followed and posts of people.
pub(super) async fn people(db: &Db, found: &mut Vec<Difference>) -> Result<()> {
    let mut tx = patient(db).await?;
    let rows = sqlx::query!(
        r#"select u.id, u.followers_count, u.following_count, u.posts_count, coalesce(i.many, 0) as "followers!",
               coalesce(o.many, 0) as "following!", coalesce(p.many, 0) as "posts!"
           from users u
           left join (select followee_id, count(*) as many from follows group by followee_id) i on i.followee_id = u.id
           left join (select follower_id, count(*) as many from follows group by follower_id) o on o.follower_id = u.id
           left join (select user_id, count(*) as many from posts group by user_id) p on p.user_id = u.id
           where u.followers_count <> coalesce(i.many, 0) or u.following_count <> coalesce(o.many, 0)
               or u.posts_count <> coalesce(p.many, 0)
           order by u.id"#,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.rollback().await?;
    for row in rows {
        let place = Place::Person(row.id);
        compare(found, place, "followers_count", row.followers_count.into(), row.followers);
        compare(found, place, "following_count", row.following_count.into(), row.following);
        compare(found, place, "posts_count", row.posts_count.into(), row.posts);
    }
    Ok(())
}

/// Heads and floors: every number from the floor to the head is in the log, once, and none beyond. A channel without a
/// head stands at 0; what is below a floor waits to be dropped with its day.
pub(super) async fn logs(db: &Db, found: &mut Vec<Difference>) -> Result<()> {
    let mut tx = patient(db).await?;
    let rows = sqlx::query!(
        r#"with kept as (
             select e.channel, max(e."offset") as last, count(distinct e."offset") as many
             from events e left join channel_heads h on h.channel = e.channel
             where e."offset" >= coalesce(h.floor, 1)
             group by e.channel
           ), logs as (
             select channel, coalesce(h.head, 0) as head, coalesce(h.floor, 1) as floor,
                 coalesce(k.last, h.floor - 1) as last, coalesce(k.many, 0) as many
             from channel_heads h full join kept k using (channel)
           )
           select channel as "channel!", head as "head!", floor as "floor!", last as "last!", many as "many!"
           from logs
           where head <> last or head - floor + 1 <> many
           order by channel"#,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.rollback().await?;
    for row in rows {
        let channel: Channel = row.channel.parse().map_err(Error::internal)?;
        compare(found, Place::Log(channel), "head", row.head, row.last);
        compare(found, Place::Log(channel), "number of events", row.many, row.last - row.floor + 1);
    }
    Ok(())
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
