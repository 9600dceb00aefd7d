//! [`Row`]: a request, answered in two ways, and how many allocations the second may add to the first.

use http::StatusCode;
use tower_warden::{
    Algorithm::{self, ES256, EdDSA, HS256, RS256},
    CookieToken, QueryParameter, RejectionKind, TokenSource,
};

use crate::{
    alone::{Extraction, Nothing},
    connection,
    in_place::{self, Front},
    measure::{self, Counting, Face},
    samples::{Place, Sample},
    tokens,
};

/// What is counted is `measured` less `bare`, for the same requests.
pub struct Row {
    pub name: String,
    pub bare: Box<dyn Face>,
    pub measured: Box<dyn Face>,
    /// One that is sent again and again, or as many as are sent.
    pub samples: Vec<Sample>,
    /// What both answer.
    pub status: StatusCode,
    /// How many allocations may be added to a request: what was set down before anything was built, where it was.
    pub budget: Option<i64>,
}

/// A token that nobody has seen before: itself, its text and its payload, one in reserve, and the extension. That it is
/// kept for the next time costs none: the cache makes its places by the page, and the first requests have it make them.
const FIRST_SEEN: i64 = 4 + EXTENSION;
/// A token that is known, however it came, is found by its text, and what it says stands there already.
const REPEATED: i64 = EXTENSION;
/// `http::Extensions` with one value in it.
const EXTENSION: i64 = 3;

/// Makes a service of one framework.
type Framework = fn(Front<'_>) -> Box<dyn Face>;

/// Every row that is counted in this way, ready for its first request.
pub fn rows(counting: Counting) -> Vec<Row> {
    let mut rows = Vec::from(extractions());
    rows.extend(responses());
    let frameworks: [(&str, Framework); 3] = [
        ("tower", in_place::tower),
        ("axum", in_place::axum),
        ("hyper", connection::hyper),
    ];
    for (name, framework) in frameworks {
        rows.push(exempt(name, framework));
        rows.extend(repeated(name, framework));
        rows.extend(first_seen(name, framework, counting));
        rows.extend(refused(name, framework));
    }
    rows
}

/// What it takes to find a token, before anybody looks at it.
fn extractions() -> [Row; 2] {
    let row = |name: &str, source: Box<dyn TokenSource>, place| Row {
        name: format!("extract/{name}"),
        bare: nothing(StatusCode::OK),
        measured: Box::new(Extraction { source, next: None }),
        samples: good(RS256, 1, place),
        status: StatusCode::OK,
        budget: Some(0),
    };
    let cookie = CookieToken::new("jwt_token").unwrap();
    let query = QueryParameter::access_token().everywhere();
    [
        row("cookie", Box::new(cookie), Place::Cookie),
        row("query", Box::new(query), Place::Query),
    ]
}

/// What it takes to answer with a refusal.
fn responses() -> [Row; 2] {
    let row = |name: &str, kind: RejectionKind| Row {
        name: format!("respond/{name}"),
        bare: nothing(kind.status()),
        measured: in_place::tower(Front::Refusal(kind)),
        samples: vec![Sample::anonymous("/chat")],
        status: kind.status(),
        budget: None,
    };
    [
        row("no-token", RejectionKind::TokenMissing),
        row("expired", RejectionKind::TokenExpired),
    ]
}

fn exempt(name: &str, framework: Framework) -> Row {
    Row {
        name: format!("{name}/exempt"),
        bare: framework(Front::Nothing),
        measured: framework(Front::Guard(&tokens::guard(HS256, Place::Header))),
        samples: vec![Sample::anonymous("/health")],
        status: StatusCode::OK,
        budget: Some(0),
    }
}

/// A token that is known already.
fn repeated(name: &str, framework: Framework) -> [Row; 5] {
    let row = |what: &str, guard, algorithm, place, budget| Row {
        name: format!("{name}/repeat/{what}"),
        bare: framework(Front::Nothing),
        measured: framework(Front::Guard(&guard)),
        samples: good(algorithm, 1, place),
        status: StatusCode::OK,
        budget,
    };
    let of_one = |what, algorithm, place, budget| {
        let guard = tokens::guard(algorithm, place);
        row(what, guard, algorithm, place, budget)
    };
    let of_ten = tokens::guard_of_ten(HS256);
    [
        of_one("HS256", HS256, Place::Header, Some(REPEATED)),
        of_one("RS256", RS256, Place::Header, Some(REPEATED)),
        of_one("cookie", HS256, Place::Cookie, Some(REPEATED)),
        // The inner service gets a URI without the token, which is a new one: what that allocates beyond the extension
        // stands in the file alone.
        of_one("query", HS256, Place::Query, None),
        row("ten-issuers", of_ten, HS256, Place::Header, Some(REPEATED)),
    ]
}

/// Tokens that nobody has seen before.
fn first_seen(name: &str, framework: Framework, counting: Counting) -> Vec<Row> {
    let algorithms = match counting {
        Counting::Allocations => &[HS256, RS256, ES256, EdDSA][..],
        // Most instructions of the others are those of the signature check, which is not ours.
        Counting::Instructions => &[HS256],
    };
    let row = |&algorithm| Row {
        name: format!("{name}/first-seen/{algorithm:?}"),
        bare: framework(Front::Nothing),
        measured: framework(Front::Guard(&tokens::guard(algorithm, Place::Header))),
        samples: good(algorithm, measure::REQUESTS_IN_ALL, Place::Header),
        status: StatusCode::OK,
        budget: Some(FIRST_SEEN),
    };
    algorithms.iter().map(row).collect()
}

/// Beyond the refusal itself, which is what these are compared with.
fn refused(name: &str, framework: Framework) -> [Row; 4] {
    let row = |what: &str, kind: RejectionKind, sample| Row {
        name: format!("{name}/refused/{what}"),
        bare: framework(Front::Refusal(kind)),
        measured: framework(Front::Guard(&tokens::guard(RS256, Place::Header))),
        samples: vec![sample],
        status: kind.status(),
        budget: Some(0),
    };
    let with = |token: &str| Sample::with_token(token, Place::Header);
    let (no_dots, unknown) = ("no-dots-at-all".repeat(66), tokens::of_unknown_key(RS256));
    let expired = tokens::expired(RS256);
    [
        row(
            "no-token",
            RejectionKind::TokenMissing,
            Sample::anonymous("/chat"),
        ),
        row("no-dots", RejectionKind::TokenMalformed, with(&no_dots)),
        row("unknown-key", RejectionKind::KeyUnknown, with(&unknown)),
        row("expired", RejectionKind::TokenExpired, with(&expired)),
    ]
}

fn good(algorithm: Algorithm, count: usize, place: Place) -> Vec<Sample> {
    let tokens = tokens::good(algorithm, count);
    tokens
        .iter()
        .map(|token| Sample::with_token(token, place))
        .collect()
}

fn nothing(status: StatusCode) -> Box<dyn Face> {
    Box::new(Nothing { status, next: None })
}
