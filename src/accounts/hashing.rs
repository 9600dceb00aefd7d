//! [`PasswordHashing`]: how passwords are hashed, and which stored hashes are believed.

use std::fmt;

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use bcrypt::HashParts;

use super::password::Password;
use crate::ConfigError;

/// The most bytes that bcrypt reads; what lies behind them would count for nothing.
const LONGEST_BCRYPT: usize = 72;

/// The most bytes of a password under Argon2id, which reads them all.
const LONGEST_ARGON2: usize = 1024;

/// The costs of bcrypt that a policy may ask for. A hash of the highest takes two seconds or so.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 10..=15;

/// The greatest cost of a stored Argon2id hash: memory in KiB, passes, lanes.
const GREATEST_ARGON2: (u32, u32, u32) = (256 * 1024, 16, 16);

/// How passwords are hashed from now on: bcrypt of cost 12 by default.
///
/// Hashes of both methods are verified, so that a table goes on working when the policy changes; a login whose hash is of
/// another method or cost than the policy's hashes the password anew.
///
/// # Examples
///
/// ```
/// use tower_warden::accounts::PasswordHashing;
///
/// assert_eq!(PasswordHashing::default(), PasswordHashing::bcrypt(12)?);
/// let slower_by_memory = PasswordHashing::argon2id(19 * 1024, 2, 1)?;
/// assert!(PasswordHashing::bcrypt(4).is_err(), "guessed in no time");
/// assert!(PasswordHashing::bcrypt(31).is_err(), "nobody waits a day for a login");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordHashing(Method);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Bcrypt {
        cost: u32,
    },
    /// Memory in KiB, passes and lanes.
    Argon2id {
        memory: u32,
        passes: u32,
        lanes: u32,
    },
}

impl Default for PasswordHashing {
    fn default() -> Self {
        Self(Method::Bcrypt { cost: 12 })
    }
}

impl PasswordHashing {
    /// bcrypt of that cost, from 10 to 15: each step doubles the time. Passwords have 72 bytes at most.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for another cost.
    pub fn bcrypt(cost: u32) -> Result<Self, ConfigError> {
        if !BCRYPT_COSTS.contains(&cost) {
            return Err(ConfigError::Setting {
                name: "PasswordHashing::bcrypt",
                value: cost.to_string(),
                problem: "below 10 passwords are guessed, above 15 a login takes seconds",
            });
        }
        Ok(Self(Method::Bcrypt { cost }))
    }

