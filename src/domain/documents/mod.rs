//! What describes the server: for programs that make clients and for people who read.

pub mod routes;
