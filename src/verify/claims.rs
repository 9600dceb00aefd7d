//! The registered claims ([RFC 7519 §4.1]): found in one scan, believed after the signature.
//!
//! [RFC 7519 §4.1]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1

use std::time::Duration;

use super::{
    actor::Actor,
    date::{Rounding, numeric_date},
    json::{self, Value, WrongType},
    rules::{Audience, Presence, Profile, Rules},
    strings::{Strings, Text},
};
use crate::{
    NumericDate, Rejection, RejectionKind, clock,
    refuse::{Claim, Found},
};

/// The last second that a token may expire in: 9999-12-31T23:59:59Z. No calendar of ours goes further, and what ends later
/// is a mistake or an attempt to last for ever.
const LAST_EXPIRY: u64 = 253_402_300_799;

/// Where the claims stand in the payload. Nothing is judged yet.
#[derive(Debug, Default)]
pub(super) struct Members {
    issuer: Option<Value>,
    subject: Option<Value>,
    audience: Option<Value>,
    expiry: Option<Value>,
    /// Read where it is found, since it is asked for twice: before the signature is checked, and after.
    expires_at: Option<NumericDate>,
    not_before: Option<Value>,
    issued_at: Option<Value>,
    token_id: Option<Value>,
    client_id: Option<Value>,
    session_id: Option<Value>,
    actor: Option<Value>,
    scope: Option<Value>,
    scp: Option<Value>,
    roles: Option<Value>,
}

/// The claims of a token that was verified, as places in its payload.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) issuer: Option<Text>,
    pub(super) subject: Option<Text>,
    pub(super) audiences: Strings,
    pub(super) expires_at: Option<NumericDate>,
    pub(super) not_before: Option<NumericDate>,
    pub(super) issued_at: Option<NumericDate>,
    pub(super) token_id: Option<Text>,
    pub(super) client_id: Option<Text>,
    pub(super) session_id: Option<Text>,
    pub(super) actor: Option<Box<Actor>>,
    pub(super) scopes: Strings,
    pub(super) roles: Strings,
}

impl Members {
    /// Finds the claims in a payload, which must be one JSON object without duplicate members. A token that says of itself
    /// that it has expired is refused where it says so: neither is the rest of it read, nor the price of a signature check
    /// paid for it.
    ///
    /// In place, as a copy of all places takes longer than some of them.
    pub(super) fn find(
        &mut self,
        payload: &str,
        rules: &Rules,
        now: Duration,
    ) -> Result<(), Rejection> {
        json::scan_while(payload, |name, value| {
            let found = Some(value);
            let begins = |path: &super::ClaimPath| path.begins_with(name);
            if rules.scopes.as_ref().is_some_and(begins) {
                self.scope = found;
            }
            if rules.roles.as_ref().is_some_and(begins) {
                self.roles = found;
            }
            match name {
                b"iss" => self.issuer = found,
                b"sub" => self.subject = found,
                b"aud" => self.audience = found,
                b"exp" => {
                    self.expiry = found;
                    self.expires_at = numeric_date(&value, payload, Rounding::Down).ok();
                    return !self.has_expired(rules, now);
                }
                b"nbf" => self.not_before = found,
                b"iat" => self.issued_at = found,
                b"jti" => self.token_id = found,
                b"client_id" => self.client_id = found,
                b"sid" => self.session_id = found,
                b"act" => self.actor = found,
                b"scope" if rules.scopes.is_none() => self.scope = found,
                b"scp" if rules.scopes.is_none() => self.scp = found,
                _ => {}
            }
            true
        })
        .map_err(|json::Invalid| {
            if self.has_expired(rules, now) {
                blame(
                    RejectionKind::TokenExpired,
                    Claim::ExpiresAt,
                    Found::OtherValue,
                )
            } else {
                RejectionKind::TokenMalformed.into()
            }
        })
    }

