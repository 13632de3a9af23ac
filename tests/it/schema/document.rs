//! Reads the tables out of the Markdown of `docs/seed-schema.md` and `docs/schema.md`.
//!
//! Strict on purpose: a word in a type that this parser does not know is a panic, because a promise that is
//! skipped in silence is a promise that nothing tests.

/// One `### \`table\`` section. A section without a Markdown table has no columns.
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    /// Of the rows `**PK**`, or the one column whose type says `PK`.
    pub primary_key: Vec<String>,
    /// Of the rows `**Constraint**`, and of each column whose type says `UNIQUE`.
    pub unique: Vec<Vec<String>>,
}

pub struct Column {
    pub name: String,
    /// As `format_type` of PostgreSQL spells it.
    pub sql_type: &'static str,
    pub length: Option<u16>,
    pub references: Option<(String, String)>,
    /// Says `NULLABLE`: null once the parent is gone.
    pub survives_parent: bool,
    pub optional: bool,
    /// A count of rows of another table, cached here.
    pub counter: bool,
    /// The values of a list that the notes close.
    pub values: Vec<String>,
}

impl Column {
    pub fn full_type(&self) -> String {
        match self.length {
            Some(length) => format!("{}({length})", self.sql_type),
            None => self.sql_type.to_owned(),
        }
    }
}

pub fn tables(markdown: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        if line.starts_with('#') {
            inside = line.starts_with("### `");
            if inside {
                tables.push(Table {
                    name: quoted(line).remove(0),
                    columns: Vec::new(),
                    primary_key: Vec::new(),
                    unique: Vec::new(),
                });
            }
        } else if inside && line.starts_with('|') {
            let table = tables.last_mut().expect("a row stands under a heading");
            let cells: Vec<&str> = line.split('|').skip(1).map(str::trim).collect();
            table.add(cells[0], cells[1], cells.get(2).copied().unwrap_or(""));
        }
    }
    tables
}

impl Table {
    fn add(&mut self, name: &str, kind: &str, notes: &str) {
        match name {
            "column" | "---" => {}
            "timestamps" => {
                self.add("`created_at`", kind, notes);
                self.add("`updated_at`", kind, notes);
            }
            "**PK**" => self.primary_key = quoted(kind),
            "**Constraint**" => {
                let columns = kind.split(['(', ')']).nth(1).expect("a list of columns in parentheses");
                assert!(kind.ends_with("unique"), "{}: unknown constraint {kind}", self.name);
                self.unique.push(columns.split(", ").map(str::to_owned).collect());
            }
            _ => {
                let column = quoted(name).pop().unwrap_or_else(|| panic!("{}: unknown row {name}", self.name));
                self.add_column(column, kind, notes);
            }
        }
    }

    fn add_column(&mut self, name: String, kind: &str, notes: &str) {
        let mut words = kind.split(' ');
        let (sql_type, length) = sql_type(words.next().expect("a type"));
        let mut column = Column {
            name: name.clone(),
            sql_type,
            length,
            references: None,
            survives_parent: false,
            optional: notes.starts_with("Optional"),
            counter: notes.starts_with("Cached aggregate") || notes.starts_with("Derived from"),
            values: closed_list(notes),
        };
        while let Some(word) = words.next() {
            match word {
                "PK" | "PK/FK" => self.primary_key = vec![name.clone()],
                "FK" => {}
                "->" => {
                    let target = words.next().expect("a target after the arrow");
                    let (table, key) = target.split_once('.').expect("a target is table.column");
                    column.references = Some((table.to_owned(), key.to_owned()));
                }
                "UNIQUE" => self.unique.push(vec![name.clone()]),
                "NULLABLE" => column.survives_parent = true,
                _ => panic!("{}.{name}: unknown word {word} in the type", self.name),
            }
        }
        assert_eq!(kind.contains("FK"), column.references.is_some(), "{}.{name}: {kind}", self.name);
        self.columns.push(column);
    }
}

fn sql_type(word: &str) -> (&'static str, Option<u16>) {
    if let Some(length) = word.strip_prefix("VARCHAR(").and_then(|rest| rest.strip_suffix(')')) {
        return ("character varying", Some(length.parse().expect("a length is a number")));
    }
    let name = match word {
        "UUID" => "uuid",
        "TEXT" => "text",
        "DATE" => "date",
        "INTEGER" => "integer",
        "BIGINT" => "bigint",
        "BOOLEAN" => "boolean",
        "JSONB" => "jsonb",
        "JSON" => "json",
        "BYTEA" => "bytea",
        "INET" => "inet",
        "XID8" => "xid8",
        "TIMESTAMP" => "timestamp with time zone",
        _ => panic!("unknown type {word}"),
    };
    (name, None)
}

/// ``Enum: `a`, `b`.`` or just `` `a`, `b`. `` is closed; a list with any other word ("e.g.", "etc.") is not.
fn closed_list(notes: &str) -> Vec<String> {
    let list = notes.strip_prefix("Optional. ").unwrap_or(notes);
    let list = list.strip_prefix("Enum: ").unwrap_or(list);
    let Some(list) = list.strip_suffix('.') else {
        return Vec::new();
    };
    let value = |item: &str| Some(item.strip_prefix('`')?.strip_suffix('`')?.to_owned());
    list.split(", ").map(value).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// Everything between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
