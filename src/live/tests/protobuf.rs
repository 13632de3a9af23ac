//! The tests in protobuf.

const FORMAT: studyhall_protocol::Format = studyhall_protocol::Format::Protobuf;

// The same files, so that both formats keep the same promises.
#[expect(clippy::duplicate_mod)]
#[path = "suite.rs"]
mod suite;