    /// Argon2id ([RFC 9106]) with that much memory in KiB, that many passes and lanes. Passwords have 1024 bytes at most.
    ///
    /// OWASP recommends at least 19 MiB with two passes and one lane: `argon2id(19 * 1024, 2, 1)`.
    ///
    /// [RFC 9106]: https://www.rfc-editor.org/rfc/rfc9106
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] under 7 MiB with five passes or what is worth as much, over 256 MiB, or beyond 16 passes
    /// or lanes.
    pub fn argon2id(memory: u32, passes: u32, lanes: u32) -> Result<Self, ConfigError> {
        let method = Method::Argon2id {
            memory,
            passes,
            lanes,
        };
        // The cheapest of OWASP's equals: 7 MiB and five passes.
        let enough = memory >= 7 * 1024 && u64::from(memory) * u64::from(passes) >= 5 * 7 * 1024;
        if !enough
            || !is_bearable(memory, passes, lanes)
            || Params::new(memory, passes, lanes, None).is_err()
        {
            return Err(ConfigError::Setting {
                name: "PasswordHashing::argon2id",
                value: format!("{memory} KiB, {passes} passes, {lanes} lanes"),
                problem: "take at least 19 MiB with 2 passes or 7 MiB with 5, and at most 256 MiB, 16 passes, 16 lanes",
            });
        }
        Ok(Self(method))
    }

    /// bcrypt of the lowest cost there is: for tests that sign in a thousand times.
    ///
    /// # Security
    ///
    /// Whoever reads the table guesses such passwords.
    #[must_use]
    pub const fn dangerous_for_tests() -> Self {
        Self(Method::Bcrypt { cost: 4 })
    }

    /// The most bytes of a new password.
    pub(super) const fn longest(self) -> usize {
        match self.0 {
            Method::Bcrypt { .. } => LONGEST_BCRYPT,
            Method::Argon2id { .. } => LONGEST_ARGON2,
        }
    }

    /// Hashes a password that fits.
    pub(super) fn hash(self, password: &[u8]) -> Result<String, HashFault> {
        match self.0 {
            Method::Bcrypt { cost } => {
                bcrypt::hash(password, cost).map_err(|_| HashFault("bcrypt did not hash"))
            }
            Method::Argon2id { .. } => {
                let hash = self.argon2()?.hash_password(password);
                let hash = hash.map_err(|_| HashFault("Argon2id did not hash"))?;
                Ok(hash.to_string())
            }
        }
    }

    fn argon2(self) -> Result<Argon2<'static>, HashFault> {
        let Method::Argon2id {
            memory,
            passes,
            lanes,
        } = self.0
        else {
            return Err(HashFault("another method than Argon2id"));
        };
        let params = Params::new(memory, passes, lanes, None);
        let params = params.map_err(|_| HashFault("Argon2id does not take these parameters"))?;
        Ok(Argon2::new(
            argon2::Algorithm::Argon2id,
            argon2::Version::V0x13,
            params,
        ))
    }

    /// A hash of this method that no password has: its salt and its digest are zeros.
    fn dummy(self) -> String {
        match self.0 {
            Method::Bcrypt { cost } => format!("$2b${cost:02}${}", ".".repeat(53)),
            Method::Argon2id {
                memory,
                passes,
                lanes,
            } => {
                let (salt, digest) = ("A".repeat(22), "A".repeat(43));
                format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${digest}")
            }
        }
    }

    /// Does the work of verifying a password, for the sake of its time.
    fn waste(self) {
        let dummy = self.dummy();
        let _ = Stored::read(&dummy).and_then(|stored| stored.verify(b"nobody's"));
    }

    /// Verifies a password against the hash of an account, or takes as long where there is no such account, no hash that
    /// can be believed, or no password that can be one.
    pub(super) fn verify(
        self,
        password: &Password,
        hash: Option<&str>,
    ) -> Result<Verified, HashFault> {
        let stored = match hash.map(Stored::read) {
            Some(Ok(stored)) if password.fits(stored.method.longest()) => stored,
            Some(Ok(_)) | None => {
                self.waste();
                return Ok(Verified::Wrong);
            }
            Some(Err(fault)) => {
                self.waste();
                return Err(fault);
            }
        };
        if !stored.verify(password.as_bytes())? {
            self.beyond(stored.method).into_iter().for_each(Self::waste);
            return Ok(Verified::Wrong);
        }
        Ok(if stored.method == self {
            Verified::Right
        } else {
            Verified::RightButOld
        })
    }

    /// What has to be done beside a hash of an older policy, so that a wrong password takes as long as it does for a name
    /// that nobody has.
    fn beyond(self, done: Self) -> Vec<Self> {
        match (done.0, self.0) {
            _ if done == self => Vec::new(),
            // Twice the old cost and each one between: together one of the new.
            (Method::Bcrypt { cost: done }, Method::Bcrypt { cost }) => (done..cost)
                .map(|cost| Self(Method::Bcrypt { cost }))
                .collect(),
            _ => vec![self],
        }
    }
}

fn is_bearable(memory: u32, passes: u32, lanes: u32) -> bool {
    let (most_memory, most_passes, most_lanes) = GREATEST_ARGON2;
    memory <= most_memory && passes <= most_passes && lanes <= most_lanes
}

/// What became of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verified {
    Wrong,
    Right,
    /// Right, and its hash is of another policy than the present one.
    RightButOld,
}

/// Why a hash can be neither made nor believed. It never holds a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct HashFault(&'static str);

/// A hash as it stands in the table, read and found bearable.
struct Stored<'h> {
    method: PasswordHashing,
    text: &'h str,
}

impl<'h> Stored<'h> {
    /// Reads a hash that somebody else may have written: one that would take hours, or all memory, is refused.
    fn read(text: &'h str) -> Result<Self, HashFault> {
        let method = if text.starts_with("$argon2") {
            let hash = PasswordHash::new(text);
            let hash = hash.map_err(|_| HashFault("a stored Argon2 hash cannot be read"))?;
            if hash.algorithm.as_str() != "argon2id" || hash.hash.is_none() {
                return Err(HashFault("a stored Argon2 hash is not one of Argon2id"));
            }
            let params = Params::try_from(&hash);
            let params = params.map_err(|_| HashFault("a stored Argon2 hash cannot be read"))?;
            let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
            if !is_bearable(memory, passes, lanes) {
                return Err(HashFault(
                    "a stored Argon2 hash takes more time or memory than is allowed",
                ));
            }
            Method::Argon2id {
                memory,
                passes,
                lanes,
            }
        } else {
            let unknown = HashFault("a stored password hash is none that is known");
            // A sign before the cost is read as a part of the number.
            let digits = text
                .get(4..6)
                .filter(|it| it.bytes().all(|b| b.is_ascii_digit()));
            digits.ok_or(unknown)?;
            let parts: HashParts = text.parse().map_err(|_| unknown)?;
            let cost = parts.get_cost();
            if !(4..=*BCRYPT_COSTS.end()).contains(&cost) {
                return Err(HashFault(
                    "a stored bcrypt hash takes more time than is allowed",
                ));
            }
            Method::Bcrypt { cost }
        };
        Ok(Self {
            method: PasswordHashing(method),
            text,
        })
    }

