-- The calendar as its owner's home page shows it, reminders that are still to come, and notifications.

-- The day that it is now in this time zone; in UTC where there is none of that name. What people type as their time zone
-- is stored as it is, and PostgreSQL fails over one that it does not know.
create function day_in(timezone text) returns date
    language plpgsql stable as
$$
begin
    return (now() at time zone timezone)::date;
exception when others then
    return (now() at time zone 'UTC')::date;
end
$$;

-- A person's next reminders; those that have rung accumulate.
create index calendar_event_reminders_pending_idx on calendar_event_reminders (user_id, remind_at)
    where sent_at is null;

create table notifications (
    id                uuid        constraint notifications_pkey primary key default gen_random_uuid(),
    user_id           uuid        not null
        constraint notifications_user_id_fkey references users on delete cascade,
    kind              varchar(20) not null
        constraint notifications_kind_check
            check (kind in ('like', 'comment', 'follow', 'invitation', 'reminder')),
    -- One of possibly many, so it is forgotten rather than take all of them along.
    actor_id          uuid
        constraint notifications_actor_id_fkey references users on delete set null,
    -- Likes and comments of one post collapse as long as nobody has read of them.
    count             integer     not null default 1
        constraint notifications_count_check check (count > 0),
    post_id           uuid
        constraint notifications_post_id_fkey references posts on delete cascade,
    comment_id        uuid
        constraint notifications_comment_id_fkey references post_comments on delete set null,
    workspace_id      uuid
        constraint notifications_workspace_id_fkey references immersive_workspaces on delete cascade,
    calendar_event_id uuid
        constraint notifications_calendar_event_id_fkey references calendar_events on delete cascade,
    read_at           timestamptz,
    -- Not after the first of those that are counted: whether a like that ends is one of them is a comparison of times.
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
);

-- A person's list, newest first.
create index notifications_user_id_updated_at_id_idx on notifications (user_id, updated_at, id);

-- Where the next like of a post goes.
create unique index notifications_unread_idx on notifications (user_id, kind, post_id)
    where read_at is null and post_id is not null;

create index notifications_actor_id_idx on notifications (actor_id) where actor_id is not null;
create index notifications_post_id_idx on notifications (post_id) where post_id is not null;
create index notifications_comment_id_idx on notifications (comment_id) where comment_id is not null;
create index notifications_workspace_id_idx on notifications (workspace_id) where workspace_id is not null;
create index notifications_calendar_event_id_idx on notifications (calendar_event_id)
    where calendar_event_id is not null;

-- Lists are in the order of `updated_at`: what is new moves a notification to the front, reading it does not, nor
-- does a like that ended.
create trigger set_updated_at before update on notifications
    for each row when (new.count > old.count) execute function set_updated_at();
