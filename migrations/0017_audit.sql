-- Every command writes a row here: two small trees beside the key are what that may cost.

-- Whoever is the subject reads what others did to them, but not who follows or blocks them; nothing else is asked about
-- subjects.
create index audit_logs_subject_user_idx on audit_logs (subject_id, id)
    where subject_type = 'user' and subject_id is not null and action not like 'user.%';
drop index audit_logs_subject_idx;

-- Newest first, as it is read: the number is the order.
create index audit_logs_actor_id_idx on audit_logs (actor_id, id);
drop index audit_logs_actor_id_created_at_idx;

-- Rows lie in the order of their time: a note about each block finds those that are old enough to go.
create index audit_logs_created_at_brin_idx on audit_logs using brin (created_at) with (pages_per_range = 16);
drop index audit_logs_created_at_idx;