    fn has_expired(&self, rules: &Rules, now: Duration) -> bool {
        self.expires_at
            .is_some_and(|expiry| has_passed(expiry, rules.leeway, now))
    }

    /// Judges the claims of a token whose signature has been verified. The rejection holds the value of the claim that it
    /// names.
    pub(super) fn judge(
        &self,
        payload: &str,
        rules: &Rules,
        now: Duration,
    ) -> Result<Claims, Rejection> {
        self.read(payload, rules)
            .and_then(|claims| claims.check(payload, rules, now).map(|()| claims))
            .map_err(|rejection| self.show(rejection, payload, rules))
    }

    /// Reads each claim as its type. `null` in an optional claim counts as absent.
    fn read(&self, payload: &str, rules: &Rules) -> Result<Claims, Rejection> {
        let wrong =
            |claim| move |WrongType| blame(RejectionKind::ClaimInvalid, claim, Found::WrongType);
        let present = |value: Option<Value>| value.filter(|value| !value.is_null(payload));
        let date = |claim, value, rounding| {
            present(value)
                .map(|value| numeric_date(&value, payload, rounding))
                .transpose()
                .map_err(wrong(claim))
        };
        let text = |claim, value: Option<Value>| {
            value
                .map(|value| Text::take(&value, payload))
                .transpose()
                .map_err(wrong(claim))
        };
        let strings = |claim, value, one: fn(Text) -> Strings| match present(value) {
            Some(value) => Strings::take(&value, payload, one).map_err(wrong(claim)),
            None => Ok(Strings::None),
        };
        if self.expiry.is_some() && self.expires_at.is_none() {
            return Err(wrong(Claim::ExpiresAt)(WrongType));
        }
        Ok(Claims {
            expires_at: self.expires_at,
            not_before: date(Claim::NotBefore, self.not_before, Rounding::Up)?,
            issued_at: date(Claim::IssuedAt, self.issued_at, Rounding::Down)?,
            issuer: text(Claim::Issuer, present(self.issuer))?,
            // `null` is no subject, and not the absence of one.
            subject: text(Claim::Subject, self.subject)?,
            token_id: text(Claim::TokenId, present(self.token_id))?,
            client_id: text(Claim::ClientId, present(self.client_id))?,
            session_id: text(Claim::SessionId, present(self.session_id))?,
            audiences: strings(Claim::Audience, self.audience, Strings::One)?,
            scopes: match present(self.scope_value(payload, rules)) {
                Some(value) => strings(Claim::Scope, Some(value), Strings::Words)?,
                None => strings(Claim::Scp, self.scp, Strings::Words)?,
            },
            roles: match present(self.roles_value(payload, rules)) {
                Some(value) => Strings::take_roles(&value, payload).map_err(wrong(Claim::Roles))?,
                None => Strings::None,
            },
            actor: match present(self.actor) {
                Some(value) => {
                    let actor = Actor::take(&value, payload).map_err(wrong(Claim::Actor))?;
                    Some(Box::new(actor))
                }
                None => None,
            },
        })
    }

    /// Adds the value of the claim that a rejection names, for the log.
    #[cold]
    fn show(&self, rejection: Rejection, payload: &str, rules: &Rules) -> Rejection {
        let value = match rejection.blamed() {
            Some(Claim::Issuer) => self.issuer,
            Some(Claim::Subject) => self.subject,
            Some(Claim::Audience) => self.audience,
            Some(Claim::ExpiresAt) => self.expiry,
            Some(Claim::NotBefore) => self.not_before,
            Some(Claim::IssuedAt) => self.issued_at,
            Some(Claim::TokenId) => self.token_id,
            Some(Claim::SessionId) => self.session_id,
            Some(Claim::ClientId) => self.client_id,
            Some(Claim::Actor) => self.actor,
            Some(Claim::Scope) => self.scope_value(payload, rules),
            Some(Claim::Scp) => self.scp,
            Some(Claim::Roles) => self.roles_value(payload, rules),
            Some(Claim::Type | Claim::TokenType | Claim::TokenUse) | None => None,
        };
        let Some(value) = value else {
            return rejection;
        };
        match value.string(payload) {
            Some(text) => rejection.with_found(&text),
            None => rejection.with_found(value.span.of(payload)),
        }
    }

