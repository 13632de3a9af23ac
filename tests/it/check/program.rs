//! The program, as somebody at a terminal runs it: its report and its exit codes.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::harness;

async fn studyhall(arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let run = move || Command::new(env!("CARGO_BIN_EXE_studyhall")).arg("check").args(arguments).output().unwrap();
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(run).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A file that goes with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("studyhall-check-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_a_plan() {
    let app = harness::app().await;
    // A plan whose faults hurt nobody: what is tested is that it is followed, and that everything is mended at the end.
    let marks = File::new("marks", "");
    let plan = format!(
        r#"{{"faults": [{{"name": "a mark", "start": "echo start >> {0}", "stop": "echo stop >> {0}", "lasts": [0.5, 1], "gap": [0, 1]}}]}}"#,
        marks.path()
    );
    let (plan, history) = (File::new("plan", &plan), File::new("history", ""));
    let url = app.url();
    let arguments =
        ["--url", &url, "--seconds", "4", "--seed", "7", "--faults", plan.path(), "--history", history.path()];
    let (code, report, progress) = studyhall(&arguments).await;
    assert_eq!(code, 0, "{report}\n{progress}");
    for words in
        ["verdict: no rule was broken", "ok    lost-ack", "a mark (× ", "seed:    7", "again:   studyhall check --url"]
    {
        assert!(report.contains(words), "no {words:?} in {report}");
    }
    let marks = std::fs::read_to_string(&marks.0).unwrap();
    let (starts, stops) = (marks.matches("start").count(), marks.matches("stop").count());
    assert!(starts >= 2 && starts == stops, "{marks}");
    let lines = std::fs::read_to_string(&history.0).unwrap();
    assert!(lines.lines().count() > 500 && lines.contains(r#""what":"log""#) && lines.contains(r#""what":"invoke""#));
    // Nothing is left but the accounts.
    let rooms: i64 =
        sqlx::query_scalar("select count(*) from immersive_workspaces").fetch_one(&app.database.pool).await.unwrap();
    let lists: i64 = sqlx::query_scalar("select count(*) from task_lists").fetch_one(&app.database.pool).await.unwrap();
    assert_eq!((rooms, lists), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_proves_nothing_is_not_passed() {
    let app = harness::app().await;
    let url = app.url();
    let (code, report, _) =
        studyhall(&["--url", &url, "--seconds", "2", "--people", "2", "--min-acks", "1000000"]).await;
    assert_eq!(code, 1, "{report}");
    assert!(report.contains("FAIL  vacuous") && report.contains("at least 1000000 are needed"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_it_cannot_run() {
    let throttled = harness::app_with(|config| (config.limit_loopback, config.sign_ups_per_hour) = (true, 2)).await;
    let closed = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let (url, plan) = (throttled.url(), File::new("bad-plan", r#"{"faults": [{"name": "a"}]}"#));
    for (arguments, words) in [
        (vec!["--url", closed.as_str()], vec!["is not ready", "Is the address right", closed.as_str()]),
        (vec!["--url", "https://example.org"], vec!["TLS is the proxy's"]),
        (vec!["--url", "example.org"], vec!["begins with http://"]),
        (vec!["--url", url.as_str()], vec!["throttled", "STUDYHALL_SIGN_UPS_PER_HOUR=0", "--people"]),
        (vec!["--url", url.as_str(), "--faults", plan.path()], vec!["missing field `start`", plan.path()]),
        (vec!["--url", url.as_str(), "--faults", "/nowhere/plan.json"], vec!["/nowhere/plan.json", "No such file"]),
        (vec!["--seconds", "0"], vec!["--seconds"]),
    ] {
        let (code, report, error) = studyhall(&arguments).await;
        assert_eq!((code, report.as_str()), (2, ""), "{arguments:?}: {error}");
        words.iter().for_each(|words| assert!(error.contains(words), "{arguments:?}: no {words:?} in {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tests_itself() {
    let (code, table, _) = studyhall(&["--self-test", "--seed", "11"]).await;
    assert_eq!(code, 0, "{table}");
    assert!(table.contains(" 60/60  clean") && table.contains("the rules notice what they are for"), "{table}");
}
