//! The one macro of the crate: a table of messages becomes an enum, its names and its serde form.

/// Makes an enum `{"type": <name>, "data": <payload>}` from lines `"name" => Variant(Payload)`.
///
/// One line is all that a new message needs; every `match` over the enum then has to learn it.
macro_rules! message_table {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$doc:meta])* $wire:literal => $variant:ident($payload:ty),)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type", content = "data")]
        $vis enum $name {
            $($(#[$doc])* #[serde(rename = $wire)] $variant($payload),)*
        }

        impl $name {
            /// Every name in the table, in its order.
            pub const NAMES: &'static [&'static str] = &[$($wire),*];

            /// The name on the wire.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $wire,)* }
            }
        }
    };
}

pub(crate) use message_table;
