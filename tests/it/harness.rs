//! What tests share.

use std::path::PathBuf;

/// The Python of the test environment, with the SDK and the conformance suite.
pub fn python() -> PathBuf {
    let venv = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if venv.exists() { venv } else { PathBuf::from("python3") }
}
