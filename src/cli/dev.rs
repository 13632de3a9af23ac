//! `studyhall dev`: everything that one machine needs, from one command.

use anyhow::Context;

use crate::app::App;
use crate::config::Config;
use crate::dev::Private;
use crate::domain::seed;

use super::run;

/// Serves with private stores for those that no URL is given for.
pub async fn dev(mut config: Config) -> anyhow::Result<()> {
    let stop = run::stop_on_signal()?;
    // Whoever builds a front-end here, or tests it, is no crowd to be held off.
    config.limit_loopback = false;
    // Nor is there a balancer that has to notice.
    config.drain_notice_seconds = 0.0;
    let (want_postgres, want_redis) = (config.database_url.is_none(), config.redis_url.is_none());
    let starting = Private::start(&config.data, want_postgres, want_redis, config.pg_bin.as_deref());
    let mut private = tokio::select! {
        private = starting => private?,
        () = stop.cancelled() => return Ok(()),
    };
    config.database_url = config.database_url.or_else(|| private.database_url.clone());
    config.redis_url = config.redis_url.or_else(|| private.redis_url.clone());
    let served = tokio::select! {
        served = serve(&config, stop.clone()) => served,
        error = private.died() => Err(error),
    };
    let stopped = private.stop().await;
    served.and(stopped)
}

async fn serve(config: &Config, stop: tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
    let app = App::build(config).await?;
    if seed::is_empty(&app.state.db).await? {
        seed::demo(&app.state).await.context("cannot fill the empty database with the demo world")?;
    }
    if let Some((username, password)) = seed::demo_sign_in(&app.state.db).await? {
        println!("demo sign-in: {username} / {password}");
        let company = seed::keep_company(app.state.db.clone(), app.state.hub.clone(), stop.clone());
        tokio::spawn(async move {
            if let Err(error) = company.await {
                tracing::warn!(%error, "the people of the demo world stay away");
            }
        });
    }
    run::serve_app(config, app, stop).await
}
