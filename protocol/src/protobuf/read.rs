//! Reading commands. What does not fit is told apart as in JSON: a message that is none cannot be answered, a
//! request with a wrong field can, if its id was read.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{BYTES, FIXED32, FIXED64, VARINT, request};
use crate::emulation::Emulation;
use crate::frame::{
    ChannelOnly, ClientCommand, Connect, Empty, History, Publish, Refresh, Rpc, Send, Since, Subscribe, Unreadable,
};

/// Not protobuf, or a field of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Broken;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of fixed size; we know no such field.
    Fixed,
}

/// The fields of a message, in the order in which they come; of several with one number the last counts.
#[derive(Debug, Clone, Copy)]
struct Fields<'a>(&'a [u8]);

/// Takes the first message off a frame: what lies behind its length, and the rest.
pub(crate) fn split(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = frame;
    let length = varint(&mut rest).ok()?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn varint(input: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first().ok_or(Broken)?;
        *input = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Broken)
}

fn take<'a>(input: &mut &'a [u8], count: u64) -> Result<&'a [u8], Broken> {
    let count = usize::try_from(count).map_err(|_| Broken)?;
    let (taken, rest) = input.split_at_checked(count).ok_or(Broken)?;
    *input = rest;
    Ok(taken)
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u32, Value<'a>), Broken> {
        let tag = varint(&mut self.0)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0).ok_or(Broken)?;
        let value = match tag & 7 {
            VARINT => Value::Number(varint(&mut self.0)?),
            FIXED64 => take(&mut self.0, 8).map(|_| Value::Fixed)?,
            FIXED32 => take(&mut self.0, 4).map(|_| Value::Fixed)?,
            BYTES => {
                let length = varint(&mut self.0)?;
                Value::Bytes(take(&mut self.0, length)?)
            }
            // Groups went out of use long before this protocol.
            _ => return Err(Broken),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    fn number(self) -> Result<u64, Broken> {
        match self {
            Value::Number(number) => Ok(number),
            Value::Bytes(_) | Value::Fixed => Err(Broken),
        }
    }

    fn flag(self) -> Result<bool, Broken> {
        self.number().map(|number| number != 0)
    }

    fn signed(self) -> Result<i64, Broken> {
        self.number().map(u64::cast_signed)
    }

    fn bytes(self) -> Result<&'a [u8], Broken> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Number(_) | Value::Fixed => Err(Broken),
        }
    }

    fn fields(self) -> Result<Fields<'a>, Broken> {
        self.bytes().map(Fields)
    }

    fn text(self) -> Result<Cow<'a, str>, Broken> {
        str::from_utf8(self.bytes()?).map(Cow::Borrowed).map_err(|_| Broken)
    }

    /// JSON text; `null` is nothing, as it is in a line of JSON.
    fn json(self) -> Result<Option<&'a RawValue>, Broken> {
        match self.bytes()? {
            [] => Ok(None),
            text => serde_json::from_slice(text).map_err(|_| Broken),
        }
    }
}

/// Reads one command.
pub(crate) fn command(message: &[u8]) -> Result<ClientCommand<'_>, Unreadable> {
    let mut command = ClientCommand::default();
    let mut sound = true;
    for field in Fields(message) {
        let (number, value) = field.map_err(|_| Unreadable::Malformed)?;
        if number == 1 {
            let id = value.number().map_err(|_| Unreadable::Malformed)?;
            command.id = u32::try_from(id).map_err(|_| Unreadable::Malformed)?;
        } else {
            sound &= read_request(&mut command, number, value).is_ok();
        }
    }
    match (sound, command.id) {
        (true, _) => Ok(command),
        (false, 0) => Err(Unreadable::Malformed),
        (false, id) => Err(Unreadable::Bad(id)),
    }
}

/// Reads the body of a request that brings commands.
pub(crate) fn emulation(body: &[u8]) -> Option<Emulation<'_>> {
    let mut emulation = Emulation::default();
    for field in Fields(body) {
        match field.ok()? {
            (1, value) => emulation.node = value.text().ok()?,
            (2, value) => emulation.session = value.text().ok()?,
            (3, value) => emulation.bytes = value.bytes().ok()?,
            _ => {}
        }
    }
    Some(emulation)
}

