-- How people prove who they are. Apart from `users`, so that no query for a profile can leak any of it.

create table credentials (
    user_id       uuid        constraint credentials_pkey primary key
        constraint credentials_user_id_fkey references users on delete cascade,
    password_hash text        not null,
    -- Set while the account is disabled.
    disabled_at   timestamptz,
    updated_at    timestamptz not null default now()
);

select keep_updated_at('credentials');

create table sign_ins (
    id         uuid        constraint sign_ins_pkey primary key default gen_random_uuid(),
    user_id    uuid        not null
        constraint sign_ins_user_id_fkey references users on delete cascade,
    -- Only a hash: whoever reads the database cannot sign in with what they find.
    token_hash bytea       not null
        constraint sign_ins_token_hash_key unique,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at   timestamptz,
    end_reason text
        constraint sign_ins_end_reason_check
            check (end_reason in ('signed_out', 'password_changed', 'disabled', 'expired')),
    constraint sign_ins_ended_check check ((ended_at is null) = (end_reason is null))
);

create index sign_ins_user_id_idx on sign_ins (user_id);

-- A password change ends every live sign-in of a person, a sweep ends those that ran out. Ended ones, the great
-- majority after a while, are in neither index.
create index sign_ins_live_user_id_idx on sign_ins (user_id) where ended_at is null;
create index sign_ins_live_expires_at_idx on sign_ins (expires_at) where ended_at is null;

-- Failed guesses per account name, in a window. By name and not by person: a name that nobody has must slow a
-- guesser down just the same, or the difference would tell which names exist.
create table sign_in_attempts (
    account           text        constraint sign_in_attempts_pkey primary key,
    failures          integer     not null default 0
        constraint sign_in_attempts_failures_check check (failures >= 0),
    window_started_at timestamptz not null default now()
)
-- Under attack one row is updated over and over; with room on the page, and no second index, that stays cheap.
with (fillfactor = 70);
