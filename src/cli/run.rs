//! `studyhall serve` and `studyhall migrate`.

use std::io::Write;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{App, server};
use crate::config::{Config, MetricsListen};
use crate::db::Db;

/// Serves until a signal.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let app = App::build(&config).await?;
    serve_app(&config, app, stop).await
}

/// Listens, says that it is ready, and serves until `stop`.
pub async fn serve_app(config: &Config, app: App, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = server::listen(config.listen).with_context(|| {
        format!("cannot listen on {}; set STUDYHALL_LISTEN to another address, such as 127.0.0.1:8090", config.listen)
    })?;
    let address = listener.local_addr()?;
    if let MetricsListen::At(address) = config.metrics_listen {
        app.serve_metrics(address);
    }
    let mut stdout = std::io::stdout();
    // Whoever waits for this line must get it at once, also through a pipe.
    let _ = writeln!(stdout, "ready: http://{address}").and_then(|()| stdout.flush());
    app.serve(listener, stop).await;
    Ok(())
}

/// Brings the schema up to date.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let url = config.database_url.as_deref().ok_or_else(|| anyhow::anyhow!("set DATABASE_URL to the database"))?;
    let db = Db::connect(url, 2).await?;
    db.migrate().await?;
    println!("the schema is up to date");
    Ok(())
}

/// A token that SIGINT, SIGTERM or SIGHUP cancels; the second signal ends the process at once.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let mut signals =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    tokio::spawn(async move {
        for patient in [true, false] {
            let [interrupt, terminate, hangup] = &mut signals;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if patient {
                token.cancel();
            } else {
                std::process::exit(130);
            }
        }
    });
    Ok(stop)
}
