-- Task lists and their tasks.

create table task_lists (
    id          uuid        constraint task_lists_pkey primary key default gen_random_uuid(),
    user_id     uuid        not null
        constraint task_lists_user_id_fkey references users on delete cascade,
    name        varchar(50) not null,
    description text,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    -- Says nothing that the primary key does not say; it is what `tasks_list_owner_fkey` points at.
    constraint task_lists_id_user_id_key unique (id, user_id)
);

create index task_lists_user_id_idx on task_lists (user_id);
select keep_updated_at('task_lists');

create table tasks (
    id           uuid        constraint tasks_pkey primary key default gen_random_uuid(),
    list_id      uuid        not null,
    -- Repeats the owner of the list, for filtering without a join.
    user_id      uuid        not null
        constraint tasks_user_id_fkey references users on delete cascade,
    description  text        not null,
    is_completed boolean     not null default false,
    completed_at timestamptz,
    due_at       timestamptz,
    order_index  integer     not null default 0,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    -- One key over both columns: the repeated owner can never be another person than the list's.
    constraint tasks_list_owner_fkey foreign key (list_id, user_id)
        references task_lists (id, user_id) on delete cascade
)
-- Ticking a task off touches no indexed column; a little room keeps it on its page.
with (fillfactor = 90);

create index tasks_list_id_order_index_idx on tasks (list_id, order_index);
create index tasks_user_id_due_at_idx on tasks (user_id, due_at);
select keep_updated_at('tasks');
