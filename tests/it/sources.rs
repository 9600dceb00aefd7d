//! Where a token may travel: no input is too odd, and slower readers agree.

use cookie::Cookie;
use http::{HeaderName, HeaderValue, Request, Uri, header, request::Parts};
use proptest::{collection::vec, prelude::*};
use tower_warden::{
    AuthorizationHeader, CookieToken, HeadRef, MalformedCredentials, QueryParameter, TokenSource,
};

type Found = Result<Option<String>, MalformedCredentials>;

fn extract(source: &impl TokenSource, head: &Parts) -> Found {
    let token = source.extract(HeadRef::from(head))?;
    Ok(token.map(|token| token.expose().to_owned()))
}

fn head(uri: Uri, lines: Vec<(HeaderName, HeaderValue)>) -> Parts {
    let (mut head, ()) = Request::get(uri).body(()).unwrap().into_parts();
    for (name, value) in lines {
        head.headers.append(name, value);
    }
    head
}

fn value() -> impl Strategy<Value = HeaderValue> {
    prop_oneof![
        vec(any::<u8>(), 0..60),
        "(?i-u)(bearer|basic)?[ \t]*[ -~]{0,20}".prop_map(String::into_bytes),
        "(jwt_token ?=?|[;, \t=\"a]){0,12}".prop_map(String::into_bytes),
    ]
    .prop_filter_map("no header value", |bytes| {
        HeaderValue::from_bytes(&bytes).ok()
    })
}

/// Queries around the name `token`, from well-formed to hopeless.
fn query() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("token".to_owned()),
        Just("access_token".to_owned()),
        Just("%74oken".to_owned()),
        Just("tok%65n".to_owned()),
        Just("s3cret-s3cret".to_owned()),
        Just("%C3%A9".to_owned()),
        "[=&%+?/a-z0-9é]{0,4}",
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn uri() -> impl Strategy<Value = Uri> {
    let start = prop_oneof![
        Just("/"),
        Just("/a/b"),
        Just("//"),
        Just("http://h"),
        Just("http://h:81/a"),
        Just("https://u:p@h/"),
        Just("/é"),
        Just("/a%2fb"),
    ];
    (start, query()).prop_filter_map("no URI", |(start, query)| {
        format!("{start}?{query}").parse().ok()
    })
}

/// What `form_urlencoded` makes of the query, and what follows from that by our rules.
fn token_by_form(query: &str) -> Found {
    let is_ours =
        |pair: &&str| form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == "token");
    let ours: Vec<_> = query.split('&').filter(is_ours).collect();
    let [pair] = ours[..] else {
        return match ours[..] {
            [] => Ok(None),
            _ => Err(MalformedCredentials::Repeated),
        };
    };
    let (_, value) = form_urlencoded::parse(pair.as_bytes()).next().unwrap();
    let whole_escapes = pair
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    // It puts this sign where bytes are no UTF-8; nothing here generates the sign itself.
    if whole_escapes && !value.is_empty() && !value.contains('\u{fffd}') {
        Ok(Some(value.into_owned()))
    } else {
        Err(MalformedCredentials::Unreadable)
    }
}

fn pairs(uri: &Uri) -> Vec<&str> {
    let query = uri.query().unwrap_or_default();
    query.split('&').filter(|pair| !pair.is_empty()).collect()
}

fn names_a_token(pair: &str) -> bool {
    form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == "token")
}

