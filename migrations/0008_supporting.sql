-- Files that other things refer to, and the record of who did what.

create table attachments (
    id                uuid         constraint attachments_pkey primary key default gen_random_uuid(),
    user_id           uuid         not null
        constraint attachments_user_id_fkey references users on delete cascade,
    kind              varchar(20)  not null,
    file_name         varchar(255) not null,
    content_type      varchar(255) not null,
    size_bytes        bigint       not null
        constraint attachments_size_bytes_check check (size_bytes >= 0),
    width             integer      constraint attachments_width_check check (width > 0),
    height            integer      constraint attachments_height_check check (height > 0),
    storage_key       varchar(255) not null
        constraint attachments_storage_key_key unique,
    sha256            bytea        not null
        constraint attachments_sha256_check check (octet_length(sha256) = 32),
    -- One column per kind of parent instead of a (type, id) pair: the database can then refuse a parent that does
    -- not exist and clean up after one that is deleted.
    post_id           uuid
        constraint attachments_post_id_fkey references posts on delete cascade,
    calendar_event_id uuid
        constraint attachments_calendar_event_id_fkey references calendar_events on delete cascade,
    workspace_id      uuid
        constraint attachments_workspace_id_fkey references immersive_workspaces on delete cascade,
    profile_user_id   uuid
        constraint attachments_profile_user_id_fkey references users on delete cascade,
    created_at        timestamptz  not null default now(),
    -- None at all is an upload that is not used yet.
    constraint attachments_one_parent_check
        check (num_nonnulls(post_id, calendar_event_id, workspace_id, profile_user_id) <= 1)
);

-- Finds a file that its owner uploaded before. Also the index of the foreign key.
create index attachments_user_id_sha256_idx on attachments (user_id, sha256);

-- At most one of the four is set, so each index holds only its own share of the rows.
create index attachments_post_id_idx on attachments (post_id) where post_id is not null;
create index attachments_calendar_event_id_idx on attachments (calendar_event_id)
    where calendar_event_id is not null;
create index attachments_workspace_id_idx on attachments (workspace_id) where workspace_id is not null;
create index attachments_profile_user_id_idx on attachments (profile_user_id) where profile_user_id is not null;

create table audit_logs (
    -- A number and not a random id: the record is read in the order in which it was written.
    id           bigint      constraint audit_logs_pkey primary key generated always as identity,
    -- The record outlives the person: what was done stays, who did it is forgotten.
    actor_id     uuid
        constraint audit_logs_actor_id_fkey references users on delete set null,
    action       varchar(80) not null,
    subject_type varchar(40),
    -- No foreign key: a deletion is recorded too.
    subject_id   uuid,
    metadata     jsonb       not null default '{}'
        constraint audit_logs_metadata_check check (jsonb_typeof(metadata) = 'object'),
    ip           inet,
    created_at   timestamptz not null default now(),
    constraint audit_logs_subject_check check (subject_id is null or subject_type is not null)
)
-- Nobody updates or deletes here, so nothing but inserts can ask for the vacuum that lets the indexes answer alone.
with (autovacuum_vacuum_insert_scale_factor = 0.05);

create index audit_logs_actor_id_created_at_idx on audit_logs (actor_id, created_at);
create index audit_logs_subject_idx on audit_logs (subject_type, subject_id, created_at);
create index audit_logs_created_at_idx on audit_logs (created_at);
