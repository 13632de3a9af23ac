//! What a file is, by what is in it: whatever the browser or the name says can be wrong, or a lie.
//!
//! Only kinds that a browser shows or saves without running anything. Nothing that can hold a script (SVG, HTML, XML) is
//! taken; and what hides behind the first bytes of something else is served as that something else, never guessed at.

use axum::http::StatusCode;

use crate::error::{Error, Result};

/// So much of a file is looked at for what it is; an image has to say its size in there.
pub const HEAD_BYTES: usize = 256 * 1024;
/// Pixels of an image, a side: what claims more is meant to break whoever shows it.
pub const SIDE_MAX: usize = 20_000;

/// What a file was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// `image`, `video`, `audio` or `document`.
    pub kind: &'static str,
    /// As it will be served.
    pub content_type: &'static str,
    /// Of an image.
    pub width: Option<i32>,
    /// Of an image.
    pub height: Option<i32>,
}

/// Text, as far as it was seen.
pub const PLAIN: &str = "text/plain; charset=utf-8";

/// What begins with `head` is; 422 `unsupported_file` when it is nothing that is taken. Text is only looked at so far: the
/// rest is for [`Text`].
pub fn sniff(head: &[u8]) -> Result<Found> {
    if head.is_empty() {
        return Err(unsupported("the file is empty"));
    }
    let Some((kind, content_type)) = signature(head) else {
        return text(head);
    };
    let mut found = Found { kind, content_type, width: None, height: None };
    if kind == "image" {
        let size =
            imagesize::blob_size(head).map_err(|_| unsupported("the image is damaged: it does not say its size"))?;
        let side = |pixels: usize| i32::try_from(pixels).ok().filter(|_| (1..=SIDE_MAX).contains(&pixels));
        let (Some(width), Some(height)) = (side(size.width), side(size.height)) else {
            let detail = format!("the image has {} × {} pixels; a side has 1 to {SIDE_MAX}", size.width, size.height);
            return Err(Error::status(StatusCode::UNPROCESSABLE_ENTITY, "unsupported_file", detail));
        };
        (found.width, found.height) = (Some(width), Some(height));
    }
    Ok(found)
}

fn signature(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let at = |offset: usize, mark: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(mark));
    let riff = |form: &[u8]| at(0, b"RIFF") && at(8, form);
    Some(match head {
        _ if at(0, b"\x89PNG\r\n\x1a\n") => ("image", "image/png"),
        _ if at(0, b"\xff\xd8\xff") => ("image", "image/jpeg"),
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => ("image", "image/gif"),
        _ if riff(b"WEBP") => ("image", "image/webp"),
        _ if riff(b"WAVE") => ("audio", "audio/wav"),
        _ if at(0, b"OggS") => ("audio", "audio/ogg"),
        _ if at(0, b"ID3") || mpeg_audio(head) => ("audio", "audio/mpeg"),
        _ if at(0, b"%PDF-") => ("document", "application/pdf"),
        // The kind of Matroska is in the first element of it.
        _ if at(0, b"\x1a\x45\xdf\xa3") && head.windows(4).take(64).any(|name| name == b"webm") => {
            ("video", "video/webm")
        }
        _ if at(4, b"ftyp") => return brand(head.get(8..12)?),
        _ => return None,
    })
}

/// The sync word of MPEG audio, layer III.
fn mpeg_audio(head: &[u8]) -> bool {
    matches!(head, [0xff, second, third, ..]
        if second & 0xe6 == 0xe2 && second & 0x18 != 0x08 && third & 0xf0 != 0xf0 && third & 0x0c != 0x0c)
}

/// What a file of the ISO family is.
fn brand(brand: &[u8]) -> Option<(&'static str, &'static str)> {
    Some(match brand {
        b"avif" => ("image", "image/avif"),
        b"M4A " | b"M4B " => ("audio", "audio/mp4"),
        b"isom" | b"iso2" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1" | b"M4V " | b"MSNV" | b"dash" => {
            ("video", "video/mp4")
        }
        _ => return None,
    })
}

fn text(head: &[u8]) -> Result<Found> {
    if !Text::default().takes(head) {
        let detail =
            "only PNG, JPEG, GIF, WebP, AVIF, MP4, WebM, MP3, M4A, Ogg, WAV, PDF and plain text in UTF-8 are taken";
        return Err(unsupported(detail));
    }
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let markup = match start {
        [b'<', next, ..] => next.is_ascii_alphabetic() || matches!(next, b'!' | b'?' | b'/'),
        _ => false,
    };
    if markup {
        return Err(unsupported("HTML, SVG and XML are not taken"));
    }
    Ok(Found { kind: "document", content_type: PLAIN, width: None, height: None })
}