    fn verify(&self, password: &[u8]) -> Result<bool, HashFault> {
        match self.method.0 {
            Method::Bcrypt { .. } => {
                bcrypt::verify(password, self.text).map_err(|_| HashFault("bcrypt did not verify"))
            }
            Method::Argon2id { .. } => {
                let hash = PasswordHash::new(self.text)
                    .map_err(|_| HashFault("a stored Argon2 hash cannot be read"))?;
                // Parameters are those of the hash, which have been found bearable.
                Ok(Argon2::default().verify_password(password, &hash).is_ok())
            }
        }
    }
}

impl fmt::Display for PasswordHashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Method::Bcrypt { cost } => write!(f, "bcrypt, cost {cost}"),
            Method::Argon2id {
                memory,
                passes,
                lanes,
            } => write!(f, "Argon2id, {memory} KiB, {passes} passes, {lanes} lanes"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const FAST: PasswordHashing = PasswordHashing::dangerous_for_tests();

    fn argon2() -> PasswordHashing {
        PasswordHashing::argon2id(7 * 1024, 5, 1).unwrap()
    }

    fn verify(policy: PasswordHashing, password: &str, hash: &str) -> Result<Verified, HashFault> {
        policy.verify(&Password::new(password), Some(hash))
    }

    #[test]
    fn either_method_verifies_both() {
        let hashes = [FAST, argon2()].map(|method| method.hash(b"correct horse").unwrap());
        for (policy, own) in [(FAST, 0), (argon2(), 1)] {
            for (index, hash) in hashes.iter().enumerate() {
                let right = match index == own {
                    true => Verified::Right,
                    false => Verified::RightButOld,
                };
                assert_eq!(verify(policy, "correct horse", hash), Ok(right));
                assert_eq!(verify(policy, "correct horsf", hash), Ok(Verified::Wrong));
            }
        }
    }

    const FOREIGN: [&str; 5] = [
        // bcryptjs, as EdgeOne's template uses it; the Python package bcrypt 5.0, twice; argon2-cffi 25.1, twice.
        "$2b$05$ED1V9h4OBNYWKOyz7x.bPePqsZezkCoXf1Wd4UBVRNJffyYPxdT0q",
        "$2b$05$8d3ngKsSPf6I6pNHvOej1ubXEeQGcfl9G4dpKrMwRmXW/zUV52nfG",
        "$2a$05$ltnUPDRdmhMWBxHpiE59Tu3PiEpV.D0ckEXbN9B4M1h0bQYzQ3cFe",
        "$argon2id$v=19$m=8192,t=2,p=1$4uX/fF6One8tqos0Z3isig$e4kWR781xOuwGlbqTUSwzVWRynFqi8Z1MRlrCgJQO20",
        "$argon2id$v=19$m=8192,t=2,p=4$60WRoIsfCEW91N1uU9IL4g$q3pNwDaQkPz29Y8qR5POxMVPp3hhgIMRTmyelbf2Qs4",
    ];

    /// What other libraries made of `correct horse battery`.
    #[test]
    fn hashes_of_other_libraries_are_verified() {
        for hash in FOREIGN {
            let right = verify(FAST, "correct horse battery", hash);
            assert_eq!(right, Ok(Verified::RightButOld), "{hash}");
            assert_eq!(verify(FAST, "wrong", hash), Ok(Verified::Wrong), "{hash}");
        }
    }

    /// Hazards 8, "bcrypt cuts at 72 bytes": the 72nd counts, and no 73rd is cut off.
    #[test]
    fn hazard_bcrypt_cuts_at_72_bytes() {
        let longest = "a".repeat(72);
        let hash = FAST.hash(longest.as_bytes()).unwrap();
        assert_eq!(verify(FAST, &longest, &hash), Ok(Verified::Right));
        let near = "a".repeat(71) + "b";
        for other in [near, "a".repeat(71), "a".repeat(73), "a".repeat(1_000)] {
            assert_eq!(verify(FAST, &other, &hash), Ok(Verified::Wrong), "{other}");
        }
        // With all that Argon2id allows a hash of bcrypt is still one of 72 bytes.
        let longer = "a".repeat(73);
        assert_eq!(verify(argon2(), &longer, &hash), Ok(Verified::Wrong));
    }

    /// Hazards 8, "NUL in password".
    #[test]
    fn hazard_nul_in_password() {
        let hash = FAST.hash(b"a\0b").unwrap();
        for text in ["a\0b", "a\0c", "a"] {
            assert_eq!(verify(FAST, text, &hash), Ok(Verified::Wrong), "{text:?}");
        }
    }

    /// Hazards 8, "panic on a bad stored hash" (RUSTSEC-2026-0199), and hashes that would take hours or all memory.
    #[test]
    fn hazard_panic_on_a_bad_stored_hash() {
        let good = FAST.hash(b"correct horse").unwrap();
        let poisoned = [
            String::new(),
            String::from("$"),
            String::from("correct horse"),
            String::from("\0"),
            "é".repeat(30),
            format!("$2b$12${}é", ".".repeat(51)),
            good.replacen("$04$", "$31$", 1),
            good.replacen("$04$", "$16$", 1),
            good.replacen("$04$", "$00$", 1),
            good.replacen("$04$", "$+4$", 1),
            good.replacen("$04$", "$-1$", 1),
            good.replacen("$2b$", "$2c$", 1),
            good[..59].to_owned(),
            good.clone() + "A",
            good.to_uppercase(),
            String::from("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA"),
            String::from(
                "$argon2id$v=19$m=4294967295,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            ),
            String::from(
                "$argon2id$v=19$m=19456,t=4294967295,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            ),
            String::from(
                "$argon2id$v=19$m=19456,t=2,p=16777215$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            ),
            String::from(
                "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            ),
            String::from("$argon2id$v=19$m=,t=,p=$$"),
            String::from("$argon2"),
        ];
        for hash in poisoned {
            let fault = verify(FAST, "correct horse", &hash);
            assert!(
                fault.is_err_and(|fault| !fault.to_string().contains("$")),
                "{hash}"
            );
        }
    }

    #[test]
    fn no_password_has_the_dummy() {
        for method in [FAST, PasswordHashing::default(), argon2()] {
            let dummy = method.dummy();
            assert_eq!(Stored::read(&dummy).unwrap().method, method);
        }
        for method in [FAST, argon2()] {
            let verified = verify(method, "nobody's", &method.dummy());
            assert_eq!(verified, Ok(Verified::Wrong));
        }
    }

    /// Hazards 8, "user enumeration by timing": the work for a wrong password is that for an unknown name, although the
    /// hash is older than the policy. 2^cost is what bcrypt does.
    #[test]
    fn hazard_user_enumeration_by_timing() {
        let work = |method: PasswordHashing| match method.0 {
            Method::Bcrypt { cost } => 1_u64 << cost,
            Method::Argon2id { .. } => 0,
        };
        let policy = PasswordHashing::bcrypt(12).unwrap();
        for cost in 4..=12 {
            let stored = PasswordHashing(Method::Bcrypt { cost });
            let beside: u64 = policy.beyond(stored).into_iter().map(work).sum();
            assert_eq!(work(stored) + beside, work(policy), "cost {cost}");
        }
        assert_eq!(argon2().beyond(policy), [argon2()]);
    }

    #[test]
    fn a_policy_is_neither_weak_nor_unbearable() {
        for (cost, accepted) in [(0, false), (9, false), (10, true), (15, true), (16, false)] {
            assert_eq!(PasswordHashing::bcrypt(cost).is_ok(), accepted, "{cost}");
        }
        for (memory, passes, lanes, accepted) in [
            (19 * 1024, 2, 1, true),
            (7 * 1024, 5, 1, true),
            (46 * 1024, 1, 1, true),
            (7 * 1024, 4, 1, false),
            (1024, 16, 1, false),
            (256 * 1024 + 1, 2, 1, false),
            (19 * 1024, 17, 1, false),
            (19 * 1024, 2, 17, false),
            (19 * 1024, 0, 1, false),
            (19 * 1024, 2, 0, false),
        ] {
            let policy = PasswordHashing::argon2id(memory, passes, lanes);
            assert_eq!(policy.is_ok(), accepted, "{memory} {passes} {lanes}");
        }
    }
}
