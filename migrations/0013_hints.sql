-- What nodes tell each other over Redis is signed with a key that only who can read this database has: Redis is shared
-- ground. gen_random_uuid() draws from a strong source; two of them are 244 random bits.
alter table log_epoch add column hint_key bytea not null
    default decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
    constraint log_epoch_hint_key_check check (octet_length(hint_key) = 32);
