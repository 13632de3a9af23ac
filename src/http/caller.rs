//! Who asks.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use uuid::Uuid;

use super::{AppState, OriginVerdict};
use crate::auth::Cookies;
use crate::db::Asker;
use crate::error::{Error, Result};
use crate::live::backend::Identity;

/// Somebody who is signed in: by `Authorization: Bearer shs_…`, or by the cookie.
///
/// The cookie comes along without anybody's will, so with a method that changes things it counts only from an allowed
/// page: 403 `foreign_origin` otherwise.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Where they are.
    pub address: IpAddr,
}

impl Caller {
    /// The person.
    pub fn id(&self) -> Uuid {
        self.identity.user_id
    }

    /// Who asks, and from where.
    pub fn asker(&self) -> Asker {
        Asker { person: self.id(), address: Some(self.address) }
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let token = match parts.headers.get(AUTHORIZATION) {
            Some(value) => bearer(value.to_str().unwrap_or_default()).ok_or_else(Error::unauthorized)?,
            None => {
                let token = state.cookies.read(&parts.headers).ok_or_else(Error::unauthorized)?;
                let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
                let verdict = state.origins.allows(&parts.headers);
                if verdict == OriginVerdict::Foreign || (!safe && verdict != OriginVerdict::Allowed) {
                    return Err(foreign_origin());
                }
                token
            }
        };
        let address = state.rates.address(&parts.extensions, &parts.headers);
        let identity = state.sessions.authenticate(token).await?;
        Ok(Self { identity, address })
    }
}

/// Where somebody is who may not be signed in yet.
#[derive(Debug, Clone, Copy)]
pub struct Address(pub IpAddr);

impl FromRequestParts<AppState> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self(state.rates.address(&parts.extensions, &parts.headers)))
    }
}

/// The token that a request brings along, whatever it is worth.
pub(super) fn token<'r>(headers: &'r HeaderMap, cookies: &Cookies) -> Option<&'r str> {
    match headers.get(AUTHORIZATION) {
        Some(value) => bearer(value.to_str().unwrap_or_default()),
        None => cookies.read(headers),
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn foreign_origin() -> Error {
    let detail = "this page may not act with the cookie; list its origin in STUDYHALL_ORIGINS, or send a Bearer token";
    Error::forbidden("foreign_origin", detail)
}

impl AppState {
    /// For the doors that hand out a cookie: 403 `foreign_origin` to pages of others.
    pub fn refuse_foreign(&self, headers: &HeaderMap) -> Result<()> {
        match self.origins.allows(headers) {
            OriginVerdict::Foreign => Err(foreign_origin()),
            OriginVerdict::Absent | OriginVerdict::Allowed => Ok(()),
        }
    }
}
