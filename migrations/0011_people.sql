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

-- Everybody whom a block parts from `person`, for statements about many people: asked once and not for each of them.
create function parted_from(person uuid) returns setof uuid
    language sql stable parallel safe
begin atomic
    select blocked_id from blocks where blocker_id = person
    union all
    select blocker_id from blocks where blocked_id = person;
end;

-- Whose presence `viewer` may see, of `people`: always their own; nobody's whom a block parts from them; otherwise as
-- each person set it. The one rule; written so that the planner can put it into the statement that asks.
create function presence_seen_by(viewer uuid, people uuid[]) returns setof uuid
    language sql stable parallel safe
begin atomic
    select p.id
    from unnest(people) p (id)
    join presence_settings s on s.user_id = p.id
    where p.id = viewer or (
        p.id not in (select parted.id from parted_from(viewer) parted (id))
        and case s.visibility
            when 'everyone' then true
            when 'nobody' then false
            else exists (select from follows f where f.follower_id = p.id and f.followee_id = viewer)
                or exists (
                    select from workspace_members theirs
                    where theirs.user_id = p.id and theirs.workspace_id = any (
                        array(select mine.workspace_id from workspace_members mine where mine.user_id = viewer)))
        end);
end;

-- The same for one person.
create function may_see_presence(viewer uuid, person uuid) returns boolean
    language sql stable parallel safe
begin atomic
    select exists (select from presence_seen_by(viewer, array[person]));
end;
