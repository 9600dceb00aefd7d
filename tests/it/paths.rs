//! Which requests need credentials: the dialect, the precedence of rules, and every way around them that was tried
//! elsewhere.

use http::Method;
use proptest::prelude::*;
use tower_warden::{Access, CompiledPaths, ConfigError, Paths, Rule};

use Access::{Optional, Public, Required};

#[track_caller]
fn access(paths: &CompiledPaths, method: &Method, path: &str) -> Access {
    let decision = paths.decide(method, path);
    // The explanation is for a path without query: those that hold one are cut there and may differ.
    if !path.contains(['?', '#']) {
        let explanation = paths.explain(method.as_str(), path).unwrap();
        assert_eq!(explanation.access(), decision.access(), "{explanation}");
        assert_eq!(explanation.rule(), decision.rule(), "{explanation}");
    }
    decision.access()
}

#[track_caller]
fn assert_access(paths: &Paths, rows: &[(&str, Access)]) {
    let paths = paths.compile().unwrap();
    for &(path, wanted) in rows {
        assert_eq!(access(&paths, &Method::GET, path), wanted, "GET {path}");
    }
}

fn agents() -> Paths {
    Paths::all()
        .exempt("/")
        .exempt("/health")
        .exempt("/auth/*")
        .exempt("/static/**")
        .protect("/auth/ticket")
}

fn edgeone() -> Paths {
    Paths::only([
        "/chat/:path*",
        "/stop/:path*",
        "/history/:path*",
        "/agents/:path*",
    ])
}

#[test]
fn everything_is_protected_by_default() {
    let rows = [
        ("/", Required),
        ("/health", Required),
        ("/a/b/c", Required),
        ("/%41", Required),
        ("", Required),
    ];
    assert_access(&Paths::default(), &rows);
    assert_access(&Paths::all(), &rows);
}

#[test]
fn the_ticket_of_the_design_is_guarded() {
    assert_access(
        &agents(),
        &[
            ("/", Public),
            ("/health", Public),
            ("/auth/login", Public),
            ("/auth/login/github", Public),
            ("/auth/user%20name", Public),
            ("/static", Public),
            ("/static/", Public),
            ("/static/a/caf%C3%A9.css", Public),
            ("/auth", Required),
            ("/auth/", Required),
            ("/auth/login/", Required),
            ("/auth/ticket", Required),
            ("/auth/ticket/", Required),
            ("/auth/ticket/x", Required),
            ("/auth/Ticket", Required),
            ("/auth/%74icket", Required),
            ("/auth/tick%45t/x", Required),
            ("/auth/tickets", Public),
            ("/auth/../chat", Required),
            ("/chat", Required),
        ],
    );
}

#[test]
fn the_four_matchers_of_edgeone_cover_their_trees_and_no_neighbours() {
    for tree in ["/chat", "/stop", "/history", "/agents"] {
        let paths = edgeone().compile().unwrap();
        for below in [
            "", "/", "/a", "/a/b", "/a/b/", "/a%20b", "//", "/.", "/./a", "/;x", ";x", "%2fa",
            "%00", "?a=b",
        ] {
            let path = format!("{tree}{below}");
            assert_eq!(access(&paths, &Method::GET, &path), Required, "{path}");
            let path = path.to_uppercase();
            assert_eq!(access(&paths, &Method::POST, &path), Required, "{path}");
        }
        for neighbour in ["ter", "-room", ".html", "2/a"] {
            let path = format!("{tree}{neighbour}");
            assert_eq!(access(&paths, &Method::GET, &path), Public, "{path}");
            let path = format!("/public{tree}");
            assert_eq!(access(&paths, &Method::GET, &path), Public, "{path}");
        }
    }
    assert_access(
        &edgeone(),
        &[
            ("/", Public),
            ("/login", Public),
            ("//login", Public),
            ("/a/../b", Public),
        ],
    );
}

