//! The published client libraries against a running server: `centrifuge` from npm and `centrifuge-python` from PyPI,
//! unchanged, as the applications of others use them. The tests are in `tests/sdk/`, in the languages of the libraries.
//! Here they get a node of their own, a [`control::Control`] to do what only the server's side can do, and are judged:
//! every test of the file has run, none was skipped, all passed.

mod control;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::harness;

/// For one file.
const FILE_WITHIN: Duration = Duration::from_secs(150);

macro_rules! files {
    ($run:ident($format:literal): $($name:ident => $file:literal, $at_least:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $run($format, $file, $at_least).await;
            }
        )*
    };
}

files! { javascript("json"):
    js_connection => "connection.test.mjs", 16;
    js_subscription => "subscription.test.mjs", 11;
    js_recovery => "recovery.test.mjs", 15;
    js_state => "state.test.mjs", 7;
    js_live => "live.test.mjs", 12;
    js_people => "people.test.mjs", 8;
    js_codes => "codes.test.mjs", 10;
    js_cookie => "cookie.test.mjs", 6;
    js_slow => "slow.test.mjs", 5;
    js_rough => "rough.test.mjs", 2;
    js_stream => "stream.test.mjs", 10;
    js_documents => "documents.test.mjs", 6;
    js_and_python_together => "together.test.mjs", 2;
}

files! { javascript("protobuf"):
    js_protobuf_connection => "connection.test.mjs", 16;
    js_protobuf_recovery => "recovery.test.mjs", 15;
    js_protobuf_live => "live.test.mjs", 12;
    js_protobuf_people => "people.test.mjs", 8;
    js_protobuf_slow => "slow.test.mjs", 5;
    js_protobuf_rough => "rough.test.mjs", 2;
    js_protobuf_stream => "stream.test.mjs", 10;
}

files! { javascript("json over http_stream"):
    js_stream_people => "people.test.mjs", 8;
}

files! { python("json"):
    python_connection => "test_connection.py", 16;
    python_recovery => "test_recovery.py", 16;
    python_live => "test_live.py", 8;
    python_people => "test_people.py", 6;
}

files! { python("protobuf"):
    python_protobuf_connection => "test_connection.py", 16;
    python_protobuf_recovery => "test_recovery.py", 16;
    python_protobuf_live => "test_live.py", 8;
    python_protobuf_people => "test_people.py", 6;
}

fn directory(language: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(language)
}

/// Runs one file of `tests/sdk/js`, in a format of the wire.
async fn javascript(format: &str, file: &str, at_least: usize) {
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=tap", file]).current_dir(directory("js"));
    let output = run(node, format).await;
    let report = text(&output);
    let count = |what: &str| -> usize {
        let line = report.lines().find_map(|line| line.strip_prefix(&format!("# {what} ")));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no `# {what}` in {report}"))
    };
    assert!(output.status.success(), "{file} failed");
    for none in ["fail", "cancelled", "skipped", "todo"] {
        assert_eq!(count(none), 0, "{none} in {file}");
    }
    judge(file, count("pass"), &["test("], "js", at_least);
}

/// Runs one file of `tests/sdk/python`, in a format of the wire.
async fn python(format: &str, file: &str, at_least: usize) {
    let mut python = Command::new(harness::python("python"));
    python.args(["-m", "unittest", "-v", file]).current_dir(directory("python"));
    // Leaves nothing behind in the source tree, and says what it did even when it is killed.
    python.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
    let output = run(python, format).await;
    let report = text(&output);
    assert!(output.status.success(), "{file} failed");
    let ran = report.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse().ok());
    // Whatever was skipped or expected to fail is named behind the word.
    assert!(report.lines().any(|line| line == "OK"), "{file}: not simply OK");
    judge(file, ran.unwrap_or(0), &["async def test_", "def test_"], "python", at_least);
}

/// As many tests have passed as there are in the file, and the file has not lost any.
fn judge(file: &str, passed: usize, beginnings: &[&str], language: &str, at_least: usize) {
    let source = std::fs::read_to_string(directory(language).join(file)).unwrap();
    let begins = |line: &&str| beginnings.iter().any(|beginning| line.trim_start().starts_with(beginning));
    let declared = source.lines().filter(begins).count();
    assert_eq!(passed, declared, "{file}: not every test has run");
    assert!(passed >= at_least, "{file} has {passed} tests and had {at_least}");
}

async fn run(mut program: Command, format: &str) -> Output {
    let (url, control) = control::Control::start().await;
    let (format, transport) = format.split_once(" over ").unwrap_or((format, "websocket"));
    program.env("STUDYHALL_URL", url).env("STUDYHALL_CONTROL", control);
    program.env("STUDYHALL_FORMAT", format).env("STUDYHALL_TRANSPORT", transport);
    program.env("STUDYHALL_PYTHON", harness::python("python"));
    program.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(FILE_WITHIN, program.output()).await.expect("took too long");
    let output = output.unwrap_or_else(|error| panic!("{error}: run `scripts/setup.sh test` first"));
    println!("{}", text(&output));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
