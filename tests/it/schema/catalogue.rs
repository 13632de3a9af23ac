//! What a migrated database says about itself, from `pg_catalog`.

use std::collections::BTreeMap;

use sqlx::PgPool;

pub struct Catalogue {
    pub tables: BTreeMap<String, Table>,
}

#[derive(Default)]
pub struct Table {
    pub columns: BTreeMap<String, Column>,
    pub constraints: Vec<Constraint>,
    pub indexes: Vec<Index>,
    pub triggers: Vec<String>,
}

pub struct Column {
    pub full_type: String,
    pub required: bool,
    /// The default, or `identity`.
    pub default: Option<String>,
}

pub struct Constraint {
    pub name: String,
    /// `p`, `u`, `f` or `c`.
    pub kind: String,
    pub columns: Vec<String>,
    pub target: Option<String>,
    pub target_columns: Vec<String>,
    /// `c` cascade, `n` set null, `a` no action.
    pub on_delete: String,
    pub definition: String,
}

pub struct Index {
    pub name: String,
    pub unique: bool,
    pub partial: Option<String>,
    pub keys: Vec<String>,
    pub included: Vec<String>,
}

impl Catalogue {
    pub async fn read(pool: &PgPool) -> Catalogue {
        let mut catalogue = Catalogue { tables: BTreeMap::new() };
        catalogue.read_columns(pool).await;
        catalogue.read_constraints(pool).await;
        catalogue.read_indexes(pool).await;
        let triggers: Vec<(String, String)> = sqlx::query_as(
            "select relname::text, tgname::text from pg_trigger join pg_class c on c.oid = tgrelid
             where not tgisinternal and c.relnamespace = 'public'::regnamespace",
        )
        .fetch_all(pool)
        .await
        .expect("triggers");
        for (table, name) in triggers {
            catalogue.table(table).triggers.push(name);
        }
        catalogue
    }

    fn table(&mut self, name: String) -> &mut Table {
        self.tables.entry(name).or_default()
    }

    async fn read_columns(&mut self, pool: &PgPool) {
        let rows: Vec<(String, String, String, bool, Option<String>)> = sqlx::query_as(
            "select relname::text, attname::text, format_type(atttypid, atttypmod), attnotnull,
                 case when attidentity <> '' then 'identity' else pg_get_expr(adbin, adrelid) end
             from pg_attribute a
             join pg_class c on c.oid = attrelid
             left join pg_attrdef on adrelid = attrelid and adnum = attnum
             where relkind in ('r', 'p') and not relispartition and attnum > 0 and not attisdropped
                 and relnamespace = 'public'::regnamespace and relname <> '_sqlx_migrations'",
        )
        .fetch_all(pool)
        .await
        .expect("columns");
        for (table, name, full_type, required, default) in rows {
            self.table(table).columns.insert(name, Column { full_type, required, default });
        }
    }

    async fn read_constraints(&mut self, pool: &PgPool) {
        type Row = (String, String, String, Vec<String>, Option<String>, Vec<String>, String, String);
        let rows: Vec<Row> = sqlx::query_as(
            "select c.relname::text, conname::text, contype::text,
                 array(select attname::text from unnest(conkey) with ordinality k (num, pos)
                       join pg_attribute on attrelid = conrelid and attnum = num order by pos),
                 t.relname::text,
                 array(select attname::text from unnest(confkey) with ordinality k (num, pos)
                       join pg_attribute on attrelid = confrelid and attnum = num order by pos),
                 confdeltype::text, pg_get_constraintdef(o.oid)
             from pg_constraint o
             join pg_class c on c.oid = conrelid
             left join pg_class t on t.oid = confrelid
             where not c.relispartition and c.relnamespace = 'public'::regnamespace
                 and c.relname <> '_sqlx_migrations'",
        )
        .fetch_all(pool)
        .await
        .expect("constraints");
        for (table, name, kind, columns, target, target_columns, on_delete, definition) in rows {
            let constraint = Constraint { name, kind, columns, target, target_columns, on_delete, definition };
            self.table(table).constraints.push(constraint);
        }
    }

    async fn read_indexes(&mut self, pool: &PgPool) {
        type Row = (String, String, bool, Option<String>, Vec<String>, Vec<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "select t.relname::text, c.relname::text, indisunique, pg_get_expr(indpred, indrelid),
                 array(select pg_get_indexdef(indexrelid, n, true) from generate_series(1, indnkeyatts) n order by n),
                 array(select pg_get_indexdef(indexrelid, n, true)
                       from generate_series(indnkeyatts + 1, indnatts) n order by n)
             from pg_index
             join pg_class c on c.oid = indexrelid
             join pg_class t on t.oid = indrelid
             join pg_am am on am.oid = c.relam
             where amname = 'btree' and indisvalid and not t.relispartition
                 and t.relnamespace = 'public'::regnamespace and t.relname <> '_sqlx_migrations'",
        )
        .fetch_all(pool)
        .await
        .expect("indexes");
        for (table, name, unique, partial, keys, included) in rows {
            let unquoted = |keys: Vec<String>| keys.iter().map(|key| key.replace('"', "")).collect();
            let (keys, included) = (unquoted(keys), unquoted(included));
            self.table(table).indexes.push(Index { name, unique, partial, keys, included });
        }
    }
}

impl Table {
    pub fn foreign_key(&self, column: &str, target: &(String, String)) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| {
            constraint.kind == "f"
                && constraint.target.as_deref() == Some(&target.0)
                && constraint
                    .columns
                    .iter()
                    .zip(&constraint.target_columns)
                    .any(|pair| pair == (&column.to_owned(), &target.1))
        })
    }

    /// An index that finds the rows with a given value: it begins with the column, and leaves out nulls at most.
    pub fn is_indexed(&self, column: &str) -> bool {
        let all_but_nulls = format!("({column} IS NOT NULL)");
        self.indexes.iter().any(|index| {
            index.keys[0] == column && index.partial.as_ref().is_none_or(|partial| *partial == all_but_nulls)
        })
    }

    /// Unique as it stands or, for one column of text, without regard to case.
    pub fn is_unique(&self, columns: &[String]) -> bool {
        let caseless = [format!("lower({}::text)", columns[0])];
        self.indexes.iter().any(|index| {
            index.unique
                && index.partial.is_none()
                && (index.keys == columns || (columns.len() == 1 && index.keys == caseless))
        })
    }

    pub fn check_on(&self, column: &str, contains: &str) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| {
            constraint.kind == "c" && constraint.columns == [column] && constraint.definition.contains(contains)
        })
    }
}
