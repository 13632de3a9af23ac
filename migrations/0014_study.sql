-- What people study: courses that several share, what is due by the day of whoever it is due for, and tags by which people
-- are found.

create table course_members (
    course_id  uuid        not null
        constraint course_members_course_id_fkey references courses on delete cascade,
    user_id    uuid        not null
        constraint course_members_user_id_fkey references users on delete cascade,
    role       text        not null
        constraint course_members_role_check check (role in ('owner', 'member')),
    created_at timestamptz not null default now(),
    constraint course_members_pkey primary key (course_id, user_id)
);

create index course_members_user_id_idx on course_members (user_id);

-- Whoever made a course is in it.
insert into course_members (course_id, user_id, role, created_at) select id, user_id, 'owner', created_at from courses;

-- A course as its members see it: who is in it, the longest there first.
create function course_member_ids(course uuid) returns uuid[]
    language sql stable
begin atomic
    select array(select m.user_id from course_members m where m.course_id = course order by m.created_at, m.user_id);
end;

-- The time zone that a person's days are counted in. A name that PostgreSQL does not know any more, its list comes with the
-- system, must keep nobody from their work.
create function zone_of(person uuid) returns text
    language plpgsql stable as
$$
declare
    zone text;
begin
    select s.timezone into zone from user_settings s where s.user_id = person;
    perform statement_timestamp() at time zone zone;
    return coalesce(zone, 'UTC');
exception when invalid_parameter_value then
    return 'UTC';
end
$$;

-- The day that it is for a person.
create function today_of(person uuid) returns date
    language sql stable
begin atomic
    select (statement_timestamp() at time zone zone_of(person))::date;
end;

-- The one rule of when something is due within the week and when within the month.
create function timeframe_of(due date, today date) returns text
    language sql immutable parallel safe
begin atomic
    select case when due <= today + 7 then 'week' when due <= today + 31 then 'month' else 'later' end;
end;

-- When an assignment that nobody touches belongs into another timeframe: as a day begins where the person is. Now, if it is
-- in the wrong one already; never, if nothing is to come.
create function timeframe_ends(person uuid, due date, timeframe text) returns timestamptz
    language sql stable
begin atomic
    select case
        when timeframe <> timeframe_of(due, today_of(person)) then statement_timestamp()
        when timeframe = 'month' then (due - 7)::timestamp at time zone zone_of(person)
        when timeframe = 'later' then (due - 31)::timestamp at time zone zone_of(person)
    end;
end;

-- The assignments whose timeframe has an end, so that one look at an index finds those that the passing of days concerns.
-- The seed's own table has no column for it.
create table assignment_turns (
    assignment_id uuid        constraint assignment_turns_pkey primary key
        constraint assignment_turns_assignment_id_fkey references assignments on delete cascade,
    turns_at      timestamptz not null
);

create index assignment_turns_turns_at_idx on assignment_turns (turns_at);

-- No statement can forget it.
create function keep_assignment_turn() returns trigger
    language plpgsql as
$$
declare
    ends timestamptz := timeframe_ends(new.user_id, new.due_at, new.timeframe);
begin
    if ends is null then
        delete from assignment_turns where assignment_id = new.id;
    else
        insert into assignment_turns (assignment_id, turns_at) values (new.id, ends)
        on conflict (assignment_id) do update set turns_at = excluded.turns_at
            where assignment_turns.turns_at <> excluded.turns_at;
    end if;
    return null;
end
$$;

create trigger keep_turn_of_new after insert on assignments
    for each row when (new.due_at is not null or new.timeframe <> 'later') execute function keep_assignment_turn();
create trigger keep_turn after update of user_id, due_at, timeframe on assignments
    for each row when (old.user_id <> new.user_id or old.timeframe <> new.timeframe
        or old.due_at is distinct from new.due_at)
    execute function keep_assignment_turn();

insert into assignment_turns (assignment_id, turns_at)
select a.id, e.ends
from assignments a
cross join lateral (select timeframe_ends(a.user_id, a.due_at, a.timeframe) as ends) e
where e.ends is not null;

-- Another time zone has other days.
create function move_assignment_turns() returns trigger
    language plpgsql as
$$
begin
    insert into assignment_turns (assignment_id, turns_at)
    select a.id, e.ends
    from assignments a
    cross join lateral (select timeframe_ends(a.user_id, a.due_at, a.timeframe) as ends) e
    where a.user_id = new.user_id and e.ends is not null
    on conflict (assignment_id) do update set turns_at = excluded.turns_at;
    return null;
end
$$;

create trigger move_assignment_turns after update of timezone on user_settings
    for each row when (old.timezone is distinct from new.timezone) execute function move_assignment_turns();

-- The list of what is due, in its order.
create index assignments_user_id_due_at_created_at_idx
    on assignments (user_id, (coalesce(due_at, 'infinity')), created_at, id);

-- A person's history, newest first, over all scopes.
create index progress_metrics_user_id_captured_at_idx on progress_metrics (user_id, captured_at, id);

-- The newest of each scope: one look at the index for each, however long the history is.
create function latest_metrics(person uuid) returns setof progress_metrics
    language sql stable
begin atomic
    with recursive scopes as (
        (select m.scope from progress_metrics m where m.user_id = person order by m.scope limit 1)
        union all
        select (select m.scope from progress_metrics m where m.user_id = person and m.scope > s.scope
                order by m.scope limit 1)
        from scopes s where s.scope is not null
    )
    select l.*
    from scopes s
    cross join lateral (
        select m.* from progress_metrics m where m.user_id = person and m.scope = s.scope
        order by m.captured_at desc limit 1) l;
end;

-- `Rust` and `rust` are one tag, and a person has it once: the oldest stays.
delete from user_tags t using user_tags o
where o.user_id = t.user_id and lower(o.tag) = lower(t.tag) and (o.created_at, o.id) < (t.created_at, t.id);

create unique index user_tags_user_id_lower_tag_idx on user_tags (user_id, lower(tag));
-- Who has a tag, newest first.
create index user_tags_lower_tag_idx on user_tags (lower(tag), created_at, user_id);
drop index user_tags_tag_idx;

-- A person's tags as everybody sees them.
create function tags_of(person uuid) returns text[]
    language sql stable parallel safe
begin atomic
    select array(select t.tag::text from user_tags t where t.user_id = person order by lower(t.tag), t.tag);
end;
