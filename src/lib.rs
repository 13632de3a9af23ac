//! Studyhall: the real-time backend of a study dashboard. PostgreSQL is the truth; a live connection is a set of
//! cursors over its logs.
//!
//! Imports go down only.
//!
//! | layer | module | |
//! |---|---|---|
//! | 4 | [`domain`] | What people can do: one folder per domain, each with actions, SQL and routes. |
//! | 3 | [`auth`] | Who somebody is: passwords, tokens, sign-ins. |
//! | 3 | [`http`] | How a request is read and an answer is written, whatever it is about. |
//! | 2 | [`db`] | One command, one transaction; the log; its upkeep. |
//! | 1 | [`live`] | The engine: channels, cursors, slots, sockets. Knows no domain. |
//! | 1 | [`error`] | The one error, for both doors. |
//! | 0 | [`config`] | Every setting with its name, unit and default. |

pub mod auth;
pub mod config;
pub mod db;
pub mod domain;
pub mod error;
pub mod http;
pub mod live;
