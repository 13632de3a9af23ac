//! What is in an archive, section by section: each statement gives one JSON text per row, and has `$1` where the person is.

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::error::Result;

/// The sections in their order. A test compares them with the tables that know people.
pub const SECTIONS: &[(&str, &str)] = &[
    ("users", "select to_json(u) from users u where u.id = $1"),
    ("user_settings", "select to_json(s) from user_settings s where s.user_id = $1"),
    ("presence_settings", "select to_json(s) from presence_settings s where s.user_id = $1"),
    ("user_presence", "select to_json(p) from user_presence p where p.user_id = $1"),
    ("user_tags", "select to_json(t) from user_tags t where t.user_id = $1 order by t.tag"),
    ("follows", "select to_json(f) from follows f where $1 in (f.follower_id, f.followee_id) order by f.created_at"),
    ("blocks", "select to_json(b) from blocks b where b.blocker_id = $1 order by b.created_at"),
    (
        "posts",
        "select to_json(r) from (
             select p.*, array(select t.tag from post_tags t where t.post_id = p.id order by t.tag) as tags,
                 (select coalesce(json_agg(m order by m.order_index, m.id), '[]') from post_media m
                  where m.post_id = p.id) as media
             from posts p where p.user_id = $1 order by p.created_at, p.id) r",
    ),
    ("post_comments", "select to_json(c) from post_comments c where c.author_id = $1 order by c.created_at, c.id"),
    ("post_likes", "select to_json(l) from post_likes l where l.user_id = $1 order by l.created_at, l.post_id"),
    (
        "calendar_events",
        "select to_json(e) from calendar_events e where e.user_id = $1 order by e.event_date, e.order_index, e.id",
    ),
    (
        "calendar_event_reminders",
        "select to_json(r) from calendar_event_reminders r where r.user_id = $1 order by r.remind_at, r.id",
    ),
    ("task_lists", "select to_json(l) from task_lists l where l.user_id = $1 order by l.created_at, l.id"),
    ("tasks", "select to_json(t) from tasks t where t.user_id = $1 order by t.list_id, t.order_index, t.id"),
    (
        "immersive_workspaces",
        "select to_json(r) from (
             select w.*, (select coalesce(json_agg(i order by i.grid_y, i.grid_x, i.id), '[]') from immersive_widgets i
                  where i.workspace_id = w.id) as widgets
             from immersive_workspaces w where w.user_id = $1 order by w.created_at, w.id) r",
    ),
    (
        "workspace_members",
        "select to_json(m) from workspace_members m where m.user_id = $1 order by m.created_at, m.workspace_id",
    ),
    ("courses", "select to_json(c) from courses c where c.user_id = $1 order by c.created_at, c.id"),
    (
        "course_members",
        "select to_json(m) from course_members m where m.user_id = $1 order by m.created_at, m.course_id",
    ),
    (
        "study_resources",
        "select to_json(r) from study_resources r where r.user_id = $1 order by r.order_index, r.created_at, r.id",
    ),
    ("assignments", "select to_json(a) from assignments a where a.user_id = $1 order by a.created_at, a.id"),
    (
        "focus_entries",
        "select to_json(f) from focus_entries f where f.user_id = $1 order by f.order_index, f.created_at, f.id",
    ),
    (
        "progress_metrics",
        "select to_json(m) from progress_metrics m where m.user_id = $1 order by m.scope, m.captured_at",
    ),
    (
        "study_playlists",
        "select to_json(p) from study_playlists p where p.user_id = $1 order by p.order_index, p.created_at, p.id",
    ),
    (
        "attachments",
        "select (to_jsonb(a) - 'storage_key') || jsonb_build_object('sha256', encode(a.sha256, 'hex'))
         from attachments a where a.user_id = $1 order by a.created_at, a.id",
    ),
    ("notifications", "select to_json(n) from notifications n where n.user_id = $1 order by n.updated_at, n.id"),
    ("sign_ins", "select to_jsonb(s) - 'token_hash' from sign_ins s where s.user_id = $1 order by s.created_at, s.id"),
    ("audit_logs", "select to_json(a) from audit_logs a where a.actor_id = $1 order by a.id"),
];

/// Begins to read a section.
pub async fn open(db: &mut PgConnection, query: &str, person: Uuid) -> Result<()> {
    // A cursor takes no parameters; an id has no quotes in it.
    let query = query.replace("$1", &format!("'{person}'::uuid"));
    let declare = format!("declare section no scroll cursor for select s.row::text from ({query}) s (row)");
    sqlx::raw_sql(AssertSqlSafe(declare)).execute(db).await?;
    Ok(())
}

/// The next rows of the section.
pub async fn fetch(db: &mut PgConnection, rows: usize) -> Result<Vec<String>> {
    let fetch = format!("fetch {rows} from section");
    Ok(sqlx::query_scalar(AssertSqlSafe(fetch)).fetch_all(db).await?)
}

/// Ends the section.
pub async fn close(db: &mut PgConnection) -> Result<()> {
    sqlx::raw_sql("close section").execute(db).await?;
    Ok(())
}
