//! Every statement about erasing.

use sqlx::{PgConnection, PgExecutor};
use studyhall_protocol::Channel;
use uuid::Uuid;

use crate::db::Db;
use crate::error::Result;

/// What a person still has in common with others: ids, so many of each that a round is short.
#[derive(Debug)]
pub struct Left {
    /// Posts of theirs.
    pub posts: Vec<Uuid>,
    /// Whom they follow.
    pub following: Vec<Uuid>,
    /// Who follows them.
    pub followers: Vec<Uuid>,
    /// Rooms that they are in.
    pub rooms: Vec<Uuid>,
    /// Courses that they are in.
    pub courses: Vec<Uuid>,
    /// Files of theirs.
    pub files: Vec<Uuid>,
    /// Comments of theirs.
    pub comments: Vec<Uuid>,
    /// Posts that they like.
    pub likes: Vec<Uuid>,
    /// Who has a notification that names them.
    pub notified: Vec<Uuid>,
    /// Whom they block, once nothing else of the above is left.
    pub blocked: Vec<Uuid>,
    /// Who blocks them, likewise.
    pub blockers: Vec<Uuid>,
}

impl Left {
    /// Whether they have nothing in common with anybody any more.
    pub fn is_nothing(&self) -> bool {
        let all = [&self.posts, &self.following, &self.followers, &self.rooms, &self.comments, &self.likes];
        let more = [&self.courses, &self.files, &self.notified, &self.blocked, &self.blockers];
        all.into_iter().chain(more).all(Vec::is_empty)
    }
}

/// Notes that somebody is to be erased.
pub async fn insert_erasure(db: &mut PgConnection, person: Uuid) -> Result<()> {
    sqlx::query!("insert into erasures (user_id) values ($1) on conflict do nothing", person).execute(db).await?;
    Ok(())
}

/// Somebody who is to be erased and whom nobody works on, for half a minute.
pub async fn take(db: impl PgExecutor<'_>) -> Result<Option<Uuid>> {
    let taken = sqlx::query_scalar!(
        "update erasures set busy_until = now() + interval '30 seconds' where user_id = (
             select user_id from erasures where busy_until < now() order by asked_at limit 1 for update skip locked)
         returning user_id"
    );
    Ok(taken.fetch_optional(db).await?)
}

/// For another half a minute.
pub async fn go_on(db: impl PgExecutor<'_>, person: Uuid) -> Result<()> {
    let longer = "update erasures set busy_until = now() + interval '30 seconds' where user_id = $1";
    sqlx::query(longer).bind(person).execute(db).await?;
    Ok(())
}

/// What is left of a person. Posts and people whom a block hides are in it only when what can be seen is gone: by then the
/// blocks are ended too.
pub async fn left(db: impl PgExecutor<'_>, person: Uuid) -> Result<Left> {
    let left = sqlx::query_as!(
        Left,
        r#"select
             array(select p.id from posts p where p.user_id = $1 limit 100) as "posts!",
             array(select f.followee_id from follows f where f.follower_id = $1 limit 100) as "following!",
             array(select f.follower_id from follows f where f.followee_id = $1 limit 100) as "followers!",
             array(select m.workspace_id from workspace_members m where m.user_id = $1 limit 100) as "rooms!",
             array(select m.course_id from course_members m where m.user_id = $1 limit 100) as "courses!",
             array(select a.id from attachments a where a.user_id = $1 limit 100) as "files!",
             array(select distinct n.user_id from notifications n where n.actor_id = $1 limit 100) as "notified!",
             array(select c.id from post_comments c where c.author_id = $1 limit 100) as "comments!",
             array(select l.post_id from post_likes l where l.user_id = $1 limit 100) as "likes!",
             case when seen.none then array(select b.blocked_id from blocks b where b.blocker_id = $1 limit 100)
                 else '{}' end as "blocked!",
             case when seen.none then array(select b.blocker_id from blocks b where b.blocked_id = $1 limit 100)
                 else '{}' end as "blockers!"
         from (select not exists (select from posts p where p.user_id = $1)
                 and not exists (select from follows f where f.follower_id = $1 or f.followee_id = $1)
                 and not exists (select from workspace_members m where m.user_id = $1)
                 and not exists (
                     select from post_comments c join posts p on p.id = c.post_id
                     where c.author_id = $1 and not are_blocked($1, p.user_id))
                 and not exists (
                     select from post_likes l join posts p on p.id = l.post_id
                     where l.user_id = $1 and not are_blocked($1, p.user_id)) as none) seen"#,
        person,
    );
    Ok(left.fetch_one(db).await?)
}

/// Takes what they said out of the logs of others, and their name off all that they did there. Reads the whole log, for
/// nothing asks it by actor but this.
pub async fn empty_events(db: &Db, person: Uuid) -> Result<()> {
    let mut session = db.begin().await?;
    sqlx::raw_sql("set local statement_timeout = '10min'").execute(&mut *session).await?;
    sqlx::query!(
        r#"update events e
           set actor = null,
               type = case when e.type in ('comment.created', 'comment.updated') then 'event.erased' else e.type end,
               data = case when e.type in ('comment.created', 'comment.updated') then '{}' else e.data end
           where e.actor = $1"#,
        person,
    )
    .execute(&mut *session)
    .await?;
    Ok(session.commit().await?)
}

/// Empties the logs of their own channels.
pub async fn empty_channels(db: &mut PgConnection, channels: &[Channel]) -> Result<()> {
    let names: Vec<String> = channels.iter().map(Channel::to_string).collect();
    sqlx::query!("update events set type = 'event.erased', data = '{}', actor = null where channel = any($1)", &names,)
        .execute(db)
        .await?;
    Ok(())
}

/// Deletes the row, and by the foreign keys all that is private; whether it was there.
pub async fn delete_user(db: &mut PgConnection, person: Uuid) -> Result<bool> {
    Ok(sqlx::query!("delete from users where id = $1", person).execute(db).await?.rows_affected() == 1)
}