#[test]
fn the_most_specific_rule_wins_and_a_tie_protects() {
    let table: &[(Paths, &[(&str, Access)])] = &[
        (
            Paths::all().protect("/admin").exempt("/admin/login"),
            &[
                ("/admin", Required),
                ("/admin/login", Public),
                ("/admin/login/", Required),
                ("/admin/x", Required),
            ],
        ),
        (
            Paths::only(["/admin"])
                .exempt("/admin/login")
                .exempt("/admin/assets/**"),
            &[
                ("/x", Public),
                ("/admin/login", Public),
                ("/admin/LOGIN", Required),
                ("/admin/./login", Required),
                ("/admin/%6cogin", Required),
                ("/admin/assets/a/b", Public),
                ("/admin/assets/../users", Required),
            ],
        ),
        // The same pattern said twice, in either order and either case of letters.
        (
            Paths::all().exempt("/a").protect("/a"),
            &[("/a", Required), ("/a/b", Required)],
        ),
        (Paths::all().protect("/A").exempt("/a"), &[("/a", Required)]),
        (
            Paths::all().exempt("/a/").protect("/a"),
            &[("/a/", Required)],
        ),
        (
            Paths::all().exempt("/a/*").protect("/a/*"),
            &[("/a/b", Required), ("/a/b/c", Required)],
        ),
        (
            Paths::all().exempt("/a/**").protect("/a/:rest+"),
            &[("/a", Public), ("/a/", Public), ("/a/b", Required)],
        ),
        (
            Paths::all().optional("/a").exempt("/a"),
            &[("/a", Optional)],
        ),
        (
            Paths::all().optional("/a").protect("/a"),
            &[("/a", Required)],
        ),
        // A literal beats a wildcard, and the leftmost difference decides.
        (
            Paths::all().exempt("/a/{x}").protect("/a/b"),
            &[("/a/b", Required), ("/a/c", Public)],
        ),
        (
            Paths::all().protect("/a/{x}").exempt("/a/b"),
            &[("/a/b", Public), ("/a/c", Required)],
        ),
        (
            Paths::all().exempt("/a/*").protect("/*/b"),
            &[("/a/b", Public), ("/c/b", Required)],
        ),
        (
            Paths::all().protect("/a/{x}/c").exempt("/{x}/b/c"),
            &[("/a/b/c", Required), ("/d/b/c", Public)],
        ),
        // The search comes back from a literal that leads nowhere.
        (
            Paths::all().exempt("/a/b/c").exempt("/*/b/d"),
            &[("/a/b/c", Public), ("/a/b/d", Public), ("/a/b", Required)],
        ),
        // A tree beats the rest of a tree above it, and an exact end beats a rest.
        (
            Paths::only(["/**"]).exempt("/").optional("/feed"),
            &[("/", Public), ("/feed", Optional), ("/feed/", Required)],
        ),
        (
            Paths::all().exempt("/a/**").protect("/a/b"),
            &[("/a/x", Public), ("/a/b/x", Required), ("/a/b", Required)],
        ),
        // An exemption below a protected tree needs more than the tree's own words.
        (
            Paths::all().protect("/a").exempt("/a/*"),
            &[("/a", Required), ("/a/b", Required)],
        ),
        (
            Paths::all().protect("/a").exempt("/a/{x}"),
            &[("/a", Required), ("/a/b", Public), ("/a/b/c", Required)],
        ),
    ];
    for (paths, rows) in table {
        assert_access(paths, rows);
    }
}

#[test]
fn a_protected_wildcard_covers_its_subtree_and_the_empty_segment() {
    for (pattern, empty) in [
        ("/agents/*", Required),
        ("/agents/{agent}", Required),
        ("/agents/:agent", Required),
        ("/agents/:agent+", Public),
    ] {
        assert_access(
            &Paths::only([pattern]),
            &[
                ("/agents", Public),
                ("/agents/", empty),
                ("/agents//", Required),
                ("/agents/x", Required),
                ("/Agents/x/y/", Required),
                ("/agents//x", Required),
                ("/agents/%20", Required),
                // Left unresolved, the dot is a segment that is not empty.
                ("/agents/.", Required),
            ],
        );
    }
}

/// A router of axum runs the handler of `/users/{id}/secrets` for `/users//secrets`, with an empty `id`.
#[test]
fn an_empty_segment_never_leads_around_a_wildcard() {
    let paths = Paths::only(["/users/{id}/secrets", "/files/:rest+", "/t/*/{x}"]);
    assert_access(
        &paths,
        &[
            ("/users//secrets", Required),
            ("/users//secrets/a", Required),
            ("/Users//Secrets/", Required),
            ("/users/%2fsecrets", Required),
            ("/users/./secrets", Required),
            ("/files//", Required),
            ("/files/", Public),
            ("/t//", Required),
            ("/t///", Required),
            ("/t/a/", Required),
            ("/t/", Public),
            ("/users//", Public),
            ("//secrets", Public),
        ],
    );
    let scoped = Paths::all()
        .rule(Rule::required("/users").with_scopes(["users"]))
        .rule(Rule::required("/users/{id}/secrets").with_scopes(["secrets"]))
        .rule(Rule::required("/users/{id}").with_scopes(["user"]))
        .compile()
        .unwrap();
    // What another router reads there counts as well: the slash at the end dropped, or two of them merged.
    assert_scopes(&scoped, "/users//secrets", &["secrets", "user", "users"]);
    assert_scopes(&scoped, "/users/", &["user", "users"]);
    assert_scopes(&scoped, "/users/7/", &["user"]);
}

