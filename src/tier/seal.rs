//! How an envelope shows that it is whole, and whose it is: a checksum, or a signature.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::refused::Refused;

const CHECKSUM: usize = 8;
const KEY_ID: usize = 4;
const SIGNATURE: usize = 32;

/// Without secrets the first 8 bytes of the SHA-256, which find what broke by chance. With secrets an HMAC-SHA-256 (RFC 2104), so that whoever can
/// write to a store can't make us believe what we did not write; then envelopes without a signature are refused.
///
/// To rotate: add the new secret after the old one everywhere, then put it first, then take the old one away when what it
/// signed has expired.
#[derive(Clone, Default)]
pub struct Seal {
    /// The first one signs, all of them verify.
    secrets: Vec<Secret>,
}

#[derive(Clone)]
struct Secret {
    id: [u8; KEY_ID],
    mac: Hmac<Sha256>,
}

impl Seal {
    /// Adds a secret of any length; 32 random bytes are what HMAC-SHA-256 can use.
    #[must_use]
    pub fn with_secret(mut self, secret: &[u8]) -> Self {
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(secret));
        if let Ok(mac) = Hmac::new_from_slice(secret) {
            self.secrets.push(Secret { id: [a, b, c, d], mac });
        }
        self
    }

    /// Whether envelopes are signed.
    pub fn signs(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// How many bytes [`close`](Self::close) adds.
    pub(super) fn len(&self) -> usize {
        if self.signs() { KEY_ID + SIGNATURE } else { CHECKSUM }
    }

    /// Adds to the end of `bytes` what [`open`](Self::open) wants there.
    pub(super) fn close(&self, bytes: &mut Vec<u8>) {
        match self.secrets.first() {
            Some(Secret { id, mac }) => {
                let signature = mac.clone().chain_update(&*bytes).finalize().into_bytes();
                bytes.extend_from_slice(id);
                bytes.extend_from_slice(&signature);
            }
            None => {
                let checksum = checksum(bytes);
                bytes.extend_from_slice(&checksum);
            }
        }
    }

    /// What is under the seal. `signed`: by what the envelope says of itself.
    pub(super) fn open<'a>(&self, bytes: &'a [u8], signed: bool) -> Result<&'a [u8], Refused> {
        match (signed, self.signs()) {
            (true, true) => self.verify(bytes),
            (false, true) => Err(Refused::Unsigned),
            // Nobody here can tell whose it is, and nobody asked.
            (true, false) => Err(Refused::UnknownSigner),
            (false, false) => {
                let (body, end) = split_end::<CHECKSUM>(bytes)?;
                if checksum(body) == end { Ok(body) } else { Err(Refused::Checksum) }
            }
        }
    }

    fn verify<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], Refused> {
        let (rest, signature) = split_end::<SIGNATURE>(bytes)?;
        let (body, id) = split_end::<KEY_ID>(rest)?;
        let secret = self.secrets.iter().find(|secret| secret.id == id).ok_or(Refused::UnknownSigner)?;
        // In constant time.
        secret.mac.clone().chain_update(body).verify_slice(&signature).map_err(|_| Refused::Signature)?;
        Ok(body)
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    [a, b, c, d, e, f, g, h]
}

fn split_end<const N: usize>(bytes: &[u8]) -> Result<(&[u8], [u8; N]), Refused> {
    let (body, end) = bytes.split_last_chunk::<N>().ok_or(Refused::Truncated)?;
    Ok((body, *end))
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal({} secrets)", self.secrets.len())
    }
}

/// SHA-256 in hexadecimal digits, for names that are too long for a store.
pub(crate) fn digest(text: &str) -> String {
    use std::fmt::Write;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        // Writing to a string can't fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
