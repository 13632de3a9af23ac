//! Every statement about likes.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::error::Result;

/// Whose post it is; `None` when there is none.
pub async fn author(db: impl PgExecutor<'_>, post_id: Uuid) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!("select user_id from posts where id = $1", post_id).fetch_optional(db).await?)
}

/// Whose post it is; `None` when there is none, or a block parts its author and this person.
pub async fn author_for(db: &mut PgConnection, person: Uuid, post_id: Uuid) -> Result<Option<Uuid>> {
    let author = sqlx::query_scalar!(
        "select p.user_id from posts p where p.id = $2 and not are_blocked($1, p.user_id)",
        person,
        post_id
    );
    Ok(author.fetch_optional(db).await?)
}

/// What somebody wants of a post: to like it, or not to.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Who.
    pub person: Uuid,
    /// Which post.
    pub post_id: Uuid,
    /// Whether they like it from now on.
    pub liked: bool,
}

impl Wish {
    /// Whose wish about what.
    pub fn key(&self) -> (Uuid, Uuid) {
        (self.person, self.post_id)
    }
}

/// How it stands between a person and a post.
#[derive(Debug)]
pub struct Standing {
    /// Who.
    pub person: Uuid,
    /// Which post.
    pub post_id: Uuid,
    /// Whether they liked it before.
    pub was_liked: bool,
    /// Since when they like it, or did until now; now when they never did.
    pub liked_at: DateTime<Utc>,
    /// How many people like it now, all wishes counted.
    pub like_count: i32,
}

impl Standing {
    /// Between whom and what.
    pub fn key(&self) -> (Uuid, Uuid) {
        (self.person, self.post_id)
    }
}

/// Fulfils wishes about posts of `author`, each person and post once. A wish that may not be, because there is no such
/// post or a block parts the two, has no row in the answer.
///
/// The time of a like is that of the lock and not of the transaction's begin: a like that is told of after another one
/// is not the older one of the two.
///
/// Under the locks of the author's `profile:` and of the `user:` of each person nobody else changes what it reads.
pub async fn fulfil(db: &mut PgConnection, author: Uuid, wishes: &[Wish]) -> Result<Vec<Standing>> {
    let persons: Vec<Uuid> = wishes.iter().map(|wish| wish.person).collect();
    let posts: Vec<Uuid> = wishes.iter().map(|wish| wish.post_id).collect();
    let liked: Vec<bool> = wishes.iter().map(|wish| wish.liked).collect();
    let standings = sqlx::query_as!(
        Standing,
        r#"
        with wish as (
            select w.person, p.id as post_id, w.liked, l.user_id is not null as was_liked, p.like_count,
                coalesce(l.created_at, clock_timestamp()) as liked_at
            from unnest($2::uuid[], $3::uuid[], $4::boolean[]) as w (person, post_id, liked)
            join posts p on p.id = w.post_id and p.user_id = $1
            left join post_likes l on l.post_id = p.id and l.user_id = w.person
            where not exists (select from parted_from($1) parted (id) where parted.id = w.person)
        ), liked as (
            insert into post_likes (post_id, user_id, created_at)
            select w.post_id, w.person, w.liked_at from wish w where w.liked and not w.was_liked
        ), unliked as (
            delete from post_likes l using wish w
            where l.post_id = w.post_id and l.user_id = w.person and w.was_liked and not w.liked
        ), counted as (
            update posts p set like_count = p.like_count + c.by
            from (select w.post_id, sum(w.liked::integer - w.was_liked::integer)::integer as by
                  from wish w group by w.post_id) c
            where p.id = c.post_id and c.by <> 0
            returning p.id, p.like_count
        )
        select w.person as "person!", w.post_id as "post_id!", w.was_liked as "was_liked!",
               w.liked_at as "liked_at!", coalesce(c.like_count, w.like_count) as "like_count!"
        from wish w left join counted c on c.id = w.post_id"#,
        author,
        &persons,
        &posts,
        &liked,
    );
    Ok(standings.fetch_all(db).await?)
}
