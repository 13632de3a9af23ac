-- What the cards of the home dashboard show.

create table courses (
    id         uuid         constraint courses_pkey primary key default gen_random_uuid(),
    user_id    uuid         not null
        constraint courses_user_id_fkey references users on delete cascade,
    name       varchar(120) not null,
    emoji      varchar(8),
    created_at timestamptz  not null default now(),
    updated_at timestamptz  not null default now()
);

create index courses_user_id_idx on courses (user_id);
select keep_updated_at('courses');

create table study_resources (
    id          uuid         constraint study_resources_pkey primary key default gen_random_uuid(),
    user_id     uuid         not null
        constraint study_resources_user_id_fkey references users on delete cascade,
    label       varchar(120) not null,
    emoji       varchar(8),
    url         text,
    order_index integer      not null default 0,
    created_at  timestamptz  not null default now(),
    updated_at  timestamptz  not null default now()
);

create index study_resources_user_id_order_index_idx on study_resources (user_id, order_index);
select keep_updated_at('study_resources');

create table assignments (
    id         uuid         constraint assignments_pkey primary key default gen_random_uuid(),
    user_id    uuid         not null
        constraint assignments_user_id_fkey references users on delete cascade,
    -- The one key to a parent that does not cascade: an assignment without a course is allowed, and somebody who
    -- tidies up courses must not lose what is due.
    course_id  uuid
        constraint assignments_course_id_fkey references courses on delete set null,
    title      varchar(160) not null,
    status     varchar(40)  not null default 'Not started',
    due_at     date,
    timeframe  varchar(16)  not null default 'later'
        constraint assignments_timeframe_check check (timeframe in ('week', 'month', 'later')),
    notes      text,
    created_at timestamptz  not null default now(),
    updated_at timestamptz  not null default now()
);

create index assignments_user_id_timeframe_idx on assignments (user_id, timeframe);
create index assignments_user_id_due_at_idx on assignments (user_id, due_at);
create index assignments_course_id_idx on assignments (course_id);
select keep_updated_at('assignments');

create table focus_entries (
    id          uuid         constraint focus_entries_pkey primary key default gen_random_uuid(),
    user_id     uuid         not null
        constraint focus_entries_user_id_fkey references users on delete cascade,
    title       varchar(120) not null,
    description text,
    order_index integer      not null default 0,
    created_at  timestamptz  not null default now(),
    updated_at  timestamptz  not null default now()
);

create index focus_entries_user_id_order_index_idx on focus_entries (user_id, order_index);
select keep_updated_at('focus_entries');

create table progress_metrics (
    id           uuid        constraint progress_metrics_pkey primary key default gen_random_uuid(),
    user_id      uuid        not null
        constraint progress_metrics_user_id_fkey references users on delete cascade,
    -- Open: `day`, `week`, `month` and `year` are only the scopes of today.
    scope        varchar(16) not null,
    value        integer     not null default 0
        constraint progress_metrics_value_check check (value >= 0),
    target_value integer     default 100
        constraint progress_metrics_target_value_check check (target_value > 0),
    captured_at  date        not null default (now() at time zone 'utc')::date,
    created_at   timestamptz not null default now(),
    -- One snapshot a day. Also the index of the foreign key.
    constraint progress_metrics_user_id_scope_captured_at_key unique (user_id, scope, captured_at)
);

create table study_playlists (
    id          uuid         constraint study_playlists_pkey primary key default gen_random_uuid(),
    user_id     uuid         not null
        constraint study_playlists_user_id_fkey references users on delete cascade,
    title       varchar(160) not null,
    provider    varchar(40)  not null,
    embed_url   text         not null,
    order_index integer      not null default 0,
    created_at  timestamptz  not null default now(),
    updated_at  timestamptz  not null default now()
);

create index study_playlists_user_id_order_index_idx on study_playlists (user_id, order_index);
select keep_updated_at('study_playlists');