    /// `scope` as one string of words ([RFC 8693 §4.2], [RFC 9068 §2.2.3]); `scp`, a string or an array, of Entra and
    /// Okta where there is no `scope`; or the claim that was configured in their place, which takes the name of `scope`.
    ///
    /// [RFC 8693 §4.2]: https://www.rfc-editor.org/rfc/rfc8693#section-4.2
    /// [RFC 9068 §2.2.3]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3
    fn scope_value(&self, payload: &str, rules: &Rules) -> Option<Value> {
        match &rules.scopes {
            Some(path) => path.follow(self.scope?, payload),
            None => self.scope,
        }
    }

    fn roles_value(&self, payload: &str, rules: &Rules) -> Option<Value> {
        rules.roles.as_ref()?.follow(self.roles?, payload)
    }
}

impl Claims {
    /// How many bytes they take beside the payload and themselves.
    pub(super) fn heap_size(&self) -> usize {
        let texts = [
            &self.issuer,
            &self.subject,
            &self.token_id,
            &self.client_id,
            &self.session_id,
        ];
        let texts = texts.into_iter().flatten().map(Text::heap_size);
        let lists = [&self.audiences, &self.scopes, &self.roles];
        let lists = lists.into_iter().map(Strings::heap_size);
        let actor = self.actor.as_ref().map_or(0, |actor| actor.size());
        texts.chain(lists).sum::<usize>() + actor
    }

    /// Checks everything that the rules demand of a token that can be read.
    fn check(&self, payload: &str, rules: &Rules, now: Duration) -> Result<(), Rejection> {
        self.check_expiry()?;
        self.check_times(rules, now)?;
        self.check_issuer(payload, rules)?;
        self.check_audience(payload, rules)?;
        self.check_subject(payload, rules)?;
        self.check_profile(payload, rules)
    }

    /// Checks that a calendar knows the end.
    fn check_expiry(&self) -> Result<(), Rejection> {
        match self.expires_at {
            Some(expiry) if expiry.as_secs() > LAST_EXPIRY => Err(blame(
                RejectionKind::ClaimInvalid,
                Claim::ExpiresAt,
                Found::OtherValue,
            )),
            _ => Ok(()),
        }
    }

    /// Judges what time alone may change: asked of a new token, and again whenever a known one comes.
    pub(super) fn check_times(&self, rules: &Rules, now: Duration) -> Result<(), Rejection> {
        let refuse = |kind, claim| Err(blame(kind, claim, Found::OtherValue));
        match self.expires_at {
            Some(expiry) if has_passed(expiry, rules.leeway, now) => {
                return refuse(RejectionKind::TokenExpired, Claim::ExpiresAt);
            }
            None if rules.expiry == Presence::Required => return Err(absent(Claim::ExpiresAt)),
            _ => {}
        }
        // A token issued in the future is one of a broken clock or of a forger, as one that is not valid yet; but one that
        // was issued just now, beside us, is neither, though our clock has not ticked since.
        let soonest = now.saturating_add(rules.leeway).saturating_add(clock::LAG);
        for (begin, claim) in [
            (self.not_before, Claim::NotBefore),
            (self.issued_at, Claim::IssuedAt),
        ] {
            if begin.is_some_and(|begin| seconds(begin) > soonest) {
                return refuse(RejectionKind::TokenNotYetValid, claim);
            }
        }
        if let Some(max_age) = rules.max_age {
            let issued_at = self.issued_at.ok_or_else(|| absent(Claim::IssuedAt))?;
            if has_passed(issued_at, max_age.saturating_add(rules.leeway), now) {
                return refuse(RejectionKind::TokenTooOld, Claim::IssuedAt);
            }
        }
        Ok(())
    }