#[test]
fn an_exemption_that_names_the_slash_at_the_end_beats_a_wildcard() {
    assert_access(
        &Paths::only(["/{tenant}", "/docs/{page}"])
            .exempt("/")
            .exempt("/docs/")
            .optional("/feed/**"),
        &[
            ("/", Public),
            ("//", Required),
            ("/docs/", Public),
            ("/docs", Required),
            ("/docs//", Required),
            ("/feed/", Optional),
        ],
    );
    assert_access(
        &Paths::all().exempt("/docs/**").protect("/docs/{page}"),
        &[
            ("/docs", Public),
            ("/docs/", Required),
            ("/docs/a", Required),
        ],
    );
}

#[test]
fn a_path_without_a_sure_reading_is_protected_in_either_mode() {
    let only = edgeone().rule(Rule::required("/admin").with_scopes(["admin"]));
    let all = agents().rule(Rule::required("/admin").with_scopes(["admin"]));
    let long = format!("/auth/%41{}", "a".repeat(4_090));
    let many = "//..//%3b/..".repeat(28);
    for paths in [only, all] {
        let paths = paths.compile().unwrap();
        for path in [
            "/auth/login%",
            "/auth/login%2",
            "/auth/%zz",
            "/auth/%u002e",
            "/auth/%u2215x",
            "/auth/%uff0e",
            "/auth/%c0%ae",
            "/auth/%e0%80%ae",
            "/auth/%c0%af",
            "/auth/%ff",
            "/auth/%ed%a0%80",
            "/auth/%25",
            "/auth/%25u002e",
            "/auth/%25c0%25ae",
            "/x/../%c0%ae",
            "/x%2f%",
            &long,
            &many,
        ] {
            assert_eq!(access(&paths, &Method::GET, path), Required, "{path}");
            assert_scopes(&paths, path, &["admin"]);
        }
    }
}

#[test]
fn dots_and_blanks_at_the_ends_of_a_segment_are_dropped_in_one_reading() {
    let mut rows = Vec::new();
    for path in [
        "/chat.",
        "/chat..",
        "/chat...",
        "/chat%2e",
        "/chat%20",
        "/%20chat",
        "/chat.%20.",
        "/chat./room",
        "/CHAT%20/room",
        "/chat%c2%a0",
        "/chat%09",
        "/x/..%20/chat",
        "/auth/..././../chat",
        "/auth/....//chat",
        "/auth/....\\\\chat",
    ] {
        rows.push((path, Required));
    }
    for path in [
        "/my%20file.pdf",
        "/.well-known/x",
        "/my%20chat",
        "/.chat",
        "/chat.html",
        "/cha.t",
        "/x..y/...z",
        "/login.",
        "/%20login",
        "/...",
        "/a/../b",
    ] {
        rows.push((path, Public));
    }
    assert_access(&edgeone(), &rows);
    assert_access(
        &agents().exempt("/.well-known/*"),
        &[
            ("/auth/ticket.", Required),
            ("/auth/%20ticket", Required),
            ("/auth./login", Required),
            ("/health.", Required),
            ("/health%20", Required),
            ("/auth/login.", Public),
            ("/static/my%20file.pdf", Public),
            ("/static/a.", Public),
            // Without its blank it is `/auth/`, which nothing exempts.
            ("/auth/%20", Required),
            ("/.well-known/x", Public),
        ],
    );
}

#[test]
fn of_the_path_asked_for_and_the_path_routed_the_stricter_counts() {
    let only = edgeone().rule(Rule::required("/api/chat").with_scopes(["chat"]));
    let all = Paths::all().exempt("/public/*").exempt("/api/public/*");
    for (paths, requested, routed, wanted) in [
        (&only, "/api/agents", "/agents", Required),
        (&only, "/agents/x", "/x", Required),
        (&only, "/api/login", "/login", Public),
        (&only, "/api/login", "//x/../chat", Required),
        (&all, "/public/x", "/admin", Required),
        (&all, "/admin", "/public/x", Required),
        (&all, "/api/public/x", "/public/x", Public),
        (&all, "/public/x", "/public/x", Public),
    ] {
        let paths = paths.compile().unwrap();
        let decision = paths.decide_routed(&Method::GET, requested, routed);
        assert_eq!(decision.access(), wanted, "{requested} {routed}");
        let explanation = paths.explain_routed("GET", requested, routed).unwrap();
        assert_eq!(explanation.access(), wanted, "{explanation}");
        assert_eq!(explanation.rule(), decision.rule(), "{explanation}");
    }
    let only = only.compile().unwrap();
    let decision = only.decide_routed(&Method::GET, "/api/chat", "/chat");
    assert_eq!(decision.scopes().len(), 1, "scopes of both forms");
    assert_eq!(
        only.explain_routed("GET", "/api/chat?a", "/chat#b")
            .unwrap()
            .to_string(),
        "GET /api/chat: protected: `/api/chat` matches; routed as /chat: protected: `/chat/:path*` matches; \
         a token needs `chat`",
    );
}

