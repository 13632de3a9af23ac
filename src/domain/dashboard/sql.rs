//! The one statement of the home page.

use chrono::NaiveDate;
use sqlx::PgExecutor;
use sqlx::types::Json;
use studyhall_protocol::Position;
use studyhall_protocol::accounts::Me;
use studyhall_protocol::assignments::Assignment;
use studyhall_protocol::calendar::{CalendarEvent, Reminder};
use studyhall_protocol::courses::Course;
use studyhall_protocol::focus::FocusEntry;
use studyhall_protocol::metrics::ProgressMetric;
use studyhall_protocol::notifications::Notification;
use studyhall_protocol::playlists::StudyPlaylist;
use studyhall_protocol::resources::StudyResource;
use studyhall_protocol::settings::Settings;
use studyhall_protocol::tasks::{Task, TaskList};
use studyhall_protocol::workspaces::{Member, Workspace};
use uuid::Uuid;

use crate::error::Result;

/// The home page as it is read: a column per part.
#[derive(Debug)]
pub struct Row {
    /// The account.
    pub me: Json<Me>,
    /// With who may see the presence.
    pub settings: Json<Settings>,
    /// Longest followed first.
    pub following: Vec<Uuid>,
    /// Longest blocked first.
    pub blocked: Vec<Uuid>,
    /// Oldest first.
    pub task_lists: Json<Vec<TaskList>>,
    /// In the order of their lists.
    pub tasks: Json<Vec<Task>>,
    /// Oldest room first.
    pub memberships: Json<Vec<Member>>,
    /// In the same order.
    pub workspaces: Json<Vec<Workspace>>,
    /// Oldest first.
    pub courses: Json<Vec<Course>>,
    /// The next first.
    pub assignments: Json<Vec<Assignment>>,
    /// In their order.
    pub resources: Json<Vec<StudyResource>>,
    /// In their order.
    pub focus_entries: Json<Vec<FocusEntry>>,
    /// In their order.
    pub playlists: Json<Vec<StudyPlaylist>>,
    /// The newest of each scope.
    pub progress_metrics: Json<Vec<ProgressMetric>>,
    /// 31 days before today.
    pub calendar_from: NaiveDate,
    /// 62 days after today.
    pub calendar_to: NaiveDate,
    /// Between the two, by day and in the order of each.
    pub calendar_events: Json<Vec<CalendarEvent>>,
    /// Pending ones, the next one first.
    pub reminders: Json<Vec<Reminder>>,
    /// Newest first.
    pub notifications: Json<Vec<Notification>>,
    /// Of every channel whose state is in here.
    pub positions: Json<Vec<Position>>,
}

/// Everything that the home page shows, in one statement and so in one snapshot. A new part is one more column here
/// and a line in [`Row`]. `None` when there is no such person.
pub async fn dashboard(db: impl PgExecutor<'_>, person: Uuid) -> Result<Option<Row>> {
    let row = sqlx::query_as!(
        Row,
        r#"with rooms as (
             select w.id, w.created_at from workspace_members m join immersive_workspaces w on w.id = m.workspace_id
             where m.user_id = $1
         ), channels as (
             select 'user:' || $1::uuid as channel
             union all select 'profile:' || $1::uuid
             union all select 'workspace:' || r.id from rooms r
         ), days as materialized (
             select t.today - 31 as first, t.today + 62 as last
             from user_settings s cross join lateral (select day_in(coalesce(s.timezone, 'UTC')) as today) t
             where s.user_id = $1
         )
         select
             (select to_json(m) from (select u.*, tags_of(u.id) as tags) m) as "me!: Json<Me>",
             (select json_build_object('user_id', s.user_id, 'preferred_locale', s.preferred_locale, 'timezone', s.timezone,
                  'theme', s.theme, 'data', s.data, 'presence_visibility', p.visibility, 'invisible', p.invisible)
              from user_settings s join presence_settings p on p.user_id = s.user_id
              where s.user_id = u.id) as "settings!: Json<Settings>",
             array(select f.followee_id from follows f where f.follower_id = u.id
                 order by f.created_at, f.followee_id) as "following!",
             array(select b.blocked_id from blocks b where b.blocker_id = u.id
                 order by b.created_at, b.blocked_id) as "blocked!",
             (select coalesce(json_agg(l order by l.created_at, l.id), '[]')
              from task_lists l where l.user_id = u.id) as "task_lists!: Json<Vec<TaskList>>",
             (select coalesce(json_agg(t order by l.created_at, l.id, t.order_index, t.created_at, t.id), '[]')
              from tasks t join task_lists l on l.id = t.list_id
              where l.user_id = u.id) as "tasks!: Json<Vec<Task>>",
             (select coalesce(json_agg(m order by r.created_at, r.id), '[]')
              from rooms r join workspace_members m on m.workspace_id = r.id and m.user_id = u.id)
                 as "memberships!: Json<Vec<Member>>",
             (select coalesce(json_agg(w order by r.created_at, r.id), '[]')
              from rooms r join immersive_workspaces w on w.id = r.id) as "workspaces!: Json<Vec<Workspace>>",
             (select coalesce(json_agg(r order by r.created_at, r.id), '[]') from (
                 select c.*, course_member_ids(c.id) as member_ids
                 from course_members m
                 cross join lateral (select c.* from courses c where c.id = m.course_id limit 1) c
                 where m.user_id = u.id) r) as "courses!: Json<Vec<Course>>",
             (select coalesce(json_agg(a order by coalesce(a.due_at, 'infinity'), a.created_at, a.id), '[]')
              from assignments a where a.user_id = u.id) as "assignments!: Json<Vec<Assignment>>",
             (select coalesce(json_agg(r order by r.order_index, r.created_at, r.id), '[]')
              from study_resources r where r.user_id = u.id) as "resources!: Json<Vec<StudyResource>>",
             (select coalesce(json_agg(f order by f.order_index, f.created_at, f.id), '[]')
              from focus_entries f where f.user_id = u.id) as "focus_entries!: Json<Vec<FocusEntry>>",
             (select coalesce(json_agg(p order by p.order_index, p.created_at, p.id), '[]')
              from study_playlists p where p.user_id = u.id) as "playlists!: Json<Vec<StudyPlaylist>>",
             (select coalesce(json_agg(m order by m.scope), '[]')
              from latest_metrics(u.id) m) as "progress_metrics!: Json<Vec<ProgressMetric>>",
             d.first as "calendar_from!", d.last as "calendar_to!",
             (select coalesce(json_agg(c order by c.event_date, c.order_index, c.created_at, c.id), '[]')
              from calendar_events c where c.user_id = u.id and c.event_date between d.first and d.last)
                 as "calendar_events!: Json<Vec<CalendarEvent>>",
             (select coalesce(json_agg(r order by r.remind_at, r.id), '[]')
              from calendar_event_reminders r where r.user_id = u.id and r.sent_at is null)
                 as "reminders!: Json<Vec<Reminder>>",
             (select coalesce(json_agg(n order by n.updated_at desc, n.id desc), '[]')
              from notifications n where n.user_id = u.id) as "notifications!: Json<Vec<Notification>>",
             (select json_agg(json_build_object('channel', c.channel, 'offset', coalesce(h.head, 0), 'epoch', e.epoch))
              from channels c cross join log_epoch e left join channel_heads h on h.channel = c.channel)
                 as "positions!: Json<Vec<Position>>"
         from users u cross join days d
         where u.id = $1"#,
        person,
    );
    Ok(row.fetch_optional(db).await?)
}
