//! The tests in JSON.

const FORMAT: studyhall_protocol::Format = studyhall_protocol::Format::Json;

#[path = "suite.rs"]
pub mod suite;