/// Rows of `(hazard, path)`: none of them may ever be exempt, since some server takes each for `/chat` or `/auth/ticket`.
const REWRITINGS: &[(&str, &str)] = &[
    ("CVE-2019-9901: dot segments", "/auth/../chat"),
    ("CVE-2019-9901: dot segments", "/auth/x/../../chat"),
    ("CVE-2019-9901: dot segments", "/auth/x/../ticket"),
    ("CVE-2021-29492: escaped slash", "/auth/..%2fchat"),
    ("CVE-2021-29492: escaped slash", "/auth%2f..%2fchat"),
    ("CVE-2025-32431: escaped dots", "/auth/%2e%2e/chat"),
    ("CVE-2025-32431: escaped dots", "/auth/.%2E/chat"),
    ("CVE-2026-48020: escaped twice", "/auth/%252e%252e/chat"),
    ("CVE-2026-48020: escaped twice", "/auth/..%252fchat"),
    ("CVE-2026-48020: escaped twice", "/%2563hat"),
    ("CVE-2026-48020: escaped three times", "/%252563hat"),
    (
        "GHSA-3q34-rx83-r6mq: dots in front of escapes",
        "/auth%2fx/../%63hat",
    ),
    ("CVE-2026-2880: slashes", "//chat"),
    ("CVE-2026-2880: slashes", "///chat"),
    ("CVE-2026-2880: slashes", "/auth//ticket"),
    ("CVE-2026-2880: trailing slash", "/chat/"),
    ("CVE-2026-2880: trailing slash", "/auth/ticket/"),
    ("CVE-2026-2880: dot segment", "/./chat"),
    ("CVE-2026-2880: dot segment", "/chat/."),
    ("CVE-2026-39852: parameters", "/chat;a=b"),
    ("CVE-2026-39852: parameters", "/auth;a=b/ticket"),
    ("CVE-2026-39852: parameters", "/auth/..;/chat"),
    ("CVE-2026-39852: parameters", "/auth/..;a=b/chat"),
    ("CVE-2026-73551: escaped parameters", "/chat%3ba=b"),
    ("CVE-2026-73551: escaped parameters", "/auth/..%3b/chat"),
    ("GHSA-gm3x-23wp-hc2c: /", "/auth%2fticket"),
    ("GHSA-gm3x-23wp-hc2c: \\", "/auth%5cticket"),
    ("GHSA-gm3x-23wp-hc2c: \\", "/auth\\..\\chat"),
    ("GHSA-gm3x-23wp-hc2c: NUL", "/auth/ticket%00"),
    ("GHSA-gm3x-23wp-hc2c: NUL", "/chat%00.html"),
    ("GHSA-gm3x-23wp-hc2c: ;", "/auth/ticket%3b"),
    ("GHSA-gm3x-23wp-hc2c: ?", "/auth/ticket%3fx"),
    ("GHSA-gm3x-23wp-hc2c: #", "/auth/ticket%23x"),
    ("GHSA-gm3x-23wp-hc2c: %", "/auth/tick%2565t"),
    ("control byte", "/ch%0aat"),
    ("control byte", "/%09chat"),
    ("CVE-2026-27587: case", "/CHAT"),
    ("CVE-2026-27587: case", "/auth/Ticket"),
    ("CVE-2026-27587: case, escaped", "/auth/%54icket"),
    ("CVE-2021-32779: fragment", "/chat#/auth/login"),
    ("CVE-2021-32779: fragment", "/chat%23/auth/login"),
    ("CVE-2025-54576: query", "/chat?/auth/login"),
    ("RFC 9112 §3.2: authority", "//host/chat"),
    ("CVE-2026-33186: no leading slash", "chat"),
    ("RFC 9112 §3.2: asterisk", "*"),
    ("RFC 9112 §3.2: empty path", ""),
    ("broken escape", "/chat%"),
    ("broken escape", "/ch%zzat"),
    ("escape of UTF-16", "/auth/%u002e%u002e/chat"),
    ("overlong UTF-8", "/auth/%c0%ae%c0%ae/chat"),
    ("overlong UTF-8", "/auth%c0%afticket"),
    ("dots at the end", "/chat."),
    ("dots at the end", "/auth/ticket.."),
    ("blank at the end", "/chat%20"),
    ("blank at the front", "/auth/%20ticket"),
    ("`../` deleted in one pass", "/auth/..././../chat"),
    ("`../` deleted in one pass", "/auth/....//ticket"),
    (
        "RFC 9112 §3.2: absolute form in place of a path",
        "http://host/chat",
    ),
];

#[test]
fn no_rewriting_of_the_hazard_table_is_exempt() {
    let only = Paths::only(["/chat", "/auth/ticket"])
        .exempt("/chat/help")
        .optional("/feed");
    let mut all = agents();
    all = all
        .exempt("/feed/**")
        .optional("/news/**")
        .exempt("/CHAT/help");
    for (mode, paths) in [("all", all), ("only", only)] {
        let paths = paths.compile().unwrap();
        for (hazard, path) in REWRITINGS {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
                assert_eq!(
                    access(&paths, &method, path),
                    Required,
                    "{hazard}: {mode}: {method} {path}"
                );
            }
        }
    }
}

