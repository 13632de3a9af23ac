-- People who asked to be erased and are still being taken apart: others have rows of theirs, counts and events.

create table erasures (
    user_id    uuid        constraint erasures_pkey primary key
        constraint erasures_user_id_fkey references users on delete cascade,
    asked_at   timestamptz not null default now(),
    -- Until then one node works on it; should it vanish, another one goes on.
    busy_until timestamptz not null default '-infinity'
);

alter table sign_ins drop constraint sign_ins_end_reason_check;
alter table sign_ins add constraint sign_ins_end_reason_check
    check (end_reason in ('signed_out', 'password_changed', 'disabled', 'expired', 'erased'));
