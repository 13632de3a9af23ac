-- The feed: posts and what people say about them.

create table posts (
    id             uuid        constraint posts_pkey primary key default gen_random_uuid(),
    user_id        uuid        not null
        constraint posts_user_id_fkey references users on delete cascade,
    content        text        not null,
    book_title     varchar(160),
    study_duration varchar(32),
    subject        varchar(80),
    image_url      text,
    like_count     integer     not null default 0
        constraint posts_like_count_check check (like_count >= 0),
    comment_count  integer     not null default 0
        constraint posts_comment_count_check check (comment_count >= 0),
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
)
-- A post that everybody likes is updated many times a second, and only in a counter without an index: with room
-- on the page those updates touch neither an index nor another page.
with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- The id breaks ties between posts of one instant: pages of the feed neither repeat nor skip.
create index posts_user_id_created_at_idx on posts (user_id, created_at, id);
create index posts_created_at_idx on posts (created_at, id);

-- A like or a comment must not make the post look edited; compare `set_users_updated_at`.
create function set_posts_updated_at() returns trigger
    language plpgsql as
$$
declare
    content posts := new;
begin
    content.like_count := old.like_count;
    content.comment_count := old.comment_count;
    if content is distinct from old then
        new.updated_at := greatest(old.updated_at, now());
    end if;
    return new;
end
$$;

create trigger set_updated_at before update on posts
    for each row when (old.* is distinct from new.*) execute function set_posts_updated_at();

create table post_media (
    id          uuid        constraint post_media_pkey primary key default gen_random_uuid(),
    post_id     uuid        not null
        constraint post_media_post_id_fkey references posts on delete cascade,
    media_type  varchar(20) not null,
    url         text        not null,
    order_index integer     not null default 0,
    metadata    jsonb       not null default '{}'
        constraint post_media_metadata_check check (jsonb_typeof(metadata) = 'object')
);

create index post_media_post_id_order_index_idx on post_media (post_id, order_index);

create table post_tags (
    post_id uuid        not null
        constraint post_tags_post_id_fkey references posts on delete cascade,
    tag     varchar(50) not null
        constraint post_tags_tag_check check (tag <> '' and tag not like '#%'),
    constraint post_tags_pkey primary key (post_id, tag)
);

-- Discovery asks the other way round: which posts carry this tag?
create index post_tags_tag_idx on post_tags (tag, post_id);

create table post_comments (
    id         uuid        constraint post_comments_pkey primary key default gen_random_uuid(),
    post_id    uuid        not null
        constraint post_comments_post_id_fkey references posts on delete cascade,
    author_id  uuid        not null
        constraint post_comments_author_id_fkey references users on delete cascade,
    body       text        not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create index post_comments_post_id_created_at_idx on post_comments (post_id, created_at);
create index post_comments_author_id_idx on post_comments (author_id);
select keep_updated_at('post_comments');

create table post_likes (
    post_id    uuid        not null
        constraint post_likes_post_id_fkey references posts on delete cascade,
    user_id    uuid        not null
        constraint post_likes_user_id_fkey references users on delete cascade,
    created_at timestamptz not null default now(),
    -- The key is what makes a second like of the same person no like.
    constraint post_likes_pkey primary key (post_id, user_id)
);

create index post_likes_user_id_idx on post_likes (user_id);