#[test]
fn a_plain_token_is_borrowed_from_the_request() {
    let (head, ()) = Request::get("/a?x=1&access_token=a.b.c")
        .header("authorization", "Bearer a.b.c")
        .header("cookie", "x=1; jwt_token=a.b.c")
        .body(())
        .unwrap()
        .into_parts();
    let places = [
        head.headers[header::AUTHORIZATION].as_bytes(),
        head.uri.query().unwrap().as_bytes(),
        head.headers[header::COOKIE].as_bytes(),
    ];
    let sources: [&dyn TokenSource; 3] = [
        &AuthorizationHeader::new(),
        &QueryParameter::access_token().everywhere(),
        &CookieToken::new("jwt_token").unwrap(),
    ];
    for (source, place) in sources.into_iter().zip(places) {
        let token = source.extract(HeadRef::from(&head)).unwrap().unwrap();
        let start = token.expose().as_ptr();
        assert!(place.as_ptr_range().contains(&start), "{}", source.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_request_makes_a_source_panic(
        uri in uri(),
        authorization in vec(value(), 0..3),
        cookies in vec(value(), 0..3),
        upgrades in vec(value(), 0..3),
    ) {
        let lines = authorization
            .into_iter()
            .map(|value| (header::AUTHORIZATION, value))
            .chain(cookies.into_iter().map(|value| (header::COOKIE, value)))
            .chain(upgrades.into_iter().map(|value| (header::UPGRADE, value)))
            .collect();
        let mut head = head(uri, lines);
        let _ = extract(&AuthorizationHeader::new(), &head);
        let _ = extract(&CookieToken::new("jwt_token").unwrap(), &head);
        for source in [QueryParameter::access_token(), QueryParameter::new("token").unwrap().everywhere()] {
            let _ = extract(&source, &head);
            source.conceal(&mut head);
        }
    }

    #[test]
    fn a_query_is_read_as_a_form(query in query()) {
        let Ok(uri) = format!("/a?{query}").parse::<Uri>() else { return Ok(()) };
        let source = QueryParameter::new("token").unwrap().everywhere();
        let expected = token_by_form(uri.query().unwrap_or_default());
        prop_assert_eq!(extract(&source, &head(uri, vec![])), expected, "{}", query);
    }

    #[test]
    fn what_is_concealed_is_gone_and_all_else_keeps_its_bytes(before in uri()) {
        let source = QueryParameter::new("token").unwrap().everywhere();
        let mut head = head(before.clone(), vec![]);
        source.conceal(&mut head);
        let after = &head.uri;

        prop_assert_eq!(extract(&source, &head), Ok(None));
        let kept: Vec<_> = pairs(&before).into_iter().filter(|pair| !names_a_token(pair)).collect();
        prop_assert_eq!(pairs(after), kept);
        prop_assert_eq!(after.path(), before.path());
        prop_assert_eq!(after.authority(), before.authority());
        prop_assert_eq!(after.scheme(), before.scheme());
        if before.query().is_some_and(|query| query.split('&').any(names_a_token)) {
            prop_assert_ne!(after.query(), Some(""), "a dangling question mark: {}", after);
            let doubled = |uri: &Uri| uri.to_string().matches("&&").count();
            prop_assert!(doubled(after) <= doubled(&before), "{} {}", before, after);
        } else {
            prop_assert_eq!(after.to_string(), before.to_string());
        }
    }

    #[test]
    fn the_token_text_is_nowhere_in_the_uri_afterwards(
        token in "[A-Za-z0-9_-]{20}\\.[A-Za-z0-9_-]{20}",
        others in vec("[a-z%+]{0,3}=?[a-z+]{0,5}", 0..6),
        place in any::<prop::sample::Index>(),
    ) {
        let mut pairs = others;
        pairs.insert(place.index(pairs.len() + 1), format!("access_token={token}"));
        let query = pairs.join("&");
        let mut head = head(format!("/a?{query}").parse().unwrap(), vec![]);
        let source = QueryParameter::access_token().everywhere();
        prop_assert_eq!(extract(&source, &head), Ok(Some(token.clone())));
        source.conceal(&mut head);
        let shown = format!("{head:?}");
        prop_assert!(!shown.contains(&token), "{}", shown);
    }

    #[test]
    fn a_well_formed_cookie_header_is_read_as_the_cookie_crate_does(
        jar in vec((prop_oneof![Just("jwt_token".to_owned()), "[a-z_]{1,10}"], "[!#-+--:<-\\[\\]-~]{0,12}"), 0..8),
        split in 0usize..8,
    ) {
        let line = |jar: &[(String, String)]| {
            let pairs: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            (header::COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap())
        };
        // HTTP/2 may split the header anywhere between two cookies.
        let (one, two) = jar.split_at(split.min(jar.len()));
        let head = head(Uri::from_static("/"), vec![line(one), line(two)]);

        let whole = line(&jar).1;
        let ours: Vec<_> = Cookie::split_parse(whole.to_str().unwrap())
            .flatten()
            .filter(|cookie| cookie.name() == "jwt_token")
            .map(|cookie| cookie.value().to_owned())
            .collect();
        let expected = match &ours[..] {
            [] => Ok(None),
            [value] if value.is_empty() => Ok(None),
            [value] => Ok(Some(value.clone())),
            _ => Err(MalformedCredentials::Repeated),
        };
        prop_assert_eq!(extract(&CookieToken::new("jwt_token").unwrap(), &head), expected);
    }

    #[test]
    fn a_header_with_a_token_of_the_grammar_is_read_and_a_list_or_blank_never(text in "(Bearer|bearer) {0,2}[!-~ ]{0,8}=?") {
        let lines = vec![(header::AUTHORIZATION, HeaderValue::from_str(&text).unwrap())];
        let token = text[6..].trim_matches(' ');
        let body = token.trim_end_matches('=');
        let separated = text.as_bytes().get(6) == Some(&b' ');
        let grammatical = separated
            && !body.is_empty()
            && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        let found = extract(&AuthorizationHeader::new(), &head(Uri::from_static("/"), lines));
        if grammatical {
            prop_assert_eq!(found, Ok(Some(token.to_owned())));
        } else if !separated || body.is_empty() || body.contains([' ', ',']) {
            prop_assert!(!matches!(found, Ok(Some(_))), "{:?}", found);
        }
    }
}