fn read_request<'a>(command: &mut ClientCommand<'a>, number: u32, value: Value<'a>) -> Result<(), Broken> {
    match number {
        request::CONNECT => command.connect = Some(connect(value.fields()?)?),
        request::SUBSCRIBE => command.subscribe = Some(subscribe(value.fields()?)?),
        request::UNSUBSCRIBE => command.unsubscribe = Some(channel_only(value.fields()?)?),
        request::PUBLISH => command.publish = Some(publish(value.fields()?)?),
        request::PRESENCE => command.presence = Some(channel_only(value.fields()?)?),
        request::PRESENCE_STATS => command.presence_stats = Some(channel_only(value.fields()?)?),
        request::HISTORY => command.history = Some(history(value.fields()?)?),
        request::PING => command.ping = Some(empty(value.fields()?)?),
        request::SEND => command.send = Some(send(value.fields()?)?),
        request::RPC => command.rpc = Some(rpc(value.fields()?)?),
        request::REFRESH => command.refresh = Some(refresh(value.fields()?)?),
        request::SUB_REFRESH => command.sub_refresh = Some(empty(value.fields()?)?),
        _ => {}
    }
    Ok(())
}

fn connect(fields: Fields<'_>) -> Result<Connect<'_>, Broken> {
    let mut connect = Connect::default();
    for field in fields {
        if let (1, value) = field? {
            connect.token = value.text()?;
        }
    }
    Ok(connect)
}

fn subscribe(fields: Fields<'_>) -> Result<Subscribe<'_>, Broken> {
    let mut subscribe = Subscribe::default();
    for field in fields {
        match field? {
            (1, value) => subscribe.channel = value.text()?,
            (3, value) => subscribe.recover = value.flag()?,
            (6, value) => subscribe.epoch = value.text()?,
            (7, value) => subscribe.offset = value.number()?,
            (11, value) => subscribe.join_leave = value.flag()?,
            // That there is a filter is all we have to know.
            (13, value) => subscribe.tf = value.fields().map(|_| Some(RawValue::NULL))?,
            (14, value) => subscribe.flag = value.signed()?,
            (15, value) => subscribe.kind = value.signed()?,
            _ => {}
        }
    }
    Ok(subscribe)
}

fn channel_only(fields: Fields<'_>) -> Result<ChannelOnly<'_>, Broken> {
    let mut request = ChannelOnly::default();
    for field in fields {
        if let (1, value) = field? {
            request.channel = value.text()?;
        }
    }
    Ok(request)
}

fn publish(fields: Fields<'_>) -> Result<Publish<'_>, Broken> {
    let mut publish = Publish::default();
    for field in fields {
        match field? {
            (1, value) => publish.channel = value.text()?,
            (2, value) => publish.data = value.json()?,
            _ => {}
        }
    }
    Ok(publish)
}

fn history(fields: Fields<'_>) -> Result<History<'_>, Broken> {
    let mut history = History::default();
    for field in fields {
        match field? {
            (1, value) => history.channel = value.text()?,
            (7, value) => history.limit = value.signed()?,
            (8, value) => history.since = Some(since(value.fields()?)?),
            (9, value) => history.reverse = value.flag()?,
            _ => {}
        }
    }
    Ok(history)
}

fn since(fields: Fields<'_>) -> Result<Since<'_>, Broken> {
    let mut since = Since::default();
    for field in fields {
        match field? {
            (1, value) => since.offset = value.number()?,
            (2, value) => since.epoch = value.text()?,
            _ => {}
        }
    }
    Ok(since)
}

fn rpc(fields: Fields<'_>) -> Result<Rpc<'_>, Broken> {
    let mut rpc = Rpc::default();
    for field in fields {
        match field? {
            (1, value) => rpc.data = value.json()?,
            (2, value) => rpc.method = value.text()?,
            _ => {}
        }
    }
    Ok(rpc)
}

fn send(fields: Fields<'_>) -> Result<Send<'_>, Broken> {
    let mut send = Send::default();
    for field in fields {
        if let (1, value) = field? {
            send.data = value.json()?;
        }
    }
    Ok(send)
}

fn refresh(fields: Fields<'_>) -> Result<Refresh<'_>, Broken> {
    let mut refresh = Refresh::default();
    for field in fields {
        if let (1, value) = field? {
            refresh.token = value.text()?;
        }
    }
    Ok(refresh)
}

fn empty(mut fields: Fields<'_>) -> Result<Empty, Broken> {
    fields.try_for_each(|field| field.map(|_| ()))?;
    Ok(Empty {})
}
