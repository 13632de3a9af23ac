//! The house stays as `docs/ARCHITECTURE.md` draws it: a test that reads `src/`.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom; a module imports its own layer and those below.
const LAYERS: &[(&str, u8)] = &[
    ("config", 0),
    ("check", 0),
    ("live", 1),
    ("error", 1),
    ("dev", 1),
    ("db", 2),
    ("cluster", 2),
    ("storage", 2),
    ("auth", 3),
    ("http", 3),
    ("domain", 4),
    ("app", 5),
    ("cli", 6),
    ("main", 7),
    ("lib", 7),
];

/// What only some places may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("sqlx::query", &["db/", "auth/", "/sql.rs", "sql/"]),
    ("std::env::var", &[]),
    ("redis::", &["cluster/"]),
    ("object_store::", &["storage/"]),
    // sqlx leaves a connection inside a transaction when this is cancelled; see `db::Session`.
    ("pool().begin", &[]),
    (".begin_with(", &[]),
    ("unbounded_channel", &[]),
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

fn sources(under: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(under);
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(!found.is_empty());
    found.iter_mut().for_each(|(path, _)| *path = path.strip_prefix(&root).unwrap().to_owned());
    found
}

/// The code without its unit tests and comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn layer(module: &str) -> u8 {
    let found = LAYERS.iter().find(|(name, _)| *name == module);
    found.unwrap_or_else(|| panic!("{module} has no layer: give it one here and in docs/ARCHITECTURE.md")).1
}

#[test]
fn imports_go_down() {
    for (path, text) in sources("src") {
        let module = path.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let own = layer(&module);
        for import in code(&text).split("crate::").skip(1) {
            let names: Vec<String> = match import.strip_prefix('{') {
                // `use crate::{a::…, b}` would hide names from this test.
                Some(_) => panic!("{}: import modules of the crate one by one", path.display()),
                None => vec![import.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()],
            };
            for name in names.iter().filter(|name| LAYERS.iter().any(|(known, _)| known == name)) {
                assert!(layer(name) <= own, "{}: {module} must not know {name}", path.display());
            }
        }
    }
}

#[test]
fn the_engine_knows_no_domain_and_no_store() {
    for (path, text) in sources("src/live") {
        for word in ["sqlx", "crate::db", "crate::domain", "redis", "task_list", "immersive"] {
            assert!(!code(&text).contains(word), "live/{} names {word}", path.display());
        }
    }
}

#[test]
fn the_checker_is_a_stranger() {
    for (path, text) in sources("src/check") {
        for import in code(&text).split("crate::").skip(1) {
            assert!(import.starts_with("check"), "check/{} names another module of the server", path.display());
        }
        for word in ["sqlx", "axum", "studyhall::"] {
            assert!(!code(&text).contains(word), "check/{} names {word}", path.display());
        }
    }
}

#[test]
fn the_protocol_and_the_load_tester_know_no_server() {
    for (under, words) in [
        ("protocol/src", ["studyhall::", "axum", "tokio", "sqlx"].as_slice()),
        ("loadtest/src", ["studyhall::", "sqlx", "axum"].as_slice()),
    ] {
        for (path, text) in sources(under) {
            for word in words {
                let named = code(&text).match_indices(word).any(|(at, _)| !code(&text)[..at].ends_with('_'));
                assert!(!named, "{under}/{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn reserved_words_stay_in_their_rooms() {
    for (path, text) in sources("src") {
        let path = path.to_str().unwrap();
        for (word, rooms) in RESERVED {
            let allowed = rooms.iter().any(|room| path.starts_with(room) || path.contains(room));
            let at_home = (*word == "redis::" && path.starts_with("dev/"))
                // The seed of a test is no setting of the product.
                || (*word == "std::env::var" && path.contains("/tests/"));
            assert!(allowed || at_home || !code(&text).contains(word), "{path} names {word}");
        }
    }
}

#[test]
fn files_and_functions_are_short() {
    for under in ["src", "protocol/src", "loadtest/src", "tests/it"] {
        for (path, text) in sources(under) {
            let lines = text.lines().count();
            assert!(lines <= FILE_LINES_MAX, "{under}/{} has {lines} lines", path.display());
            let mut start = None;
            for (number, line) in text.lines().enumerate() {
                let indent = line.len() - line.trim_start().len();
                let trimmed = line.trim_start();
                let begins = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(super) fn ", "pub(super) async fn "];
                if begins.iter().any(|begin| trimmed.starts_with(begin)) && !trimmed.ends_with(';') {
                    start = Some((number, indent));
                }
                if let Some((began, depth)) = start
                    && trimmed == "}"
                    && indent == depth
                {
                    let length = number - began + 1;
                    assert!(
                        length <= FUNCTION_LINES_MAX,
                        "{under}/{}:{} has {length} lines",
                        path.display(),
                        began + 1
                    );
                    start = None;
                }
            }
        }
    }
}
