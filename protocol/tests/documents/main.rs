//! The documents in `protocol/` say what the code says: they are made from it here and compared. After a change of the
//! protocol, `make documents` writes them anew.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod asyncapi;
mod html;
mod model;
mod openapi;
mod places;
mod reads;
mod schemas;
mod typescript;
mod validate;

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use studyhall_protocol::codes::CODES;

/// Where each document belongs, and its text.
fn documents() -> Vec<(String, String)> {
    let model = model::model();
    let mut all = vec![
        ("protocol/typescript/index.d.ts".into(), typescript::typescript(&model)),
        ("protocol/typescript/package.json".into(), pretty(&typescript::package())),
        ("protocol/index.html".into(), html::html(&model)),
        ("protocol/openapi.json".into(), pretty(&openapi::openapi(&model))),
        ("protocol/asyncapi.json".into(), pretty(&asyncapi::asyncapi(&model))),
    ];
    let schemas = schemas::schemas(&model).into_iter();
    all.extend(schemas.map(|(name, schema)| (format!("protocol/schemas/{name}.json"), pretty(&schema))));
    all.push(("docs/rest.md".into(), manual()));
    all
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap() + "\n"
}

/// `docs/rest.md` with its table of codes made anew.
fn manual() -> String {
    let text = fs::read_to_string(root().join("docs/rest.md")).unwrap();
    let head = "| code | status | rpc | what happened, what to do |\n| --- | --- | --- | --- |\n";
    let (before, after) = text.split_once(head).expect("a table of codes");
    for line in after.lines().take_while(|line| line.starts_with("| `")) {
        let word = line.split('`').nth(1).unwrap();
        assert!(
            CODES.iter().any(|code| code.code == word),
            "{word} of docs/rest.md belongs into protocol/src/codes.rs"
        );
    }
    let rest = after.split_inclusive('\n').skip_while(|line| line.starts_with('|'));
    let mut table = String::new();
    for code in CODES {
        let status = code.status.map_or("–".into(), |status| status.to_string());
        let rpc: Vec<_> = code.rpc.iter().map(u32::to_string).collect();
        let rpc = if rpc.is_empty() { "–".into() } else { rpc.join(", ") };
        let _ = writeln!(table, "| `{}` | {status} | {rpc} | {} |", code.code, code.text);
    }
    format!("{before}{head}{table}{}", rest.collect::<String>())
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn write_anew() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| !value.is_empty())
}

#[test]
fn documents_say_what_the_code_says() {
    let documents = documents();
    let mut stale = Vec::new();
    for (name, text) in &documents {
        let path = root().join(name);
        if fs::read_to_string(&path).is_ok_and(|there| there == *text) {
            continue;
        }
        if write_anew() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        } else {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "{stale:?} say something else than protocol/src; run `make documents`");
    for file in fs::read_dir(root().join("protocol/schemas")).unwrap() {
        let name = format!("protocol/schemas/{}", file.unwrap().file_name().display());
        assert!(documents.iter().any(|(known, _)| *known == name), "nothing makes {name} any more");
    }
}
