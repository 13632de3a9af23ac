//! The record of what was done, for the person whom it is about: what they did, and what others did to them. The write
//! door fills it.

pub mod routes;
mod sql;