#[test]
fn a_path_that_is_not_canonical_is_never_exempt_though_nothing_protects_its_target() {
    // With a scope somewhere the readings are looked at, and must not bring an exemption back.
    let scoped = agents().rule(Rule::required("/admin").with_scopes(["admin"]));
    let (all, scoped) = (agents().compile().unwrap(), scoped.compile().unwrap());
    let only = Paths::only(["/**"])
        .exempt("/auth/*")
        .exempt("/static/**")
        .compile()
        .unwrap();
    for path in [
        "/auth/./login",
        "/auth//login",
        "//auth/login",
        "/x/../auth/login",
        "/auth/login;a",
        "/auth/lo%2fgin",
        "/auth/lo%2egin",
        "/auth/lo%00gin",
        "/auth/lo%5cgin",
        "/auth/lo%3bgin",
        "/auth/lo%25gin",
        "/auth/lo%gin",
        "/auth/login%",
        "/auth/login%c0%af",
        "/auth/login\\",
        "/auth/log\u{e9}n",
        "/auth/log\tin",
        "/static/..",
        "/static/.",
        "/static//",
    ] {
        for paths in [&all, &scoped, &only] {
            assert_eq!(access(paths, &Method::GET, path), Required, "{path:?}");
        }
    }
}

#[test]
fn characters_of_the_request_never_act_as_a_pattern() {
    // CVE-2025-46821: a `*` in the path met a template.
    assert_access(
        &agents(),
        &[
            ("/*", Required),
            ("/**", Required),
            ("/:path", Required),
            ("/{x}", Required),
            ("/auth*", Required),
            ("/he*", Required),
        ],
    );
    assert_access(
        &Paths::only(["/chat"]).exempt("/chat/a"),
        &[("/chat/*", Required), ("/chat/{x}", Required)],
    );
}

#[test]
fn a_pattern_is_anchored_at_both_ends() {
    assert_access(
        &Paths::all().exempt("/auth").exempt("/api/*/open"),
        &[
            ("/auth", Public),
            ("/authx", Required),
            ("/x/auth", Required),
            ("/auth/x", Required),
            ("/api/v1/open", Public),
            ("/api/v1/v2/open", Required),
            ("/api//open", Required),
            ("/api/open", Required),
        ],
    );
}

#[test]
fn the_method_narrows_an_exemption_and_never_a_protection() {
    let paths = Paths::all()
        .rule(Rule::public("/posts/**").on([Method::GET]))
        .rule(Rule::optional("/feed").on([Method::GET, Method::HEAD]))
        .exempt("/auth/*")
        .protect("/auth/ticket")
        .compile()
        .unwrap();
    let purge = Method::from_bytes(b"PURGE").unwrap();
    for (method, path, wanted) in [
        (&Method::GET, "/posts/1", Public),
        (&Method::HEAD, "/posts/1", Required),
        (&Method::DELETE, "/posts/1", Required),
        (&Method::OPTIONS, "/posts/1", Required),
        (&purge, "/posts/1", Required),
        (&Method::HEAD, "/feed", Optional),
        (&Method::POST, "/feed", Required),
        (&purge, "/auth/login", Public),
        (&Method::GET, "/auth/ticket", Required),
        (&Method::HEAD, "/auth/ticket", Required),
        (&Method::OPTIONS, "/auth/ticket", Required),
        (&Method::TRACE, "/auth/ticket", Required),
        (&purge, "/auth/ticket", Required),
        // An extended CONNECT (RFC 8441) is an upgrade in disguise.
        (&Method::CONNECT, "/auth/login", Required),
        (&Method::CONNECT, "/posts/1", Required),
        (&Method::CONNECT, "host:443", Required),
    ] {
        assert_eq!(access(&paths, method, path), wanted, "{method} {path}");
    }
    let only = edgeone().compile().unwrap();
    assert_eq!(access(&only, &Method::CONNECT, "/login"), Required);
    assert_eq!(access(&only, &Method::OPTIONS, "*"), Required);
}

#[track_caller]
fn assert_scopes(paths: &CompiledPaths, path: &str, wanted: &[&str]) {
    let decision = paths.decide(&Method::GET, path);
    let mut scopes: Vec<_> = decision.scopes().iter().map(|scope| &**scope).collect();
    scopes.sort_unstable();
    assert_eq!(scopes, wanted, "{path}");
}

