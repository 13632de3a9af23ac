-- The pages of the feed: each is a range of one index, so the hundredth costs what the first does.

create index post_comments_post_id_created_at_id_idx on post_comments (post_id, created_at, id);
drop index post_comments_post_id_created_at_idx;

-- Who likes a post, and what somebody likes, newest first. Both cover: a page never visits the table.
create index post_likes_post_id_created_at_idx on post_likes (post_id, created_at, user_id);
create index post_likes_user_id_created_at_idx on post_likes (user_id, created_at, post_id);
drop index post_likes_user_id_idx;

-- `Rust` and `rust` are one tag to whoever looks for it, and one subject.
create index post_tags_lower_tag_idx on post_tags (lower(tag), post_id);
drop index post_tags_tag_idx;
create index posts_lower_subject_created_at_idx on posts (lower(subject), created_at, id) where subject is not null;
