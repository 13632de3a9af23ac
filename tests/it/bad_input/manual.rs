//! `docs/rest.md` says everything: every route, every code; and every code is in some test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use studyhall_protocol::routes::ROUTES;

/// Codes that only a broken store or a mistake of ours brings out; faults are injected elsewhere.
const FAULTS: &[&str] = &["internal", "unavailable", "commit_unknown", "shutting_down"];

/// Fields, and `drag_closed`: statements take care that this constraint is never violated.
const NO_CODES: &[&str] = &["after_id", "course_id", "list_id", "user_id", "user_ids", "file_name", "drag_closed"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn manual() -> String {
    fs::read_to_string(root().join("docs/rest.md")).unwrap()
}

/// Method and path of every route.
fn routes() -> Vec<(String, String)> {
    let mut routes = Vec::new();
    for (path, text) in sources(&root().join("src/domain")) {
        if !path.ends_with("routes.rs") {
            continue;
        }
        let router = text.split(".route(").skip(1).map(|route| {
            // The last one goes on to the end of the function.
            route.split("\n}").next().unwrap()
        });
        for route in router {
            let at = route.split('"').nth(1).unwrap().to_owned();
            for method in ["get", "post", "put", "patch", "delete"] {
                let call = format!("{method}(");
                let named = route
                    .match_indices(&call)
                    .any(|(at, _)| !route[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
                if named {
                    routes.push((method.to_uppercase(), at.clone()));
                }
            }
        }
    }
    routes
}

#[test]
fn every_route_is_described() {
    let (manual, routes) = (manual(), routes());
    assert!(routes.len() >= 33, "{}", routes.len());
    for (method, path) in &routes {
        assert!(manual.contains(&format!("### `{method} {path}`")), "docs/rest.md does not describe {method} {path}");
    }
    for heading in manual.lines().filter_map(|line| line.strip_prefix("### `")) {
        let (method, path) = heading.trim_end_matches('`').split_once(' ').unwrap();
        let known = routes.iter().any(|route| *route == (method.to_owned(), path.to_owned()));
        assert!(known || path.starts_with("/livez") || path.starts_with("/readyz"), "{heading} does not exist");
    }
}

#[test]
fn every_route_is_in_the_table_of_the_protocol() {
    let served: BTreeSet<_> = routes().into_iter().collect();
    let described: BTreeSet<_> = ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    let undescribed: Vec<_> = served.difference(&described).collect();
    assert!(undescribed.is_empty(), "protocol/src/routes/table.rs does not have {undescribed:?}");
    let unserved: Vec<_> = described.difference(&served).collect();
    assert!(unserved.is_empty(), "no router has {unserved:?} of protocol/src/routes/table.rs");
}

/// The first column of the tables of codes.
fn documented() -> BTreeSet<String> {
    let manual = manual();
    let tables = manual.split("## Codes").nth(1).expect("a chapter on codes");
    let rows = tables.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

#[test]
fn every_code_is_described() {
    let documented = documented();
    let word = |text: &str| text.len() > 3 && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let mut missing = BTreeSet::new();
    for folder in ["src/error", "src/http", "src/auth", "src/domain", "src/app", "src/db", "src/live"] {
        for (path, text) in sources(&root().join(folder)) {
            let code = text.split("#[cfg(test)]").next().unwrap();
            for maker in [
                "conflict(",
                "forbidden(",
                "bad_request(",
                "too_many(",
                "unavailable(",
                "Error::status(",
                "Self::status(",
                "Violation::new(",
                "Error::new(",
            ] {
                for call in code.split(maker).skip(1) {
                    // The word is among the first arguments, or the first of a wire error's text.
                    let arguments: String = call.chars().take(160).collect();
                    let words = arguments
                        .split('"')
                        .skip(1)
                        .step_by(2)
                        .take(1)
                        .map(|text| text.split(':').next().unwrap().to_owned());
                    for found in words.filter(|text| word(text) && text.contains('_')) {
                        if !documented.contains(&found) && !NO_CODES.contains(&&*found) {
                            missing.insert(format!("{found} of {}", path.display()));
                        }
                    }
                }
            }
        }
    }
    assert!(missing.is_empty(), "docs/rest.md does not describe {missing:?}");
}

#[test]
fn every_code_is_in_a_test() {
    let tests: String = sources(&root().join("tests/it")).into_iter().map(|(_, text)| text).collect();
    let documented = documented();
    assert!(documented.len() >= 30, "{documented:?}");
    for code in documented.iter().filter(|code| !FAULTS.contains(&&***code)) {
        assert!(tests.contains(&format!("\"{code}")), "no test brings out {code}");
    }
}
