//! The registered claims ([RFC 7519 §4.1]): found in one scan, believed after the signature.
//!
//! [RFC 7519 §4.1]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1

use std::time::Duration;

use super::{
    actor::Actor,
    date::{Rounding, numeric_date},
    json::{self, Value},
    rules::{Audience, Presence, Profile, Rules},
    strings::{Strings, Text},
};
use crate::{NumericDate, RejectionKind, clock};

/// Where the claims stand in the payload. Nothing is judged yet.
#[derive(Debug, Default)]
pub(super) struct Members {
    issuer: Option<Value>,
    subject: Option<Value>,
    audience: Option<Value>,
    /// Read where it is found, since it is asked for twice: before the signature is checked, and after.
    expires_at: Option<Result<NumericDate, RejectionKind>>,
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
    ) -> Result<(), RejectionKind> {
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
                    self.expires_at = Some(numeric_date(&value, payload, Rounding::Down));
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
                RejectionKind::TokenExpired
            } else {
                RejectionKind::TokenMalformed
            }
        })
    }

    fn has_expired(&self, rules: &Rules, now: Duration) -> bool {
        matches!(self.expires_at, Some(Ok(expiry)) if has_passed(expiry, rules.leeway, now))
    }

    /// Judges the claims of a token whose signature has been verified.
    pub(super) fn judge(
        &self,
        payload: &str,
        rules: &Rules,
        now: Duration,
    ) -> Result<Claims, RejectionKind> {
        let date = |value: &Option<Value>, rounding| {
            let value = value.as_ref();
            value
                .map(|value| numeric_date(value, payload, rounding))
                .transpose()
        };
        let text = |value: &Option<Value>| {
            let value = value.as_ref();
            value.map(|value| Text::take(value, payload)).transpose()
        };
        let claims = Claims {
            expires_at: self.expires_at.transpose()?,
            not_before: date(&self.not_before, Rounding::Up)?,
            issued_at: date(&self.issued_at, Rounding::Down)?,
            issuer: text(&self.issuer)?,
            subject: text(&self.subject)?,
            token_id: text(&self.token_id)?,
            client_id: text(&self.client_id)?,
            session_id: text(&self.session_id)?,
            audiences: match &self.audience {
                Some(value) => Strings::take(value, payload, Strings::One)?,
                None => Strings::None,
            },
            scopes: self.scopes(payload, rules)?,
            roles: self.roles(payload, rules)?,
            actor: match &self.actor {
                Some(value) => Some(Box::new(Actor::take(value, payload)?)),
                None => None,
            },
        };
        claims.check_times(rules, now)?;
        claims.check_issuer(payload, rules)?;
        claims.check_audience(self.audience.is_some(), payload, rules)?;
        claims.check_subject(payload, rules)?;
        claims.check_profile(payload, rules)?;
        Ok(claims)
    }

    /// `scope` as one string of words ([RFC 8693 §4.2], [RFC 9068 §2.2.3]); `scp`, a string or an array, of Entra and
    /// Okta where there is no `scope`; or the claim that was configured in their place.
    ///
    /// [RFC 8693 §4.2]: https://www.rfc-editor.org/rfc/rfc8693#section-4.2
    /// [RFC 9068 §2.2.3]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3
    fn scopes(&self, payload: &str, rules: &Rules) -> Result<Strings, RejectionKind> {
        let found = match &rules.scopes {
            Some(path) => self.scope.and_then(|first| path.follow(first, payload)),
            None => self.scope.or(self.scp),
        };
        found.map_or(Ok(Strings::None), |value| {
            Strings::take(&value, payload, Strings::Words)
        })
    }

    fn roles(&self, payload: &str, rules: &Rules) -> Result<Strings, RejectionKind> {
        let path = rules.roles.as_ref().zip(self.roles);
        let found = path.and_then(|(path, first)| path.follow(first, payload));
        found.map_or(Ok(Strings::None), |value| {
            Strings::take(&value, payload, Strings::One)
        })
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

    /// Judges what time alone may change: asked of a new token, and again whenever a known one comes.
    pub(super) fn check_times(&self, rules: &Rules, now: Duration) -> Result<(), RejectionKind> {
        match self.expires_at {
            Some(expiry) if has_passed(expiry, rules.leeway, now) => {
                return Err(RejectionKind::TokenExpired);
            }
            None if rules.expiry == Presence::Required => return Err(RejectionKind::ClaimInvalid),
            _ => {}
        }
        // A token issued in the future is one of a broken clock or of a forger, as one that is not valid yet; but one that
        // was issued just now, beside us, is neither, though our clock has not ticked since.
        let soonest = now.saturating_add(rules.leeway).saturating_add(clock::LAG);
        if [self.not_before, self.issued_at]
            .into_iter()
            .flatten()
            .any(|begin| seconds(begin) > soonest)
        {
            return Err(RejectionKind::TokenNotYetValid);
        }
        if let Some(max_age) = rules.max_age {
            let issued_at = self.issued_at.ok_or(RejectionKind::ClaimInvalid)?;
            if has_passed(issued_at, max_age.saturating_add(rules.leeway), now) {
                return Err(RejectionKind::TokenTooOld);
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

    fn check_issuer(&self, payload: &str, rules: &Rules) -> Result<(), RejectionKind> {
        let found = self.issuer.as_ref().map(|issuer| issuer.of(payload));
        match &rules.issuer {
            Some(wanted) if found != Some(wanted.as_str()) => Err(RejectionKind::IssuerMismatch),
            _ => Ok(()),
        }
    }

    fn check_audience(
        &self,
        present: bool,
        payload: &str,
        rules: &Rules,
    ) -> Result<(), RejectionKind> {
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
            Err(RejectionKind::AudienceMismatch)
        }
    }

    fn check_subject(&self, payload: &str, rules: &Rules) -> Result<(), RejectionKind> {
        match &self.subject {
            Some(subject) if !subject.of(payload).is_empty() => Ok(()),
            None if rules.subject == Presence::Waived => Ok(()),
            _ => Err(RejectionKind::ClaimInvalid),
        }
    }
}

impl Claims {
    /// What an access token has to say beyond other tokens ([RFC 9068 §2.2]).
    ///
    /// [RFC 9068 §2.2]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2
    fn check_profile(&self, payload: &str, rules: &Rules) -> Result<(), RejectionKind> {
        let named = |text: &Option<Text>| {
            let text = text.as_ref();
            text.is_some_and(|text| !text.of(payload).is_empty())
        };
        match rules.profile {
            Profile::Any => Ok(()),
            Profile::AccessToken
                if self.issued_at.is_some() && named(&self.token_id) && named(&self.client_id) =>
            {
                Ok(())
            }
            Profile::AccessToken => Err(RejectionKind::ClaimInvalid),
        }
    }
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
