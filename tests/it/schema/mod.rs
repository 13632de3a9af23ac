//! The database is what the documents say: `docs/seed-schema.md` and `docs/schema.md` against a migrated one.

mod behaviour;
mod catalogue;
mod document;

use catalogue::Catalogue;

const SEED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/seed-schema.md"));
const OURS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema.md"));

/// The indexes that the prose of the documents asks for: table, first keys, a word of the predicate.
const INDEXES: &[(&str, &[&str], &str)] = &[
    ("post_comments", &["post_id", "created_at", "id"], ""),
    ("calendar_events", &["user_id", "event_date"], ""),
    ("calendar_events", &["user_id", "event_date", "order_index"], ""),
    ("immersive_widgets", &["workspace_id", "grid_y", "grid_x"], ""),
    ("assignments", &["user_id", "timeframe"], ""),
    ("assignments", &["user_id", "due_at"], ""),
    ("progress_metrics", &["user_id", "scope", "captured_at"], ""),
    ("calendar_event_reminders", &["user_id", "remind_at"], ""),
    ("calendar_event_reminders", &["remind_at"], "sent_at IS NULL"),
    ("calendar_event_reminders", &["user_id", "remind_at"], "sent_at IS NULL"),
    ("notifications", &["user_id", "updated_at", "id"], ""),
    ("attachments", &["user_id", "sha256"], ""),
    ("audit_logs", &["actor_id", "id"], ""),
    ("sign_ins", &["user_id"], "ended_at IS NULL"),
    ("sign_ins", &["expires_at"], "ended_at IS NULL"),
    ("widget_drags", &["closed_at"], ""),
    ("events", &["xid"], ""),
    ("operations", &["created_at"], ""),
    // "Frequently filtered": the feed, a person's posts, discovery by tag, the search for people, a list in order.
    ("posts", &["created_at", "id"], ""),
    ("posts", &["user_id", "created_at", "id"], ""),
    ("post_tags", &["lower(tag::text)", "post_id"], ""),
    ("posts", &["lower(subject::text)", "created_at", "id"], "subject IS NOT NULL"),
    ("post_likes", &["post_id", "created_at", "user_id"], ""),
    ("post_likes", &["user_id", "created_at", "post_id"], ""),
    ("user_tags", &["user_id", "lower(tag::text)"], ""),
    ("user_tags", &["lower(tag::text)", "created_at", "user_id"], ""),
    ("assignment_turns", &["turns_at"], ""),
    ("users", &["lower(full_name::text)"], ""),
    ("tasks", &["list_id", "order_index"], ""),
    ("tasks", &["user_id", "due_at"], ""),
];

/// Where the seed names a default in words.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("user_settings", "timezone", "'UTC'::character varying"),
    ("progress_metrics", "target_value", "100"),
    ("notifications", "count", "1"),
    ("channel_heads", "head", "0"),
    ("channel_heads", "floor", "1"),
    ("events", "xid", "pg_current_xact_id()"),
    ("log_epoch", "singleton", "true"),
];

#[tokio::test]
async fn the_seed_has_24_tables_and_all_of_them_exist() {
    let db = crate::harness::database().await;
    let live = Catalogue::read(&db.pool).await;
    let (seed, ours) = (document::tables(SEED), document::tables(OURS));

    assert_eq!(seed.len(), 24);
    let without_columns: Vec<&str> =
        seed.iter().filter(|table| table.columns.is_empty()).map(|table| table.name.as_str()).collect();
    assert_eq!(without_columns, ["calendar_event_reminders", "attachments", "audit_logs"]);
    for name in without_columns {
        assert!(ours.iter().any(|table| table.name == name), "docs/schema.md does not specify {name}");
    }

    let mut documented: Vec<&str> = seed.iter().chain(&ours).map(|table| table.name.as_str()).collect();
    documented.sort_unstable();
    documented.dedup();
    let existing: Vec<&str> = live.tables.keys().map(String::as_str).collect();
    assert_eq!(existing, documented, "every table is in a document, and the other way round");
}