#[test]
fn scopes_come_from_the_rule_that_decides_and_from_every_reading() {
    let paths = Paths::all()
        .exempt("/auth/*")
        .rule(Rule::required("/admin").with_scopes(["admin"]))
        .rule(Rule::required("/admin/audit").with_scopes(["audit", "audit"]))
        .rule(Rule::required("/billing").with_scopes(["billing"]))
        .rule(Rule::optional("/feed").with_scopes(["feed"]))
        .rule(Rule::required("/{x}/y").with_scopes(["one"]))
        .rule(Rule::required("/:x/y").with_scopes(["two"]))
        .compile()
        .unwrap();
    for (path, wanted) in [
        ("/chat", &[][..]),
        ("/auth/login", &[]),
        ("/admin", &["admin"]),
        ("/ADMIN/users", &["admin"]),
        ("/admin/audit/1", &["audit"]),
        ("/feed", &["feed"]),
        ("/x/y", &["one", "two"]),
        ("/%61dmin", &["admin"]),
        ("/auth/..%2fadmin", &["admin"]),
        ("//admin", &["admin"]),
        ("/billing/../admin", &["admin", "billing"]),
        ("/billing/%2e%2e/admin/audit", &["audit", "billing"]),
        ("admin", &["admin"]),
        ("/auth/../chat", &[]),
    ] {
        assert_scopes(&paths, path, wanted);
    }
    // Too tangled to be read: whatever any tree asks for.
    let tangled = format!("/%{}41", "25".repeat(100));
    assert_eq!(paths.decide(&Method::GET, &tangled).access(), Required);
    assert_scopes(
        &paths,
        &tangled,
        &["admin", "audit", "billing", "one", "two"],
    );
}

#[test]
fn tied_rules_add_up_their_scopes_only_where_both_can_decide() {
    let paths = Paths::all()
        .rule(Rule::optional("/a").on([Method::GET]).with_scopes(["read"]))
        .rule(
            Rule::optional("/a")
                .on([Method::POST])
                .with_scopes(["write"]),
        )
        .rule(Rule::optional("/A").with_scopes(["upper"]))
        .compile()
        .unwrap();
    assert_scopes(&paths, "/a", &["read"]);
    assert_scopes(&paths, "/A", &["upper"]);
}

#[test]
fn what_is_configured_badly_fails_with_a_way_out() {
    for (paths, word) in [
        (Paths::only(Vec::<String>::new()), "`Paths::all`"),
        (
            Paths::only(Vec::<String>::new()).exempt("/a"),
            "`Paths::all`",
        ),
        (Paths::only(["chat"]), "begins with `/`"),
        (Paths::all().exempt("/(a|b)"), "each alternative"),
        (Paths::all().exempt("/**"), "`Paths::only`"),
        (Paths::all().exempt("/{*rest}"), "`Paths::only`"),
        (Paths::all().exempt("/:path*"), "`Paths::only`"),
        (Paths::all().exempt("/:path+"), "`Paths::only`"),
        (Paths::all().exempt("/*"), "`Paths::only`"),
        (Paths::all().exempt("/{tenant}/**"), "`Paths::only`"),
        (
            Paths::all().rule(Rule::required("/a").on([Method::GET])),
            "`Rule::public(..).on(..)`",
        ),
        (
            Paths::all().rule(Rule::public("/a").on([])),
            "leave `on(..)` out",
        ),
        (
            Paths::all().rule(Rule::public("/a").with_scopes(["x"])),
            "optional or required",
        ),
        (
            Paths::all().rule(Rule::required("/a").with_scopes(Vec::<String>::new())),
            "list of scopes is empty",
        ),
        (
            Paths::all().rule(Rule::required("/a").with_scopes(["a b"])),
            "several items",
        ),
        (
            Paths::all().rule(Rule::required("/a").with_scopes([""])),
            "several items",
        ),
        (
            Paths::all().rule(Rule::required("/a").with_scopes(["a\"b"])),
            "several items",
        ),
    ] {
        let error = paths.compile().unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert!(paths.explain("GET", "/").is_err());
    }
    assert!(matches!(
        Paths::all().explain("G ET", "/"),
        Err(ConfigError::Setting {
            name: "explain",
            ..
        })
    ));
    // Open on purpose: for one method, or for whoever comes without credentials.
    assert!(
        Paths::all()
            .rule(Rule::public("/**").on([Method::GET]))
            .compile()
            .is_ok()
    );
    assert!(Paths::all().optional("/**").compile().is_ok());
    assert!(
        Paths::only(Vec::<String>::new())
            .protect("/a")
            .compile()
            .is_ok()
    );
}