/// Whether what comes in pieces is plain text: UTF-8 with no control characters but those of texts.
#[derive(Debug, Default)]
pub struct Text {
    /// The beginning of a character whose end comes with the next piece.
    open: Vec<u8>,
}

/// Control characters that are in texts: others are in what only happens to be UTF-8.
const TEXT_CONTROLS: &[u8] = b"\t\n\r\x0c\x1b\x7f";

impl Text {
    /// Whether it still is, with this piece.
    pub fn takes(&mut self, piece: &[u8]) -> bool {
        if piece.iter().any(|byte| byte.is_ascii_control() && !TEXT_CONTROLS.contains(byte)) {
            return false;
        }
        let mut bytes = std::mem::take(&mut self.open);
        bytes.extend_from_slice(piece);
        match std::str::from_utf8(&bytes) {
            Ok(_) => true,
            Err(error) if error.error_len().is_none() => {
                self.open = bytes.split_off(error.valid_up_to());
                true
            }
            Err(_) => false,
        }
    }

    /// Whether it was, now that there is no more.
    pub fn ends(&self) -> bool {
        self.open.is_empty()
    }
}

/// 422: what is in the file cannot be taken.
pub fn unsupported(detail: &'static str) -> Error {
    Error::status(StatusCode::UNPROCESSABLE_ENTITY, "unsupported_file", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(head: &[u8]) -> &'static str {
        sniff(head).map_or_else(|error| error.code(), |found| found.content_type)
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend_from_slice(&width.to_be_bytes());
        png.extend_from_slice(&height.to_be_bytes());
        png.extend_from_slice(&[8, 2, 0, 0, 0, 0, 0, 0, 0]);
        png
    }

    #[test]
    fn what_is_in_it_counts() {
        assert_eq!(sniff(&png(3, 4)).unwrap().height, Some(4));
        assert_eq!(kind(b"GIF89a\x01\0\x02\0\x80\0\0"), "image/gif");
        assert_eq!(kind(b"%PDF-1.7\n"), "application/pdf");
        assert_eq!(kind(b"\0\0\0\x20ftypisom\0\0\x02\0"), "video/mp4");
        assert_eq!(kind(b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"), "video/webm");
        assert_eq!(kind(b"ID3\x04\0\0"), "audio/mpeg");
        assert_eq!(kind(b"\xff\xfb\x90\x64"), "audio/mpeg");
        assert_eq!(kind(b"RIFF\x24\0\0\0WAVEfmt "), "audio/wav");
        assert_eq!(kind(b"OggS\0\x02"), "audio/ogg");
        assert_eq!(kind("a < b, 日本語".as_bytes()), PLAIN);
    }

    #[test]
    fn what_could_run_or_break_is_refused() {
        let refused = "unsupported_file";
        for bad in [
            b"".as_slice(),
            b"<!DOCTYPE html><script>alert(1)</script>",
            b"\xef\xbb\xbf \n<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"<?xml version='1.0'?>",
            b"</script>",
            b"MZ\x90\0",
            b"PK\x03\x04\x14\0",
            b"\x7fELF\x02\x01\x01\0\0",
            b"plain\0not",
            b"\xff\xfe<\0h\0",
            b"\0\0\0\x20ftypheic\0\0",
            b"\x1a\x45\xdf\xa3matroska",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0\0\x10JFIF",
        ] {
            assert_eq!(kind(bad), refused, "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(kind(&png(20_001, 1)), refused);
        assert_eq!(kind(&png(0, 1)), refused);
        assert_eq!(kind(&png(u32::MAX, u32::MAX)), refused);
        assert_eq!(kind(&png(20_000, 20_000)), "image/png");
    }

    #[test]
    fn characters_may_be_cut() {
        let text = "日本語 text".as_bytes();
        for cut in 0..text.len() {
            let mut pieces = Text::default();
            assert!(pieces.takes(&text[..cut]) && pieces.takes(&text[cut..]) && pieces.ends(), "{cut}");
        }
        let mut half = Text::default();
        assert!(half.takes(&text[..1]) && !half.ends());
        assert!(!half.takes(b"x"));
    }
}
