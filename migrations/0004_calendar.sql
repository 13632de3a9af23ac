-- The calendar planner.

create table calendar_events (
    id          uuid        constraint calendar_events_pkey primary key default gen_random_uuid(),
    user_id     uuid        not null
        constraint calendar_events_user_id_fkey references users on delete cascade,
    -- The cell of the calendar as its owner sees it, hence a date and not an instant.
    event_date  date        not null,
    title       varchar(160),
    notes       text,
    starts_at   timestamptz,
    ends_at     timestamptz,
    source      varchar(20) not null default 'modal'
        constraint calendar_events_source_check check (source in ('quick', 'modal', 'import')),
    order_index integer     not null default 0,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
);

-- The shorter index counts and finds days, and stays small because equal keys share an entry; the longer one
-- hands out a day in order without a sort.
create index calendar_events_user_id_event_date_idx on calendar_events (user_id, event_date);
create index calendar_events_user_id_event_date_order_index_idx
    on calendar_events (user_id, event_date, order_index);
select keep_updated_at('calendar_events');

create table calendar_event_reminders (
    id         uuid        constraint calendar_event_reminders_pkey primary key default gen_random_uuid(),
    event_id   uuid        not null
        constraint calendar_event_reminders_event_id_fkey references calendar_events on delete cascade,
    user_id    uuid        not null
        constraint calendar_event_reminders_user_id_fkey references users on delete cascade,
    remind_at  timestamptz not null,
    -- Closed on purpose: a reminder whose delivery nobody serves would wait unsent for ever.
    delivery   varchar(16) not null default 'live'
        constraint calendar_event_reminders_delivery_check check (delivery in ('live')),
    sent_at    timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- Asking twice for the same reminder must not ring twice. Also the index of the foreign key.
    constraint calendar_event_reminders_event_id_user_id_remind_at_key
        unique (event_id, user_id, remind_at, delivery)
);

create index calendar_event_reminders_user_id_idx on calendar_event_reminders (user_id, remind_at);

-- The only question asked every second, "what is due and not yet sent?", reads an index that never holds more
-- than the future.
create index calendar_event_reminders_due_idx on calendar_event_reminders (remind_at) where sent_at is null;
select keep_updated_at('calendar_event_reminders');
