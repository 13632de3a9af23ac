//! Writing. A field with its default value is left out, as proto3 has it.

use super::{BYTES, VARINT};

fn varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

fn tag(buffer: &mut Vec<u8>, field: u32, kind: u64) {
    varint(buffer, u64::from(field) << 3 | kind);
}

/// A number; zero is left out.
pub(crate) fn number(buffer: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        tag(buffer, field, VARINT);
        varint(buffer, value);
    }
}

/// A truth; false is left out.
pub(crate) fn flag(buffer: &mut Vec<u8>, field: u32, value: bool) {
    number(buffer, field, u64::from(value));
}

/// Bytes; none are left out.
pub(crate) fn bytes(buffer: &mut Vec<u8>, field: u32, value: &[u8]) {
    if !value.is_empty() {
        tag(buffer, field, BYTES);
        varint(buffer, value.len() as u64);
        buffer.extend_from_slice(value);
    }
}

/// Text; the empty one is left out.
pub(crate) fn text(buffer: &mut Vec<u8>, field: u32, value: &str) {
    bytes(buffer, field, value.as_bytes());
}

/// A message within a message; there even when it is empty.
pub(crate) fn message(buffer: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(buffer, field, BYTES);
    delimited(buffer, write);
}

/// A message behind its length. The length is known last: the message is moved up to make room for it.
pub(crate) fn delimited(buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = buffer.len();
    write(buffer);
    let end = buffer.len();
    varint(buffer, (end - begin) as u64);
    let length = buffer.len() - end;
    if let Some(moved) = buffer.get_mut(begin..) {
        moved.rotate_right(length);
    }
}