#[test]
fn an_explanation_names_the_rule_and_the_reason() {
    let all = agents().rule(Rule::required("/admin").with_scopes(["admin", "staff"]));
    for (paths, method, path, wanted) in [
        (
            &all,
            "GET",
            "/auth/../chat",
            "GET /auth/../chat: protected: the path is not canonical (dot segment)",
        ),
        (
            &all,
            "POST",
            "/auth/login",
            "POST /auth/login: exempt: `/auth/*` matches",
        ),
        (
            &all,
            "POST",
            "/auth/ticket/x",
            "POST /auth/ticket/x: protected: `/auth/ticket` matches",
        ),
        (
            &all,
            "GET",
            "/auth/%74icket",
            "GET /auth/%74icket: protected: `/auth/ticket` matches the decoded path",
        ),
        (
            &all,
            "GET",
            "/chat?a=/auth/login",
            "GET /chat: protected: no rule exempts it",
        ),
        (
            &all,
            "GET",
            "/auth/login%",
            "GET /auth/login%: protected: the path is not canonical (bad escape): it does not decode to UTF-8; \
             a token needs `admin staff`",
        ),
        (
            &edgeone(),
            "GET",
            "/chat.",
            "GET /chat.: protected: `/chat/:path*` matches the decoded path",
        ),
        (
            &all,
            "GET",
            "/chat#/auth/login",
            "GET /chat: protected: no rule exempts it",
        ),
        (
            &all,
            "GET",
            "/admin",
            "GET /admin: protected: `/admin` matches; a token needs `admin staff`",
        ),
        (
            &all,
            "OPTIONS",
            "*",
            "OPTIONS *: protected: the target is no path (no leading slash)",
        ),
        (
            &all,
            "CONNECT",
            "/auth/login",
            "CONNECT /auth/login: protected: the target is no path (method CONNECT)",
        ),
        (
            &all,
            "GET",
            "/a\r\nb",
            "GET /a\\r\\nb: protected: the path is not canonical (control byte or blank)",
        ),
        (
            &edgeone(),
            "GET",
            "/login",
            "GET /login: exempt: no rule protects it",
        ),
        (
            &edgeone(),
            "GET",
            "/login/../CHAT",
            "GET /login/../CHAT: protected: the path is not canonical (dot segment) and may be read as lying under `/chat/:path*`",
        ),
        (
            &edgeone(),
            "GET",
            "//login",
            "GET //login: exempt: the path is not canonical (empty segment), but in no reading it lies under a protected tree",
        ),
    ] {
        assert_eq!(paths.explain(method, path).unwrap().to_string(), wanted);
    }
    let tangled = edgeone()
        .explain("GET", &format!("/%{}41", "25".repeat(100)))
        .unwrap()
        .to_string();
    assert!(
        tangled.ends_with(": protected: the path has too many readings, or one that is not UTF-8"),
        "{tangled}"
    );
}

#[test]
fn the_table_lists_the_rules_in_order_of_precedence() {
    let paths = Paths::all()
        .exempt("/static/**")
        .rule(Rule::public("/static/{name}").on([Method::GET, Method::HEAD]))
        .rule(Rule::required("/static/secret").with_scopes(["admin"]))
        .optional("/static");
    assert_eq!(
        paths.compile().unwrap().table().to_string(),
        "protected /static/secret and below with scope `admin`\n\
         exempt    /static/{name} on GET, HEAD\n\
         optional  /static\n\
         exempt    /static/**\n\
         protected everything else",
    );
    assert_eq!(
        Paths::only(["/chat/:path*"])
            .compile()
            .unwrap()
            .table()
            .to_string(),
        "protected /chat/:path*\nexempt    everything else",
    );
}

#[test]
fn a_thousand_rules_find_each_of_their_paths() {
    let mut paths = Paths::all();
    for at in 0..1_000 {
        paths = paths
            .exempt(format!("/public-resource-{at}/{{name}}"))
            .protect(format!("/Public-Resource-{at}/Secret"));
    }
    let paths = paths.compile().unwrap();
    for at in 0..1_000 {
        assert_eq!(
            access(&paths, &Method::GET, &format!("/public-resource-{at}/x")),
            Public
        );
        assert_eq!(
            access(
                &paths,
                &Method::GET,
                &format!("/public-resource-{at}/secret")
            ),
            Required
        );
    }
    assert_eq!(
        access(&paths, &Method::GET, "/public-resource-1000/x"),
        Required
    );
}

/// Patterns over few words, so that they meet each other and the paths below.
fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "chat", "auth", "ticket"]),
        1 => Just("*"),
        1 => Just("{x}"),
    ];
    let tail = prop_oneof![4 => Just(""), 1 => Just("/**"), 1 => Just("/:rest+"), 1 => Just("/*")];
    (prop::collection::vec(segment, 1..4), tail)
        .prop_map(|(segments, tail)| format!("/{}{tail}", segments.join("/")))
}

fn paths() -> impl Strategy<Value = CompiledPaths> {
    let patterns = || prop::collection::vec(pattern(), 0..4);
    (any::<bool>(), pattern(), patterns(), patterns(), patterns()).prop_filter_map(
        "rules that are refused",
        |(all, first, protected, exempt, optional)| {
            let mut paths = if all {
                Paths::all().protect(first)
            } else {
                Paths::only([first])
            };
            for pattern in protected {
                paths = paths.protect(pattern);
            }
            for pattern in exempt {
                paths = paths.exempt(pattern);
            }
            for pattern in optional {
                paths = paths.optional(pattern);
            }
            paths.compile().ok()
        },
    )
}

