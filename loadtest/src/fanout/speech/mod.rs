//! What is published, and how it is found in what arrives.
//!
//! Every value of one speaker has the same length and differs in two numbers of fixed width, so a frame to send is patched
//! and not built, and what arrives is compared with the one line that it has to be. That is stricter than parsing and costs
//! a hundredth of it. A line that differs, because the server writes its fields in another order, is parsed in full.

use studyhall_protocol::Channel;
use uuid::Uuid;

use crate::frames::{self, TEXT};

/// Digits of a sequence number, behind the point of a number below one.
const SEQUENCE_DIGITS: usize = 10;
/// Digits that say which of a room's speakers it is.
const SPEAKER_DIGITS: usize = 6;
/// Commands are numbered from here, so that the number keeps its ten digits.
const COMMAND_FROM: u64 = 1_000_000_000;

/// What kind of thing is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A widget on its way: a slot, so only the newest value has to arrive.
    Drag,
    /// A broadcast to whoever is there.
    Nudge,
}

impl Kind {
    /// Its `type`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Drag => "drag",
            Kind::Nudge => "nudge",
        }
    }

    /// What stands right before the sequence number.
    fn mark(self) -> &'static str {
        match self {
            Kind::Drag => r#""grid_x":0."#,
            Kind::Nudge => r#""at":0."#,
        }
    }
}

/// By which command a value is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `publish`, which is answered.
    Publish,
    /// `send`, which is not.
    Send,
    /// To a server that repeats to everybody what it is told: the very bytes that Studyhall would push.
    Plain,
}

/// Who publishes what.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Drag or nudge.
    pub kind: Kind,
    /// Where.
    pub channel: Channel,
    /// Whose connection it is sent from.
    pub actor: Uuid,
    /// The widget of a drag.
    pub key: Uuid,
    /// Which of the room's speakers.
    pub speaker: usize,
}

/// One speaker's frame to send and line to expect.
#[derive(Debug, Clone)]
pub struct Speech {
    line: Vec<u8>,
    sequence_in_line: usize,
    frame: Vec<u8>,
    sequence_in_frame: usize,
    command_in_frame: Option<usize>,
}

impl Speech {
    /// For one gesture: each has an id of its own.
    pub fn new(subject: Subject, way: Way, gesture: Uuid) -> Self {
        let Subject { kind, channel, actor, key, speaker } = subject;
        let (sequence, speaker) = ("0".repeat(SEQUENCE_DIGITS), format!("{speaker:0SPEAKER_DIGITS$}"));
        let (head, data) = match kind {
            Kind::Drag => (
                format!(r#""type":"drag","key":"{key}""#),
                format!(r#"{{"drag_id":"{gesture}","grid_x":0.{sequence},"grid_y":0.{speaker}}}"#),
            ),
            Kind::Nudge => (r#""type":"nudge""#.to_owned(), format!(r#"{{"at":0.{sequence},"by":0.{speaker}}}"#)),
        };
        let line = format!(
            r#"{{"push":{{"channel":"{channel}","pub":{{"data":{{{head},"actor":"{actor}","data":{data}}}}}}}}}"#
        );
        let text = match way {
            Way::Plain => line.clone(),
            Way::Send => format!(r#"{{"send":{{"data":{{"channel":"{channel}",{head},"data":{data}}}}}}}"#),
            Way::Publish => {
                format!(
                    r#"{{"id":{COMMAND_FROM},"publish":{{"channel":"{channel}","data":{{{head},"data":{data}}}}}}}"#
                )
            }
        };
        let mut frame = Vec::new();
        frames::write_client(&mut frame, TEXT, text.as_bytes());
        let from = frame.len() - text.len();
        let place = |text: &str| text.rfind(kind.mark()).map_or(0, |at| at + kind.mark().len());
        Self {
            sequence_in_line: place(&line),
            sequence_in_frame: from + place(&text),
            command_in_frame: (way == Way::Publish).then_some(from + r#"{"id":"#.len()),
            line: line.into_bytes(),
            frame,
        }
    }

    /// The frame that carries this value.
    pub fn frame(&mut self, sequence: u32) -> &[u8] {
        let sequence = u64::from(sequence);
        write_digits(&mut self.frame[self.sequence_in_frame..][..SEQUENCE_DIGITS], sequence);
        if let Some(at) = self.command_in_frame {
            write_digits(&mut self.frame[at..][..SEQUENCE_DIGITS], COMMAND_FROM + sequence % COMMAND_FROM);
        }
        &self.frame
    }

    /// How long the line is.
    pub fn line_bytes(&self) -> usize {
        self.line.len()
    }

    /// The sequence number of a line, if it is this speaker's line byte for byte.
    pub fn read(&self, line: &[u8]) -> Option<u32> {
        let (at, behind) = (self.sequence_in_line, self.sequence_in_line + SEQUENCE_DIGITS);
        if line.len() != self.line.len() || line[..at] != self.line[..at] || line[behind..] != self.line[behind..] {
            return None;
        }
        u32::try_from(read_digits(&line[at..behind])?).ok()
    }
}

/// Which of its room's speakers a line would be of.
pub fn speaker_of(line: &[u8]) -> Option<usize> {
    let end = line.strip_suffix(b"}}}}}")?;
    let digits = end.get(end.len().checked_sub(SPEAKER_DIGITS)?..)?;
    usize::try_from(read_digits(digits)?).ok()
}

/// The sequence number in the number that carries it.
pub fn sequence_of(number: f64) -> Option<u32> {
    let sequence = (number * 10_f64.powi(SEQUENCE_DIGITS as i32)).round();
    (0.0..=f64::from(u32::MAX)).contains(&sequence).then_some(sequence as u32)
}

/// The speaker in the number that says which it is.
pub fn number_of_speaker(number: f64) -> Option<usize> {
    let speaker = (number * 10_f64.powi(SPEAKER_DIGITS as i32)).round();
    (0.0..1e6).contains(&speaker).then_some(speaker as usize)
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn read_digits(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0, |number: u64, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
