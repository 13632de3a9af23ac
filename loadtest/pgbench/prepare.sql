-- People with one task each, for `tick.sql`: client `n` of pgbench acts as person `n`. Running it again changes nothing.
insert into users (id, username)
select ('00000000-0000-4000-a000-' || lpad(n::text, 12, '0'))::uuid, 'pgbench-' || n
from generate_series(0, 255) n
on conflict do nothing;
insert into presence_settings (user_id)
select id from users where username like 'pgbench-%'
on conflict do nothing;
insert into task_lists (id, user_id, name)
select id, id, 'pgbench' from users where username like 'pgbench-%'
on conflict do nothing;
insert into tasks (id, list_id, user_id, description)
select id, id, id, 'Tick me' from users where username like 'pgbench-%'
on conflict do nothing;
insert into channel_heads (channel)
select 'user:' || id from users where username like 'pgbench-%'
on conflict do nothing;
