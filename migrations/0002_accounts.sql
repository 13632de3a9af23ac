-- People: who they are, what they prefer, whether they are here, whom they follow.
--
-- Nearly every foreign key to `users` cascades: whoever is erased takes along everything that is theirs.

create table users (
    id                uuid         constraint users_pkey primary key default gen_random_uuid(),
    email             varchar(255),
    username          varchar(50)  not null,
    full_name         varchar(120),
    bio               text,
    location          varchar(120),
    profile_image_url text,
    banner_image_url  text,
    joined_at         date         not null default (now() at time zone 'utc')::date,
    followers_count   integer      not null default 0
        constraint users_followers_count_check check (followers_count >= 0),
    following_count   integer      not null default 0
        constraint users_following_count_check check (following_count >= 0),
    posts_count       integer      not null default 0
        constraint users_posts_count_check check (posts_count >= 0),
    created_at        timestamptz  not null default now(),
    updated_at        timestamptz  not null default now()
)
-- Each follow and each post updates a counter here; no counter is indexed, so with room on the page the new
-- version of the row stays beside the old one and no index is touched.
with (fillfactor = 80);

-- `Aiko` and `aiko` must not be two people. `text_pattern_ops` lets the same index serve `like 'ai%'`, which the
-- search for people needs, under any locale of the database.
create unique index users_username_key on users (lower(username) text_pattern_ops);
create unique index users_email_key on users (lower(email));
create index users_full_name_idx on users (lower(full_name) text_pattern_ops);

-- Counters are derived from other tables: a new follower does not edit the profile. The row is compared with the
-- counters put back, so that a column added later counts as content without a change here.
create function set_users_updated_at() returns trigger
    language plpgsql as
$$
declare
    content users := new;
begin
    content.followers_count := old.followers_count;
    content.following_count := old.following_count;
    content.posts_count := old.posts_count;
    if content is distinct from old then
        new.updated_at := greatest(old.updated_at, now());
    end if;
    return new;
end
$$;

create trigger set_updated_at before update on users
    for each row when (old.* is distinct from new.*) execute function set_users_updated_at();

create table user_settings (
    id               uuid        constraint user_settings_pkey primary key default gen_random_uuid(),
    user_id          uuid        not null
        constraint user_settings_user_id_fkey references users on delete cascade
        constraint user_settings_user_id_key unique,
    preferred_locale varchar(10) not null default 'en',
    timezone         varchar(64) default 'UTC',
    theme            varchar(32) not null default 'system',
    data             jsonb       not null default '{}'
        constraint user_settings_data_check check (jsonb_typeof(data) = 'object'),
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now()
);

select keep_updated_at('user_settings');

create table user_presence (
    user_id      uuid        constraint user_presence_pkey primary key
        constraint user_presence_user_id_fkey references users on delete cascade,
    status       varchar(16) not null default 'offline'
        constraint user_presence_status_check check (status in ('online', 'offline', 'idle')),
    activity     varchar(120),
    last_seen_at timestamptz
)
-- Written whenever somebody comes, goes or falls idle, and read by key only: half-empty pages and no index on
-- `status` keep each of those updates on its page. The fixed threshold has the table vacuumed while it is small.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

create table follows (
    follower_id uuid        not null
        constraint follows_follower_id_fkey references users on delete cascade,
    followee_id uuid        not null
        constraint follows_followee_id_fkey references users on delete cascade,
    created_at  timestamptz not null default now(),
    constraint follows_pkey primary key (follower_id, followee_id),
    constraint follows_no_self_check check (follower_id <> followee_id)
);

-- Covering: a count, or a page of who follows whom, newest first, never visits the table.
create index follows_followee_id_idx on follows (followee_id, created_at) include (follower_id);
create index follows_follower_id_idx on follows (follower_id, created_at) include (followee_id);

create table user_tags (
    id         uuid        constraint user_tags_pkey primary key default gen_random_uuid(),
    user_id    uuid        not null
        constraint user_tags_user_id_fkey references users on delete cascade,
    -- A tag with its `#` would never meet the same tag without it.
    tag        varchar(50) not null
        constraint user_tags_tag_check check (tag <> '' and tag not like '#%'),
    created_at timestamptz not null default now(),
    -- Also the index of the foreign key.
    constraint user_tags_user_id_tag_key unique (user_id, tag)
);

create index user_tags_tag_idx on user_tags (tag);
