-- The log of every channel, the numbers in it, and the operations that wrote it.

-- Positions are comparable only within one epoch: whoever restores an older backup gives it a new one, and each
-- client with a position from the lost future loads its state again.
create table log_epoch (
    singleton  boolean     constraint log_epoch_pkey primary key default true
        constraint log_epoch_singleton_check check (singleton),
    -- Clients read an empty epoch as "none yet", and `_` is how they mark one that they do not know.
    epoch      text        not null
        constraint log_epoch_epoch_check check (epoch not in ('', '_')),
    changed_at timestamptz not null default now()
);

insert into log_epoch (epoch) values ('e' || substr(md5(gen_random_uuid()::text), 1, 10));

-- A counter per channel and not a sequence: its row lock is held until commit, so the order of the numbers is the
-- order of the commits, and a number that was rolled back is given out again. The log has no holes.
create table channel_heads (
    channel     text   constraint channel_heads_pkey primary key,
    head        bigint not null default 0,
    -- The oldest offset that is still in the log; head + 1 when the log is empty.
    floor       bigint not null default 1,
    -- Raised whenever somebody loses or gains a right, so that a cached permission can be compared.
    acl_version bigint not null default 0,
    constraint channel_heads_head_check check (head >= 0),
    constraint channel_heads_floor_check check (floor between 1 and head + 1)
)
-- The hottest rows of all: each command updates one. Nothing but the key is indexed, so on half-empty pages the
-- updates stay on their page and the next reader prunes the dead versions. The fixed threshold calls the vacuum by
-- the number of updates and not by the number of channels.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
      autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000);

-- By day, so that old days are dropped and not deleted. No default partition: a new day could not be added while
-- a row of that day lay in it. `at` is in the key only because PostgreSQL wants the partition key there; what
-- keeps (channel, "offset") unique is the row lock on the head.
create table events (
    channel  text        not null,
    "offset" bigint      not null
        constraint events_offset_check check ("offset" > 0),
    at       timestamptz not null default now(),
    -- Lets a node ask for what it may have missed: everything from the xmin of its last snapshot on.
    xid      xid8        not null default pg_current_xact_id(),
    type     text        not null,
    -- No foreign key: the log must not change when a person is erased.
    actor    uuid,
    op       uuid,
    -- `json` and not `jsonb`: it is handed on byte by byte, never searched.
    data     json,
    constraint events_pkey primary key (channel, "offset", at)
) partition by range (at);

create index events_xid_idx on events (xid);

-- Creates the partitions of yesterday, today and the next days (UTC) and says how many were missing. Yesterday's,
-- because `at` is the start of the transaction. A table is attached and not created in place: that takes a lock
-- on `events` that lets readers and writers go on. The advisory lock is for two servers that call at once.
create function ensure_event_partitions(days_ahead integer) returns integer
    language plpgsql as
$$
declare
    today   date    := (now() at time zone 'utc')::date;
    created integer := 0;
    day     date;
    name    text;
begin
    perform pg_advisory_xact_lock(hashtextextended('ensure_event_partitions', 0));
    for ahead in -1..days_ahead loop
        day := today + ahead;
        name := 'events_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass(name) is not null;
        execute format('create table %I (like events including defaults including constraints)', name);
        execute format(
            'alter table events attach partition %I for values from (%L) to (%L)',
            name, day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc');
        created := created + 1;
    end loop;
    return created;
end
$$;

select ensure_event_partitions(7);

-- Drops what lies before `keep_from` and returns the new floor. The floor moves first: its row lock keeps writers
-- of the channel away until commit, and no reader sees a floor whose events are gone. Never moves back and never
-- beyond the head. `strict`, because `least` takes a null for "no bound" and would empty the log.
create function trim_channel(channel text, keep_from bigint) returns bigint
    language plpgsql strict as
$$
declare
    new_floor bigint;
begin
    update channel_heads h
    set floor = greatest(h.floor, least(keep_from, h.head + 1))
    where h.channel = trim_channel.channel
    returning h.floor into new_floor;

    delete from events e
    where e.channel = trim_channel.channel and e."offset" < new_floor;

    return new_floor;
end
$$;

-- One row per operation id: the insert makes a concurrent twin wait, and the stored answer is what a retry gets.
create table operations (
    user_id     uuid        not null
        constraint operations_user_id_fkey references users on delete cascade,
    op          uuid        not null,
    -- Tells a retry from another command under the same id.
    fingerprint bytea       not null,
    answer      json,
    created_at  timestamptz not null default now(),
    constraint operations_pkey primary key (user_id, op)
)
-- As many rows leave each hour as arrive; the space of the old ones is wanted soon.
with (autovacuum_vacuum_scale_factor = 0.05);

create index operations_created_at_idx on operations (created_at);
