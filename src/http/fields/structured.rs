//! Structured field values (RFC 9651, which obsoletes RFC 8941), as far as caches meet them: dictionaries.

use super::trim;

/// A bare item (§3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Item<'a> {
    Integer(i64),
    Boolean(bool),
    String(String),
    Token(&'a [u8]),
    /// A decimal, a byte sequence, a date, a display string or an inner list: well-formed, and of no use to a cache.
    Other,
}

/// The members of a dictionary (§4.2.2) with their values; parameters are read and dropped. Of a key that stands twice
/// the last value counts. `None` where anything is wrong anywhere: then the whole field is to be ignored (§4.2).
pub(in crate::http) fn dictionary(input: &[u8]) -> Option<Vec<(&[u8], Item<'_>)>> {
    let mut parser = Parser { rest: trim_spaces(input) };
    let mut members: Vec<(&[u8], Item<'_>)> = Vec::new();
    while !parser.rest.is_empty() {
        let key = parser.key()?;
        let value = if parser.eat(b'=') { parser.member()? } else { Item::Boolean(true) };
        parser.parameters()?;
        match members.iter_mut().find(|(known, _)| *known == key) {
            Some(member) => member.1 = value,
            None => members.push((key, value)),
        }
        parser.rest = trim_start(parser.rest);
        if parser.rest.is_empty() {
            return Some(members);
        }
        parser.eat(b',').then_some(())?;
        parser.rest = trim_start(parser.rest);
        // A comma at the end is an error.
        (!parser.rest.is_empty()).then_some(())?;
    }
    Some(members)
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let eats = self.peek() == Some(byte);
        if eats {
            self.next();
        }
        eats
    }

    fn take_while(&mut self, holds: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !holds(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        let first = self.peek()?;
        (first.is_ascii_lowercase() || first == b'*').then_some(())?;
        Some(self.take_while(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
        }))
    }

    /// An item or an inner list.
    fn member(&mut self) -> Option<Item<'a>> {
        if !self.eat(b'(') {
            return self.item();
        }
        loop {
            self.take_while(|byte| byte == b' ');
            if self.eat(b')') {
                return Some(Item::Other);
            }
            self.item()?;
            self.parameters()?;
            matches!(self.peek()?, b' ' | b')').then_some(())?;
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.take_while(|byte| byte == b' ');
            self.key()?;
            if self.eat(b'=') {
                self.item()?;
            }
        }
        Some(())
    }

    fn item(&mut self) -> Option<Item<'a>> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => {
                self.next();
                match self.next()? {
                    b'1' => Some(Item::Boolean(true)),
                    b'0' => Some(Item::Boolean(false)),
                    _ => None,
                }
            }
            b':' => {
                self.next();
                self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
                self.eat(b':').then_some(Item::Other)
            }
            b'@' => {
                self.next();
                matches!(self.number()?, Item::Integer(_)).then_some(Item::Other)
            }
            b'%' => {
                self.next();
                self.string().map(|_| Item::Other)
            }
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                Some(Item::Token(self.take_while(|byte| super::is_tchar(byte) || matches!(byte, b':' | b'/'))))
            }
            _ => None,
        }
    }

    /// At most 15 digits; a decimal at most 12 and 3.
    fn number(&mut self) -> Option<Item<'a>> {
        let negative = self.eat(b'-');
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        if self.eat(b'.') {
            let fraction = self.take_while(|byte| byte.is_ascii_digit());
            return (matches!(digits.len(), 1..=12) && matches!(fraction.len(), 1..=3)).then_some(Item::Other);
        }
        matches!(digits.len(), 1..=15).then_some(())?;
        let value = digits.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
        Some(Item::Integer(if negative { -value } else { value }))
    }

    fn string(&mut self) -> Option<Item<'a>> {
        self.eat(b'"').then_some(())?;
        let mut content = String::new();
        loop {
            let byte = match self.next()? {
                b'"' => return Some(Item::String(content)),
                b'\\' => self.next().filter(|byte| matches!(byte, b'"' | b'\\'))?,
                byte @ b' '..=b'~' => byte,
                _ => return None,
            };
            content.push(char::from(byte));
        }
    }
}

fn trim_spaces(bytes: &[u8]) -> &[u8] {
    // Tabs may not stand at the ends, only around commas.
    let mut bytes = bytes;
    while let [b' ', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let tail = trim(bytes).len();
    let start = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or(if tail == 0 { &[] } else { bytes })
}
