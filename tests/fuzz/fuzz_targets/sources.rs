//! Any request head: no source panics, and what a source has concealed it no longer finds.
//!
//! Each line of the input is a header field if it has a colon, and else the request target.
#![no_main]

use http::{HeaderName, HeaderValue, Request, Uri};
use libfuzzer_sys::fuzz_target;
use tower_warden::{HeadRef, AuthorizationHeader, CookieToken, QueryParameter, TokenSource};

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
    let sources: [Box<dyn TokenSource>; 4] = [
        Box::new(AuthorizationHeader::new().removed()),
        Box::new(QueryParameter::access_token()),
        Box::new(QueryParameter::access_token().everywhere()),
        Box::new(CookieToken::new("jwt_token").expect("the name is a token")),
    ];
    for source in sources {
        let found = source
            .extract(HeadRef::from(&head))
            .map(|token| token.map(|token| token.expose().to_owned()));
        let Ok(Some(token)) = found else {
            continue;
        };
        assert!(!token.is_empty());
        let mut concealed = head.clone();
        source.conceal(&mut concealed);
        if !source.is_ambient() {
            assert!(matches!(source.extract(HeadRef::from(&concealed)), Ok(None)), "{source:?}");
        }
    }
});
