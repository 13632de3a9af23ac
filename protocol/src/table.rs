//! The one macro of the crate: a table of messages becomes an enum, its names, its serde form and its description.

/// Makes an enum `{"type": <name>, "data": <payload>}` from lines `"name" => Variant(Payload)`.
///
/// A command says what it answers (`-> Answer`), an event the kind of channel that it is `on`. One line is all that a
/// new message needs; every `match` over the enum then has to learn it, and the documents have it.
macro_rules! message_table {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[doc = $doc:literal])* $wire:literal => $variant:ident($payload:ty) $(on $kind:literal)? $(-> $answer:ty)?,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type", content = "data")]
        $vis enum $name {
            $($(#[doc = $doc])* #[serde(rename = $wire)] $variant($payload),)*
        }

        impl $name {
            /// Every name in the table, in its order.
            pub const NAMES: &'static [&'static str] = &[$($wire),*];

            /// Every line of the table, in its order.
            pub const MESSAGES: &'static [crate::describe::Message] = &[$(crate::describe::Message {
                name: $wire,
                doc: concat!($($doc),*),
                on: crate::table::maybe!($($kind)?),
                data: crate::describe::schema_of::<$payload>,
                answer: crate::table::maybe!($(crate::describe::schema_of::<crate::rest::Answer<$answer>>)?),
            }),*];

            /// The name on the wire.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $wire,)* }
            }
        }
    };
}

macro_rules! maybe {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

pub(crate) use {maybe, message_table};
