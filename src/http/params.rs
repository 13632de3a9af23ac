//! What stands in the address: its errors are problems like all others.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path as AxumPath, Query as AxumQuery};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Parts of the path; 400 `bad_request` when one is not what it should be, such as a UUID.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let read: Result<AxumPath<T>, PathRejection> = AxumPath::from_request_parts(parts, state).await;
        read.map(|AxumPath(value)| Path(value)).map_err(|error| Error::bad_request("bad_request", error.body_text()))
    }
}

/// What follows the question mark; 400 `bad_request` when it has another shape.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let read: Result<AxumQuery<T>, QueryRejection> = AxumQuery::from_request_parts(parts, state).await;
        read.map(|AxumQuery(value)| Query(value)).map_err(|error| Error::bad_request("bad_request", error.body_text()))
    }
}
