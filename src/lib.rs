//! Studyhall: the real-time backend of a study dashboard.
//!
//! The house, bottom up; a module knows those above it in this list and none below:
//!
//! - [`config`]: every setting, with its unit and default.
//! - [`check`]: `studyhall check`, a stranger to all the rest.
//! - [`live`]: the engine. Channels, connections, cursors; no domain, no SQL.
//! - [`error`]: what can go wrong, in words for people.
//! - [`dev`]: the private PostgreSQL and Redis of `studyhall dev`.
//! - [`db`]: PostgreSQL. The transaction, the log, retention.
//! - [`cluster`]: Redis. Which nodes there are, and who is where on them.
//! - [`auth`]: passwords, tokens, sign-ins.
//! - [`http`]: how a request is read and an answer is written.
//! - [`domain`]: what people can do; one folder each.
//! - [`app`]: the house put together.
//! - [`cli`]: the commands of the program.

pub mod app;
pub mod auth;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod db;
pub mod dev;
pub mod domain;
pub mod error;
pub mod http;
pub mod live;
pub mod storage;