    /// The first instant at which [`check_times`](Self::check_times) would refuse them as expired or too old.
    pub(super) fn accepted_until(&self, rules: &Rules) -> Option<Duration> {
        let after = |date: NumericDate, span| seconds(date).saturating_add(span);
        let expiry = self.expires_at.map(|date| after(date, rules.leeway));
        let too_old = self.issued_at.zip(rules.max_age);
        let too_old = too_old.map(|(date, age)| after(date, age.saturating_add(rules.leeway)));
        [expiry, too_old].into_iter().flatten().min()
    }

    fn check_issuer(&self, payload: &str, rules: &Rules) -> Result<(), Rejection> {
        let found = self.issuer.as_ref().map(|issuer| issuer.of(payload));
        match &rules.issuer {
            Some(wanted) if found != Some(wanted.as_str()) => Err(blame(
                RejectionKind::IssuerMismatch,
                Claim::Issuer,
                found.map_or(Found::Absent, |_| Found::OtherValue),
            )),
            _ => Ok(()),
        }
    }

    fn check_audience(&self, payload: &str, rules: &Rules) -> Result<(), Rejection> {
        let present = !matches!(self.audiences, Strings::None);
        let admitted = match &rules.audience {
            Audience::Anybody => true,
            Audience::Unnamed => !present,
            Audience::OneOf(_) if !present && rules.audience_presence == Presence::Waived => true,
            Audience::OneOf(names) => self
                .audiences
                .of(payload)
                .any(|found| names.iter().any(|name| name == found)),
        };
        if admitted {
            Ok(())
        } else {
            Err(blame(
                RejectionKind::AudienceMismatch,
                Claim::Audience,
                if present {
                    Found::OtherValue
                } else {
                    Found::Absent
                },
            ))
        }
    }

    fn check_subject(&self, payload: &str, rules: &Rules) -> Result<(), Rejection> {
        match &self.subject {
            Some(subject) if !subject.of(payload).is_empty() => Ok(()),
            Some(_) => Err(blame(
                RejectionKind::ClaimInvalid,
                Claim::Subject,
                Found::OtherValue,
            )),
            None if rules.subject == Presence::Waived => Ok(()),
            None => Err(absent(Claim::Subject)),
        }
    }

    /// What an access token has to say beyond other tokens ([RFC 9068 §2.2]).
    ///
    /// [RFC 9068 §2.2]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2
    fn check_profile(&self, payload: &str, rules: &Rules) -> Result<(), Rejection> {
        if rules.profile == Profile::Any {
            return Ok(());
        }
        if self.issued_at.is_none() {
            return Err(absent(Claim::IssuedAt));
        }
        for (text, claim) in [
            (&self.token_id, Claim::TokenId),
            (&self.client_id, Claim::ClientId),
        ] {
            match text {
                Some(text) if !text.of(payload).is_empty() => {}
                Some(_) => {
                    let kind = RejectionKind::ClaimInvalid;
                    return Err(blame(kind, claim, Found::OtherValue));
                }
                None => return Err(absent(claim)),
            }
        }
        Ok(())
    }
}

/// The rejection of a token because of this claim.
const fn blame(kind: RejectionKind, claim: Claim, found: Found) -> Rejection {
    Rejection::of_claim(kind, claim, found)
}

/// The rejection of a token that lacks this claim.
const fn absent(claim: Claim) -> Rejection {
    blame(RejectionKind::ClaimInvalid, claim, Found::Absent)
}

/// Whether `span` after `date` is now or before now ([RFC 7519 §4.1.4]: "on or after").
///
/// [RFC 7519 §4.1.4]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4
fn has_passed(date: NumericDate, span: Duration, now: Duration) -> bool {
    now >= seconds(date).saturating_add(span)
}

fn seconds(date: NumericDate) -> Duration {
    Duration::from_secs(date.as_secs())
}
