//! JSON as clients write it: without spaces and escapes. Read by hand where it comes often; what is spelled otherwise, and
//! what is wrong, gives `None` and is left to the general parser.

/// What has not been read of a text. Where a function gives `None`, nothing is known of what it stands at then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a>(pub &'a str);

/// With 15 digits both parts of the quotient below are exact, so it is the number nearest to what is written.
const DIGITS_MAX: usize = 15;
const POWERS: [f64; DIGITS_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

impl<'a> Cursor<'a> {
    pub fn peek(&self) -> Option<u8> {
        self.0.as_bytes().first().copied()
    }

    pub fn eat(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(char::from(byte))?;
        Some(())
    }

    /// Behind a field: whether another one follows.
    pub fn more(&mut self) -> Option<bool> {
        let next = self.peek()?;
        self.0 = self.0.get(1..)?;
        match next {
            b',' => Some(true),
            b'}' => Some(false),
            _ => None,
        }
    }

    /// A string without escapes.
    pub fn text(&mut self) -> Option<&'a str> {
        let inside = self.0.strip_prefix('"')?;
        let (text, rest) = inside.split_at_checked(plain_length(inside.as_bytes()))?;
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A field's name and the colon.
    pub fn name(&mut self) -> Option<&'a str> {
        let name = self.text()?;
        self.eat(b':')?;
        Some(name)
    }

    pub fn whole(&mut self) -> Option<u32> {
        self.digits()?.parse().ok()
    }

    /// A number without an exponent, and not longer than what it is exact for.
    pub fn decimal(&mut self) -> Option<f64> {
        let minus = self.eat(b'-').is_some();
        let whole = self.digits()?;
        let fraction = match self.eat(b'.') {
            Some(()) => self.take_digits().filter(|digits| !digits.is_empty())?,
            None => "",
        };
        if whole.len() + fraction.len() > DIGITS_MAX {
            return None;
        }
        let digits = whole.bytes().chain(fraction.bytes());
        let number = digits.fold(0_u64, |number, digit| 10 * number + u64::from(digit - b'0'));
        let number = number as f64 / POWERS.get(fraction.len())?;
        Some(if minus { -number } else { number })
    }

    /// At least one digit, and no zero before others.
    fn digits(&mut self) -> Option<&'a str> {
        self.take_digits().filter(|digits| !digits.is_empty() && (digits.len() == 1 || !digits.starts_with('0')))
    }

    fn take_digits(&mut self) -> Option<&'a str> {
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(digits)
    }

    /// An object of strings, numbers, `true`, `false` and `null`, as it is spelled. Where it is none, nothing is read.
    pub fn flat(&mut self) -> Option<&'a str> {
        let mut ahead = *self;
        ahead.eat(b'{')?;
        loop {
            ahead.name()?;
            ahead.scalar()?;
            if !ahead.more()? {
                break;
            }
        }
        let (object, rest) = self.0.split_at_checked(self.0.len() - ahead.0.len())?;
        self.0 = rest;
        Some(object)
    }

    fn scalar(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.text().map(drop),
            b'-' | b'0'..=b'9' => self.decimal().map(drop),
            _ => {
                self.0 = ["true", "false", "null"].iter().find_map(|word| self.0.strip_prefix(word))?;
                Some(())
            }
        }
    }
}

/// How many bytes there are before a quote, a backslash or what would have to be escaped. Eight at a time: in a word a byte
/// is zero where one was sought, and borrows from the next where it was zero, so that the lowest one found is right.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * b'"' as u64));
        let backslashes = zeros(word ^ (ONES * b'\\' as u64));
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quotes | backslashes | controls) & HIGHS;
        if found != 0 {
            return 8 * index + found.trailing_zeros() as usize / 8;
        }
    }
    let plain = |byte: &&u8| !matches!(**byte, b'"' | b'\\' | 0..=0x1f);
    8 * words.len() + tail.iter().take_while(plain).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_of_what_is_plain() {
        for length in 0..20 {
            for at in 0..length {
                for end in 0..=u8::MAX {
                    let mut bytes = vec![b'!'; length];
                    bytes[at] = end;
                    // Behind it something that a borrow could take for an end, and one that is.
                    bytes[at + 1..].fill(b'#');
                    bytes.push(b'"');
                    let ends = matches!(end, b'"' | b'\\' | 0..=0x1f);
                    assert_eq!(plain_length(&bytes), if ends { at } else { length }, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn flat_objects_are_json() {
        let flat = |text: &'static str| {
            let mut cursor = Cursor(text);
            cursor.flat().map(|object| (object, cursor.0))
        };
        let object = r#"{"a":-1.50,"ü":"x","b":true,"c":null,"d":false,"e":0}"#;
        assert_eq!(flat(object), Some((object, "")));
        assert_eq!(flat(r#"{"a":1},"b""#), Some((r#"{"a":1}"#, r#","b""#)));
        for other in [r#"{}"#, r#"{"a":01}"#, r#"{"a":1.}"#, r#"{"a":.5}"#, r#"{"a":-}"#, r#"{"a":nul}"#, r#"{"a":1,}"#]
        {
            assert_eq!(flat(other), None, "{other}");
        }
    }

    #[test]
    fn decimals_are_those_of_the_general_parser() {
        for text in ["0", "-0", "7", "-12.5", "0.1", "0.12345678901234", "123456789012345", "99999.9999999999", "-0.0"]
        {
            let number = Cursor(text).decimal();
            assert_eq!(number, text.parse().ok(), "{text}");
            assert_eq!(number, serde_json::from_str(text).ok(), "{text}");
        }
        assert_eq!(Cursor("1234567890123456").decimal(), None);
    }
}
