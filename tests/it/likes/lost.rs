//! Connections to the database that break, at the worst moment of all: nothing is lost, nothing is done twice.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::hot::Crowd;
use crate::harness;

/// Every how many COMMITs one gets no answer.
const EVERY: u64 = 3;

/// A road to PostgreSQL that breaks at COMMITs: in turn after it was done and before it is.
pub struct Road {
    pub url: String,
    pub breaks: Arc<AtomicBool>,
    /// COMMITs since it breaks.
    pub commits: Arc<AtomicU64>,
}

impl Road {
    pub fn start(url: &str) -> Road {
        let (name, parameters) = url.strip_prefix("postgres:///").unwrap().split_once('?').unwrap();
        let of = |wanted: &str| {
            let found = parameters.split('&').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('='));
            found.unwrap().replace("%2F", "/")
        };
        let socket = PathBuf::from(of("host")).join(format!(".s.PGSQL.{}", of("port")));
        let listener = studyhall::app::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("postgres://{}@{}/{name}?sslmode=disable", of("user"), listener.local_addr().unwrap());
        let (breaks, commits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (breaking, counted) = (breaks.clone(), commits.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(carry(client, server, breaking.clone(), counted.clone()));
            }
        });
        Road { url, breaks, commits }
    }
}

async fn carry(mut client: TcpStream, mut server: UnixStream, breaks: Arc<AtomicBool>, commits: Arc<AtomicU64>) {
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(read @ 1..) = read else { return };
                let commit = breaks.load(Ordering::SeqCst) && up[..read].windows(7).any(|part| part == b"COMMIT\0");
                let number = if commit { commits.fetch_add(1, Ordering::SeqCst) + 1 } else { 1 };
                let lost = commit && number.is_multiple_of(EVERY);
                if lost && number.is_multiple_of(2) {
                    return;
                }
                if server.write_all(&up[..read]).await.is_err() {
                    return;
                }
                if lost {
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(read @ 1..) = read else { return };
                if client.write_all(&down[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_whose_answer_is_lost_are_found_out_about() {
    let database = harness::database().await;
    let road = Road::start(&database.url);
    let crowd = Crowd::at(harness::app_at(database, |config| config.database_url = Some(road.url.clone())).await).await;
    let clients = crowd.clients().await;
    road.breaks.store(true, Ordering::SeqCst);
    let sent = crowd.run(clients, 10).await;
    road.breaks.store(false, Ordering::SeqCst);
    println!("{} commits for {} commands", road.commits.load(Ordering::SeqCst), sent.len());
    crowd.verify(&sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_anywhere_lose_and_double_nothing() {
    let crowd = Crowd::at(harness::app().await).await;
    let (clients, done) = (crowd.clients().await, AtomicBool::new(false));
    let breaking = async {
        let mut broken = 0_i64;
        while !done.load(Ordering::Relaxed) {
            let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and application_name = 'studyhall'
                    and (state like 'idle in%' or state = 'active')";
            broken += sqlx::query_scalar::<_, i64>(kill).fetch_one(&crowd.app.database.pool).await.unwrap();
            // Often enough to meet every part of a transaction, seldom enough that some get through.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        broken
    };
    let running = async {
        let sent = crowd.run(clients, 20).await;
        done.store(true, Ordering::Relaxed);
        sent
    };
    let (sent, broken) = tokio::join!(running, breaking);
    println!("{broken} connections were broken");
    crowd.verify(&sent).await;
}
