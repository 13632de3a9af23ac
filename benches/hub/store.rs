//! What surrounds the engine here: nothing is stored, everybody may be everywhere; what may be published is as it is.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use studyhall::domain;
use studyhall::live::backend::{
    Action, Admission, Backend, Credential, Effect, Grant, Identity, LogEvent, LogPage, Orphan, Refusal, Standing, Way,
};
use studyhall_protocol::channel::Channel;
use studyhall_protocol::error::WireError;
use studyhall_protocol::live::Publication;
use studyhall_protocol::presence::Presence;
use studyhall_protocol::settings::PresenceVisibility;
use uuid::Uuid;

/// Of every log.
pub const EPOCH: &str = "e1";

/// The logs are empty, whatever was applied: nobody looks.
pub struct Store;

impl Backend for Store {
    /// The token is the person's id.
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Arc<Identity>, Refusal>> {
        let (Credential::Token(token) | Credential::Cookie(token)) = credential;
        async move {
            let user_id: Uuid = token.parse().map_err(|_| Refusal::Unauthorized)?;
            let info = Arc::from(RawValue::NULL.to_owned());
            Ok(Arc::new(Identity { user_id, session_id: user_id, expires_at: Utc::now() + TimeDelta::hours(1), info }))
        }
        .boxed()
    }

    fn admit<'a>(
        &'a self,
        _: &'a Identity,
        channels: Vec<Channel>,
    ) -> BoxFuture<'a, Result<Vec<Result<Admission, WireError>>, WireError>> {
        let admission = || Admission {
            grant: Grant::Member,
            head: 0,
            floor: 1,
            epoch: EPOCH.into(),
            // Who comes is told to nobody, or a thousand of them would be told of each other first.
            place: false,
            sees: true,
            last_seen_at: None,
        };
        async move { Ok(channels.into_iter().map(|_| Ok(admission())).collect()) }.boxed()
    }

    fn read_log(&self, _: Channel, _: u64, _: u32) -> BoxFuture<'_, Result<LogPage, WireError>> {
        async { Err(WireError::internal()) }.boxed()
    }

    fn read_pages(
        &self,
        _: Vec<(Channel, u64)>,
        _: u32,
        _: u32,
    ) -> BoxFuture<'_, Result<Vec<Option<LogPage>>, WireError>> {
        async { Err(WireError::internal()) }.boxed()
    }

    fn read_log_back(&self, _: Channel, _: u64, _: u32) -> BoxFuture<'_, Result<LogPage, WireError>> {
        async { Err(WireError::internal()) }.boxed()
    }

    fn rpc<'a>(
        &'a self,
        _: &'a Identity,
        _: Way,
        _: &'a str,
        _: Option<&'a RawValue>,
    ) -> BoxFuture<'a, Result<Box<RawValue>, WireError>> {
        async { Err(WireError::method_not_found()) }.boxed()
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
        domain::effects(event)
    }

    fn adopt_orphan(&self, _: Orphan) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn standings(&self, people: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Standing>, WireError>> {
        let standing = |user_id| Standing {
            user_id,
            audience: PresenceVisibility::Everyone,
            invisible: false,
            hidden: Vec::new(),
        };
        async move { Ok(people.into_iter().map(standing).collect()) }.boxed()
    }

    fn sees(&self, pairs: Vec<(Uuid, Uuid)>) -> BoxFuture<'_, Result<Vec<bool>, WireError>> {
        async move { Ok(vec![true; pairs.len()]) }.boxed()
    }

    fn store_presence(&self, _: Vec<Presence>) -> BoxFuture<'_, Result<(), WireError>> {
        async { Ok(()) }.boxed()
    }
}
