//! [`ConnectionId`]: the name that the server gives an open connection.

use std::{fmt, str::FromStr};

/// The name of an open connection: 128 random bits, made by the server, written as 32 hexadecimal digits.
///
/// The client is told it, so that it can name its connection when it [renews](crate::RenewalService) it by a request of
/// its own. It is no credential: whoever knows it has to prove in addition that the connection is theirs.
///
/// # Examples
///
/// ```
/// use tower_warden::ConnectionId;
///
/// let id: ConnectionId = "00f067aa0ba902b700f067aa0ba902b7".parse()?;
/// assert_eq!(id.to_string(), "00f067aa0ba902b700f067aa0ba902b7");
/// assert!("00F067AA".parse::<ConnectionId>().is_err());
/// # Ok::<(), tower_warden::MalformedConnectionId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId([u8; 16]);

impl ConnectionId {
    /// A name that nobody can guess.
    pub(super) fn random() -> Self {
        let mut bytes = [0; 16];
        // Without randomness no hash map of this process could have been made, nor any TLS handshake been answered.
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes)
    }

    /// One of that many buckets; as random as the name itself.
    pub(super) fn bucket(self, buckets: usize) -> usize {
        let [first, second, ..] = self.0;
        usize::from(u16::from_ne_bytes([first, second])) % buckets
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({self})")
    }
}

/// A text that is no [`ConnectionId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a connection id consists of 32 lower-case hexadecimal digits")]
#[non_exhaustive]
pub struct MalformedConnectionId;

impl FromStr for ConnectionId {
    type Err = MalformedConnectionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(MalformedConnectionId);
        }
        u128::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| MalformedConnectionId)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let ids = [
            ConnectionId::random(),
            ConnectionId([0; 16]),
            ConnectionId([0xff; 16]),
        ];
        for id in ids {
            assert_eq!(id.to_string().len(), 32);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_ne!(ConnectionId::random(), ConnectionId::random());
    }

    #[test]
    fn one_id_has_one_spelling() {
        let good = ConnectionId([0xab; 16]).to_string();
        let table = [
            String::new(),
            good.to_uppercase(),
            format!(" {good}"),
            format!("0{good}"),
            good[1..].to_owned(),
            format!("+{}", &good[1..]),
            format!("0x{}", &good[2..]),
            "é".repeat(16),
        ];
        for text in table {
            assert_eq!(
                text.parse::<ConnectionId>(),
                Err(MalformedConnectionId),
                "{text}"
            );
        }
    }
}
