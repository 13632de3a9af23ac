-- The floor of a durable command: one committed statement that writes the operation, the head of the channel, the row
-- and the event. Rights, retries and the answer that a client reads are left out.
with head as (
    update channel_heads set head = head + 1
    where channel = 'user:00000000-0000-4000-a000-' || lpad((:client_id)::text, 12, '0')
    returning channel, head
), ticked as (
    update tasks t
    set is_completed = not t.is_completed, completed_at = case when not t.is_completed then now() end
    from head
    where t.id = ('00000000-0000-4000-a000-' || lpad((:client_id)::text, 12, '0'))::uuid
    returning t.*
), event as (
    insert into events (channel, "offset", type, actor, op, data)
    select h.channel, h.head, 'task.updated', t.user_id, gen_random_uuid(), to_json(t) from head h, ticked t
    returning actor, op, data
)
insert into operations (user_id, op, fingerprint, answer)
select actor, op, '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', data from event;
