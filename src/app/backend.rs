//! What the engine asks, answered by the domains and the log.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::WireError;
use studyhall_protocol::live::Publication;
use studyhall_protocol::presence::{self, Presence};
use uuid::Uuid;

use crate::auth::Sessions;
use crate::db::{Asker, Db, Together, Writer};
use crate::domain;
use crate::domain::channels::Answers;
use crate::error::Error;
use crate::http::door;
use crate::live::HubLink;
use crate::live::backend::{
    Action, Admission, Backend, Credential, Effect, Grant, Identity, LogEvent, LogPage, Orphan, Refusal, Standing, Way,
};

/// Channels in one statement of admission: a storm of people with a dozen each, and still some milliseconds only.
const ADMITTED_AT_ONCE: usize = 2_000;

/// The server around the engine.
pub struct Server {
    pub(super) db: Db,
    admissions: Together<(Uuid, Vec<Channel>), Answers>,
    pub(super) writer: Writer,
    pub(super) sessions: Sessions,
    /// Back to the engine, for what people say of themselves.
    pub(super) hub: HubLink,
}

impl Server {
    pub(super) fn new(db: Db, writer: Writer, sessions: Sessions, hub: HubLink) -> Self {
        let asking = db.clone();
        let weight = |asked: &(Uuid, Vec<Channel>)| asked.1.len();
        // The profiles on a page are many; rooms and what is one's own go first.
        let profiles = |asked: &(Uuid, Vec<Channel>)| asked.1.iter().all(|it| matches!(it, Channel::Profile(_)));
        let admissions = Together::with_patience(ADMITTED_AT_ONCE, weight, profiles, move |asked| {
            let db = asking.clone();
            async move {
                let answers = domain::admit_all(&db, &asked).await;
                answers.inspect_err(|error| tracing::warn!(%error, "cannot tell who may subscribe")).ok()
            }
            .boxed()
        });
        Self { db, admissions, writer, sessions, hub }
    }
}

impl Server {
    /// An answer, or the error that there is none, before a client gives up.
    async fn in_time<T>(&self, work: impl Future<Output = crate::error::Result<T>>) -> Result<T, WireError> {
        let silence = || Err(Error::unavailable("unavailable", "the database does not answer; try again shortly"));
        self.db.patiently(work).await.unwrap_or_else(silence).map_err(on_wire)
    }
}

impl Backend for Server {
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Arc<Identity>, Refusal>> {
        async move {
            match credential {
                Credential::Token(token) | Credential::Cookie(token) => self.sessions.authenticate(&token).await,
            }
        }
        .boxed()
    }

    fn admit<'a>(
        &'a self,
        who: &'a Identity,
        channels: Vec<Channel>,
    ) -> BoxFuture<'a, Result<Vec<Result<Admission, WireError>>, WireError>> {
        async move { self.admissions.ask((who.user_id, channels)).await.map_err(|_| WireError::internal()) }.boxed()
    }

    fn read_log(&self, channel: Channel, after: u64, limit: u32) -> BoxFuture<'_, Result<LogPage, WireError>> {
        self.in_time(self.db.read_log(channel, after, limit)).boxed()
    }

    fn read_pages(
        &self,
        wanted: Vec<(Channel, u64)>,
        limit: u32,
        bytes_max: u32,
    ) -> BoxFuture<'_, Result<Vec<Option<LogPage>>, WireError>> {
        async move { self.in_time(self.db.read_pages(&wanted, limit, bytes_max)).await }.boxed()
    }

    fn read_log_back(&self, channel: Channel, before: u64, limit: u32) -> BoxFuture<'_, Result<LogPage, WireError>> {
        self.in_time(self.db.read_log_back(channel, before, limit)).boxed()
    }

    fn rpc<'a>(
        &'a self,
        who: &'a Identity,
        way: Way,
        method: &'a str,
        data: Option<&'a RawValue>,
    ) -> BoxFuture<'a, Result<Box<RawValue>, WireError>> {
        async move {
            match method {
                presence::METHOD => self.in_time(domain::presence::rpc(&self.db, &self.hub, who, way.conn, data)).await,
                _ => {
                    let asker = Asker { person: who.user_id, address: way.address };
                    door::rpc(&self.writer, asker, method, data).await.map_err(on_wire)
                }
            }
        }
        .boxed()
    }

    fn publication(
        &self,
        user_id: Uuid,
        channel: Channel,
        grant: Grant,
        publication: &Publication<'_>,
    ) -> Result<Action, WireError> {
        domain::workspaces::publication(user_id, channel, grant, publication)
    }

    fn effects(&self, event: &LogEvent) -> Vec<Effect> {
        let effects = domain::effects(event);
        for effect in &effects {
            if let Effect::EndSessions { session_ids, .. } = effect {
                self.sessions.forget(session_ids);
            }
        }
        effects
    }

    fn adopt_orphan(&self, orphan: Orphan) -> BoxFuture<'_, ()> {
        async move {
            let (key, channel) = (orphan.key, orphan.channel);
            if let Err(error) = domain::workspaces::adopt_orphan(&self.writer, orphan).await {
                tracing::warn!(%channel, widget = %key.id, %error, "an abandoned drag was not committed");
            }
        }
        .boxed()
    }

    fn standings(&self, people: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Standing>, WireError>> {
        async move { self.in_time(domain::presence::standings(&self.db, &people)).await }.boxed()
    }

    fn sees(&self, pairs: Vec<(Uuid, Uuid)>) -> BoxFuture<'_, Result<Vec<bool>, WireError>> {
        async move { self.in_time(domain::presence::sees(&self.db, &pairs)).await }.boxed()
    }

    fn store_presence(&self, people: Vec<Presence>) -> BoxFuture<'_, Result<(), WireError>> {
        async move { self.in_time(domain::presence::store(&self.db, &people)).await }.boxed()
    }

    fn doubt(&self) {
        self.db.doubt();
    }
}

/// The error as the client sees it; a cause that is ours goes to the log.
fn on_wire(error: Error) -> WireError {
    error.wire()
}
