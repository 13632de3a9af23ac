-- Rooms: what hangs in them, who is in them, and which drags are over.

create table immersive_workspaces (
    id               uuid        constraint immersive_workspaces_pkey primary key default gen_random_uuid(),
    user_id          uuid        not null
        constraint immersive_workspaces_user_id_fkey references users on delete cascade,
    name             varchar(80) not null,
    background_type  varchar(16) not null default 'color'
        constraint immersive_workspaces_background_type_check
            check (background_type in ('image', 'video', 'color')),
    background_value text,
    background_color varchar(9),
    settings         jsonb       not null default '{}'
        constraint immersive_workspaces_settings_check check (jsonb_typeof(settings) = 'object'),
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now()
);

create index immersive_workspaces_user_id_idx on immersive_workspaces (user_id);
select keep_updated_at('immersive_workspaces');

create table immersive_widgets (
    id           uuid        constraint immersive_widgets_pkey primary key default gen_random_uuid(),
    workspace_id uuid        not null
        constraint immersive_widgets_workspace_id_fkey references immersive_workspaces on delete cascade,
    type         varchar(32) not null,
    title_key    varchar(120),
    title        varchar(120),
    grid_x       integer     not null default 0,
    grid_y       integer     not null default 0,
    grid_w       integer     not null default 1
        constraint immersive_widgets_grid_w_check check (grid_w > 0),
    grid_h       integer     not null default 1
        constraint immersive_widgets_grid_h_check check (grid_h > 0),
    settings     jsonb       not null default '{}'
        constraint immersive_widgets_settings_check check (jsonb_typeof(settings) = 'object'),
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now()
)
-- Every drop moves the widget in the index of the layout, so no room on the page spares that write; what helps is
-- a vacuum that comes before the dead entries outnumber the widgets.
with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);

create index immersive_widgets_layout_idx on immersive_widgets (workspace_id, grid_y, grid_x);
select keep_updated_at('immersive_widgets');

create table workspace_members (
    workspace_id uuid        not null
        constraint workspace_members_workspace_id_fkey references immersive_workspaces on delete cascade,
    user_id      uuid        not null
        constraint workspace_members_user_id_fkey references users on delete cascade,
    role         text        not null
        constraint workspace_members_role_check check (role in ('owner', 'member')),
    created_at   timestamptz not null default now(),
    constraint workspace_members_pkey primary key (workspace_id, user_id)
);

create index workspace_members_user_id_idx on workspace_members (user_id);

-- Drags that are over. When a dragger vanishes, each node that notices tries to insert the drag here in the
-- transaction that commits it, and the primary key lets one of them through.
create table widget_drags (
    drag_id      uuid        constraint widget_drags_pkey primary key,
    workspace_id uuid        not null
        constraint widget_drags_workspace_id_fkey references immersive_workspaces on delete cascade,
    -- No foreign key: a drag stays closed when its widget is deleted.
    widget_id    uuid        not null,
    closed_at    timestamptz not null default now()
);

create index widget_drags_workspace_id_idx on widget_drags (workspace_id);
-- For the sweep of drags that are too old to be heard of again.
create index widget_drags_closed_at_idx on widget_drags (closed_at);
