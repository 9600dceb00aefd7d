//! Any request head: no source panics, what a source sees at a glance is there, and what it has concealed it no longer
//! finds.
//!
//! Each line of the input is a header field if it has a colon, and else the request target.
#![no_main]

use http::{HeaderName, HeaderValue, Request, Uri};
use libfuzzer_sys::fuzz_target;
use tower_warden::{
    AuthorizationHeader, CookieToken, Glance, HeadRef, QueryParameter, TokenSource,
};

fuzz_target!(|data: &[u8]| {
    let (mut head, ()) = Request::new(()).into_parts();
    for line in data.split(|&byte| byte == b'\n') {
        match line
            .iter()
            .position(|&byte| byte == b':')
            .map(|colon| line.split_at(colon))
        {
            Some((name, value)) => {
                let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
                if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
                    head.headers.append(name, value);
                }
            }
            None => {
                if let Ok(target) = Uri::try_from(line) {
                    head.uri = target;
                }
            }
        }
    }
    // And whether they leave the token where it was.
    let sources: [(Box<dyn TokenSource>, bool); 5] = [
        (Box::new(AuthorizationHeader::new()), true),
        (Box::new(AuthorizationHeader::new().removed()), false),
        (Box::new(QueryParameter::access_token()), false),
        (Box::new(QueryParameter::access_token().everywhere()), false),
        (
            Box::new(CookieToken::new("jwt_token").expect("the name is a token")),
            true,
        ),
    ];
    for (source, leaves) in sources {
        let found = source
            .extract(HeadRef::from(&head))
            .map(|token| token.map(|token| token.expose().to_owned()));
        let is_plain = |bytes: &[u8]| {
            !matches!(bytes, [] | [b'=', ..])
                && bytes.iter().all(|byte| (b'-'..=b'z').contains(byte))
        };
        match source.glance(HeadRef::from(&head)) {
            Glance::Nothing => assert!(matches!(found, Ok(None)), "{source:?}"),
            Glance::Token(bytes) if is_plain(bytes) => {
                let token = found.as_ref().ok().and_then(Option::as_ref);
                assert_eq!(token.map(String::as_bytes), Some(bytes), "{source:?}");
            }
            _ => {}
        }
        let Ok(Some(token)) = found else {
            continue;
        };
        assert!(!token.is_empty());
        let mut concealed = head.clone();
        source.conceal(&mut concealed);
        if !leaves {
            assert!(
                matches!(source.extract(HeadRef::from(&concealed)), Ok(None)),
                "{source:?}"
            );
        }
    }
});
