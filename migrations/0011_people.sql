-- Who may see that somebody is here, and who wants nothing to do with whom. Tables of the server: the seed's own have
-- no columns for either.

create table presence_settings (
    user_id    uuid    constraint presence_settings_pkey primary key
        constraint presence_settings_user_id_fkey references users on delete cascade,
    visibility text    not null default 'following'
        constraint presence_settings_visibility_check check (visibility in ('everyone', 'following', 'nobody')),
    -- A setting and no status: `user_presence` keeps saying what others may know.
    invisible  boolean not null default false
);

-- Everybody has a row, so that every query may join it.
insert into presence_settings (user_id) select id from users;

create table blocks (
    blocker_id uuid        not null
        constraint blocks_blocker_id_fkey references users on delete cascade,
    blocked_id uuid        not null
        constraint blocks_blocked_id_fkey references users on delete cascade,
    created_at timestamptz not null default now(),
    constraint blocks_pkey primary key (blocker_id, blocked_id),
    constraint blocks_no_self_check check (blocker_id <> blocked_id)
);

-- Every look at another person asks both ways round.
create index blocks_blocked_id_idx on blocks (blocked_id, blocker_id);

-- A block holds both ways: neither finds the other.
create function are_blocked(one uuid, other uuid) returns boolean
    language sql stable parallel safe
begin atomic
    select exists (select from blocks where blocker_id = one and blocked_id = other)
        or exists (select from blocks where blocker_id = other and blocked_id = one);
end;

-- Whether `viewer` may see that `person` is here: themselves always; nobody whom a block parts from them; otherwise
-- as the person set it.
create function may_see_presence(viewer uuid, person uuid) returns boolean
    language sql stable parallel safe
begin atomic
    select viewer = person or (
        not are_blocked(viewer, person)
        and case (select s.visibility from presence_settings s where s.user_id = person)
            when 'everyone' then true
            when 'nobody' then false
            else exists (select from follows f where f.follower_id = person and f.followee_id = viewer)
                or exists (
                    select from workspace_members mine
                    join workspace_members theirs on theirs.workspace_id = mine.workspace_id
                    where mine.user_id = viewer and theirs.user_id = person)
        end);
end;
