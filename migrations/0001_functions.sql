-- What the tables of the later migrations share.
--
-- SQL in this project is lower case: editors colour the keywords, nobody has to shout. Every constraint has a
-- name chosen on purpose, because the server turns the name of a violated constraint into an answer that a
-- person understands.

-- `updated_at` belongs to the database: no statement can forget it. `now()` is the start of the transaction, and
-- a transaction that waited for a lock started before the one that it waited for; `greatest` keeps the column
-- from going backwards then.
create function set_updated_at() returns trigger
    language plpgsql as
$$
begin
    new.updated_at := greatest(old.updated_at, now());
    return new;
end
$$;

-- The condition is part of the trigger so that an update that changes nothing costs no function call and leaves
-- `updated_at` alone.
create function keep_updated_at(target regclass) returns void
    language plpgsql as
$$
begin
    execute format(
        'create trigger set_updated_at before update on %s
            for each row when (old.* is distinct from new.*) execute function set_updated_at()',
        target);
end
$$;
