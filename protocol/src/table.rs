//! The one macro of the crate: a table of messages becomes an enum, its names, its serde form and its description.

/// Makes an enum `{"type": <name>, "data": <payload>}` from lines `"name" => Variant(Payload)`.
///
/// A command says what it answers (`-> Answer`), an event the kind of channel that it is `on`. One line is all that a
/// new message needs; every `match` over the enum then has to learn it, and the documents have it.
macro_rules! message_table {
    // Commands.
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[doc = $doc:literal])* $wire:literal => $variant:ident($payload:ty) -> $answer:ident,)*
    }) => {
        /// What each command answers, under the name of the command: whoever runs commands answers these types.
        $vis mod answer {
            $(#[doc = concat!("Of `", $wire, "`.")] pub type $variant = super::$answer;)*
        }

        message_table! { @enum $(#[$meta])* $vis enum $name {
            $($(#[doc = $doc])* $wire => $variant($payload) (None) (Some(schema_of::<Answer<$answer>>)),)*
        } }

        impl crate::check::Check for $name {
            fn check(&self) -> Result<(), crate::check::FieldError> {
                match self { $(Self::$variant(payload) => payload.check(),)* }
            }
        }
    };
    // Events.
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[doc = $doc:literal])* $wire:literal => $variant:ident($payload:ty) on $kind:literal,)*
    }) => {
        message_table! { @enum $(#[$meta])* $vis enum $name {
            $($(#[doc = $doc])* $wire => $variant($payload) (Some($kind)) (None),)*
        } }
    };
    (@enum $(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[doc = $doc:literal])* $wire:literal => $variant:ident($payload:ty) ($on:expr) ($answer:expr),)*
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
            pub const MESSAGES: &'static [Message] = &[$(Message {
                name: $wire,
                doc: concat!($($doc),*),
                on: $on,
                data: schema_of::<$payload>,
                answer: $answer,
            }),*];

            /// The name on the wire.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $wire,)* }
            }
        }
    };
}

pub(crate) use message_table;
