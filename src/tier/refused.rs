//! Why bytes from a store are not believed.

use std::fmt;

/// Why bytes from a store are no envelope that may be believed. To whoever asked it is a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refused {
    /// They don't begin as envelopes do.
    Foreign,
    /// A version that this one does not read.
    Version(u8),
    /// They end too early, or go on too long.
    Truncated,
    /// Some of it can't be: a kind, flag, number or string that no writer writes.
    Malformed,
    /// They are broken.
    Checksum,
    /// Signatures are wanted, and there is none.
    Unsigned,
    /// Signed with a secret that is not among ours.
    UnknownSigner,
    /// Signed with another secret than it says, or changed since.
    Signature,
    /// It was stored under another name.
    OtherName,
    /// A value where a mark belongs, or the other way round.
    OtherKind,
    /// Stored in the future, by more than clocks may differ.
    Future,
}

impl Refused {
    /// A stable name for figures and logs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Version(_) => "version",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Checksum => "checksum",
            Self::Unsigned => "unsigned",
            Self::UnknownSigner => "unknown signer",
            Self::Signature => "signature",
            Self::OtherName => "other name",
            Self::OtherKind => "other kind",
            Self::Future => "future",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Refused {}