#[tokio::test]
async fn every_column_is_what_the_documents_say() {
    let db = crate::harness::database().await;
    let live = Catalogue::read(&db.pool).await;

    let mut differences = Vec::new();
    for table in document::tables(SEED).iter().filter(|table| !table.columns.is_empty()) {
        compare(table, &live.tables[&table.name], &mut differences);
    }
    for table in &document::tables(OURS) {
        compare(table, &live.tables[&table.name], &mut differences);
        // What is not optional is required: the seed leaves that open, our own document does not.
        for column in table.columns.iter().filter(|column| !column.optional && !column.survives_parent) {
            let found = live.tables[&table.name].columns.get(&column.name);
            if found.is_some_and(|found| !found.required) {
                differences.push(format!("{}.{} is nullable", table.name, column.name));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn compare(expected: &document::Table, found: &catalogue::Table, differences: &mut Vec<String>) {
    let name = &expected.name;
    for column in found.columns.keys() {
        if !expected.columns.iter().any(|expected| expected.name == *column) {
            differences.push(format!("{name}.{column} is in no document"));
        }
    }
    for column in &expected.columns {
        let Some(live) = found.columns.get(&column.name) else {
            differences.push(format!("{name}.{} is missing", column.name));
            continue;
        };
        let is_key = expected.primary_key.contains(&column.name);
        let mut faults = value_faults(column, is_key, live, found);
        faults.extend(reference_faults(column, found));
        differences.extend(faults.into_iter().map(|fault| format!("{name}.{}: {fault}", column.name)));
    }
    let primary_key = found.constraints.iter().find(|constraint| constraint.kind == "p");
    if primary_key.map(|key| &key.columns) != Some(&expected.primary_key) {
        differences.push(format!("{name}: the primary key is not {:?}", expected.primary_key));
    }
    for columns in &expected.unique {
        if !found.is_unique(columns) {
            differences.push(format!("{name}: {columns:?} is not unique"));
        }
    }
    if found.columns.contains_key("updated_at") && !found.triggers.iter().any(|name| name == "set_updated_at") {
        differences.push(format!("{name}: nothing keeps updated_at"));
    }
}

/// Type, null, default and checks of one column.
fn value_faults(
    column: &document::Column,
    is_key: bool,
    live: &catalogue::Column,
    table: &catalogue::Table,
) -> Vec<String> {
    let mut faults = Vec::new();
    if live.full_type != column.full_type() {
        faults.push(format!("is {}, not {}", live.full_type, column.full_type()));
    }
    let optional = column.optional || column.survives_parent;
    if optional && live.required {
        faults.push("is optional in the document".to_owned());
    }
    if column.references.is_some() && !optional && !live.required {
        faults.push("is a foreign key without a parent".to_owned());
    }
    let mut demand = |wanted: &str| {
        if !live.required || live.default.as_deref() != Some(wanted) {
            faults.push(format!("is not `not null default {wanted}`, but {:?}", live.default));
        }
    };
    match (column.name.as_str(), column.sql_type) {
        ("id", "uuid") => demand("gen_random_uuid()"),
        ("id", _) => demand("identity"),
        ("created_at" | "updated_at", _) => demand("now()"),
        (_, "boolean") if !is_key => demand("false"),
        (_, "jsonb") => demand("'{}'::jsonb"),
        _ if column.counter => demand("0"),
        _ => {}
    }
    if column.counter && table.check_on(&column.name, ">= 0").is_none() {
        faults.push("may become negative".to_owned());
    }
    if column.sql_type == "jsonb" && table.check_on(&column.name, "= 'object'").is_none() {
        faults.push("need not be an object".to_owned());
    }
    let mut listed = column.values.clone();
    listed.sort_unstable();
    let check = table.check_on(&column.name, "= ANY (").or_else(|| table.check_on(&column.name, "::text = '"));
    let mut checked: Vec<String> = check
        .map(|check| check.definition.split('\'').skip(1).step_by(2).map(str::to_owned).collect())
        .unwrap_or_default();
    checked.sort_unstable();
    if listed != checked {
        faults.push(format!("takes {checked:?}, not {listed:?}"));
    }
    faults
}

fn reference_faults(column: &document::Column, table: &catalogue::Table) -> Vec<String> {
    let Some(target) = &column.references else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    match table.foreign_key(&column.name, target) {
        None => faults.push(format!("does not reference {}.{}", target.0, target.1)),
        Some(key) => {
            let wanted = if column.survives_parent { "n" } else { "c" };
            if key.on_delete != wanted {
                faults.push(format!("on delete is {}, not {wanted}", key.on_delete));
            }
        }
    }
    if !table.is_indexed(&column.name) {
        faults.push("is a foreign key without an index".to_owned());
    }
    faults
}

#[tokio::test]
async fn every_index_and_default_that_the_prose_asks_for_exists() {
    let db = crate::harness::database().await;
    let live = Catalogue::read(&db.pool).await;

    for (table, keys, predicate) in INDEXES {
        let found = live.tables[*table].indexes.iter().any(|index| {
            let partial = index.partial.as_deref().unwrap_or("");
            index.keys == *keys && partial.trim_matches(['(', ')']) == *predicate
        });
        assert!(found, "no index on {table} ({}) {predicate}", keys.join(", "));
    }
    for (table, column, default) in DEFAULTS {
        assert_eq!(live.tables[*table].columns[*column].default.as_deref(), Some(*default), "{table}.{column}");
    }
}

#[tokio::test]
async fn both_directions_of_follows_are_covered() {
    let db = crate::harness::database().await;
    let live = Catalogue::read(&db.pool).await;

    for (found_by, answer) in [("followee_id", "follower_id"), ("follower_id", "followee_id")] {
        let covering = live.tables["follows"].indexes.iter().any(|index| {
            index.keys[0] == found_by && index.partial.is_none() && index.included.iter().any(|column| column == answer)
        });
        assert!(covering, "no index on follows ({found_by}) includes {answer}");
    }
}

#[tokio::test]
async fn every_constraint_and_index_is_called_after_its_table() {
    let db = crate::harness::database().await;
    let live = Catalogue::read(&db.pool).await;

    for (table, found) in &live.tables {
        for constraint in &found.constraints {
            let suffix = match constraint.kind.as_str() {
                "p" => "_pkey",
                "u" => "_key",
                "f" => "_fkey",
                "c" => "_check",
                kind => panic!("{} is of the unknown kind {kind}", constraint.name),
            };
            let name = constraint.name.strip_prefix(table.as_str()).unwrap_or_default();
            assert!(name.ends_with(suffix), "{} on {table} should end in {suffix}", constraint.name);
        }
        for index in &found.indexes {
            // Twins tell of a name that PostgreSQL made up because the one it wanted was taken.
            assert!(index.name.starts_with(table.as_str()), "{} is an index of {table}", index.name);
            assert!(!index.name.ends_with(|last: char| last.is_ascii_digit()), "{}", index.name);
        }
    }
}