fn plain_path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "c", "chat", "auth", "ticket"]);
    prop::collection::vec(segment, 1..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

/// One thing that an attacker may do to a path, at a place, so that a careless server still finds the same resource.
fn rewrite(path: &str, what: u8, place: usize) -> String {
    let places = |wanted: fn(char) -> bool| {
        path.match_indices(wanted)
            .map(|(at, _)| at)
            .collect::<Vec<_>>()
    };
    let pick = |found: &[usize]| found.get(place % found.len().max(1)).copied();
    let insert = |at: usize, text: &str| format!("{}{text}{}", &path[..at], &path[at..]);
    let replace = |at: usize, text: &str| format!("{}{text}{}", &path[..at], &path[at + 1..]);
    let letters = places(|c| c.is_ascii_alphabetic());
    let slashes = places(|c| c == '/');
    let rewritten = match what % 19 {
        0 => pick(&letters).map(|at| replace(at, &format!("%{:02x}", path.as_bytes()[at]))),
        1 => pick(&letters).map(|at| replace(at, &format!("%25{:02X}", path.as_bytes()[at]))),
        2 => pick(&letters).map(|at| replace(at, &path[at..=at].to_ascii_uppercase())),
        3 => pick(&slashes).map(|at| insert(at, "/")),
        4 => pick(&slashes).map(|at| insert(at, "/.")),
        5 => pick(&slashes).map(|at| insert(at, "/x/..")),
        6 => pick(&slashes).map(|at| insert(at, "/x/..;y")),
        7 => pick(&slashes)
            .filter(|&at| at > 0)
            .map(|at| insert(at, ";a=b")),
        8 => pick(&slashes)
            .filter(|&at| at > 0)
            .map(|at| replace(at, "\\")),
        9 => pick(&slashes)
            .filter(|&at| at > 0)
            .map(|at| replace(at, "%2f")),
        10 => Some(format!("{path}/")),
        11 => pick(&slashes).map(|at| insert(at + 1, "%20")),
        12 => Some(format!("{path}%20")),
        13 => Some(format!("{path}.")),
        // Dots behind dots do not vanish: `....` never means `..`.
        14 => pick(&slashes)
            .filter(|&at| at > 0 && !path[..at].ends_with('.'))
            .map(|at| insert(at, "..")),
        15 => pick(&slashes).map(|at| insert(at + 1, "x/..././../../")),
        16 => pick(&slashes).map(|at| insert(at, "%c0%ae")),
        17 => Some(format!("{path}%")),
        _ => Some(format!("{path}%00")),
    };
    rewritten.unwrap_or_else(|| path.to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn no_rewriting_of_a_protected_path_is_exempt(
        paths in paths(),
        path in plain_path(),
        steps in prop::collection::vec((any::<u8>(), any::<usize>()), 1..6),
    ) {
        prop_assume!(paths.decide(&Method::GET, &path).access() == Required);
        let mut rewritten = path.clone();
        for (what, place) in steps {
            rewritten = rewrite(&rewritten, what, place);
            let access = paths.decide(&Method::GET, &rewritten).access();
            prop_assert_eq!(access, Required, "{} rewritten as {}\n{}", path, rewritten, paths.table());
        }
    }

    #[test]
    fn no_input_panics_and_the_explanation_agrees(
        paths in paths(),
        path in "(/|//|\\.\\.|\\.|%|%2|%2f|%2e|%25|%00|;|\\\\|\\?|#|a|B|chat|auth|ticket|\\PC|\\x00){0,12}",
    ) {
        let decision = paths.decide(&Method::GET, &path);
        if !path.contains(['?', '#']) {
            let explanation = paths.explain("GET", &path).unwrap();
            prop_assert_eq!(explanation.access(), decision.access());
            prop_assert_eq!(explanation.rule(), decision.rule());
            prop_assert_eq!(explanation.scopes().count(), decision.scopes().len());
        }
        let nested = paths.decide_routed(&Method::GET, "/a", &path).access();
        prop_assert!(nested >= decision.access());
        // Exempt in an all-protecting configuration means canonical and matched by name.
        if decision.access() != Required && paths.table().to_string().ends_with("protected everything else") {
            prop_assert!(decision.rule().is_some());
            prop_assert!(!path.contains("//") && !path.contains("/../") && !path.contains('\\') && !path.contains(';'));
        }
    }

    #[test]
    fn no_pattern_panics(pattern in "(/|\\*|\\{|\\}|:|[a-z]|\\+|\\.|%|\\PC){0,10}") {
        let _ = Paths::all().exempt(pattern.clone()).protect(pattern.clone()).compile();
        let _ = Paths::only([pattern]).compile();
    }
}
