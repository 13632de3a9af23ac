//! What the wire looks like, for whoever describes it: the documents beside this crate are made from these.

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// REST, as OpenAPI 3.1. Made from [`crate::routes`].
pub const OPENAPI: &str = include_str!("../openapi.json");
/// The live side, as AsyncAPI 3. Made from [`crate::command`], [`crate::event`] and [`crate::live`].
pub const ASYNCAPI: &str = include_str!("../asyncapi.json");

/// All of it for people who read: one page that asks nobody for anything.
pub const PAGE: &str = include_str!("../index.html");

/// Describes one type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Describes `T`.
pub fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A free JSON object: what is in it is the front-end's affair.
pub type FreeObject = serde_json::Map<String, serde_json::Value>;

/// One line of a table of messages.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// The name on the wire.
    pub name: &'static str,
    /// For people.
    pub doc: &'static str,
    /// Of an event: the kind of channel that it is on.
    pub on: Option<&'static str>,
    /// The payload.
    pub data: SchemaOf,
    /// Of a command: what both doors answer.
    pub answer: Option<SchemaOf>,
}
