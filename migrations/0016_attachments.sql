-- Files that people upload: their lists, and the removal of what nobody refers to any more.

-- A person's files, newest first; the sizes are in it because their sum is what the quota is compared with.
create index attachments_user_id_created_at_id_idx on attachments (user_id, created_at, id) include (size_bytes);
-- The files of a room in their order.
create index attachments_workspace_id_created_at_id_idx on attachments (workspace_id, created_at, id)
    where workspace_id is not null;
drop index attachments_workspace_id_idx;
-- Uploads that nothing refers to, the oldest first.
create index attachments_created_at_idx on attachments (created_at)
    where num_nonnulls(post_id, calendar_event_id, workspace_id, profile_user_id) = 0;

-- Objects of the store that have to go. An upload is in here from before its first byte until the transaction that makes
-- its row: whatever ends in between leaves nothing behind.
create table attachment_removals (
    storage_key varchar(255) constraint attachment_removals_pkey primary key,
    due_at      timestamptz  not null default now(),
    -- Who has tried once may have removed the object: no row may refer to it any more.
    attempts    integer      not null default 0
        constraint attachment_removals_attempts_check check (attempts >= 0),
    created_at  timestamptz  not null default now()
);

create index attachment_removals_due_at_idx on attachment_removals (due_at);

-- However a row goes, by itself or with what it belonged to: its object goes too.
create function remove_objects() returns trigger language plpgsql as $$
begin
    insert into attachment_removals (storage_key) select g.storage_key from gone g
    on conflict (storage_key) do update set due_at = now();
    return null;
end $$;

create trigger attachments_gone after delete on attachments
    referencing old table as gone for each statement execute function remove_objects();

-- What people see of a file: all but where it is.
create view shown_attachments as
select id, user_id, kind, file_name, content_type, size_bytes, width, height, encode(sha256, 'hex') as sha256,
    post_id, calendar_event_id, workspace_id, profile_user_id, created_at
from attachments;
