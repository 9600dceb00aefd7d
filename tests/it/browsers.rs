//! What browsers really send to their page's own origin: `BROWSERS="chromium firefox-esr" cargo test … -- --ignored browsers`.

use std::{
    convert::Infallible,
    env,
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    response::{
        Html, IntoResponse,
        sse::{Event, Sse},
    },
    routing::{get, post},
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tower_warden::{CookieAuthLayer, JwtAuthLayer, MemoryTickets, Principal, TicketOffice};

use crate::support::{SECRET, token};

/// The scripts of the guide, and a form of a page that hides its address.
const PAGE: &str = r#"<!doctype html><meta name="referrer" content="no-referrer"><title>page</title>
<form method="post" action="/chat"><input name="a" value="b"></form>
<script>
const report = (text) => fetch("/report", { method: "POST", body: text });
async function subscribe() {
  const response = await fetch("/auth/ticket", {
    method: "POST",
    headers: { "Authorization": "Bearer TOKEN", "Content-Type": "application/json" },
    body: JSON.stringify({ agent: "a", room: "r1" }),
  });
  const url = new URL("/agents/a/r1/events", location.href);
  url.searchParams.set("ticket", (await response.json()).ticket);
  const events = new EventSource(url);
  events.addEventListener("hello", async ({ data }) => {
    events.close();
    await report(`event source: ${data}`);
    document.forms[0].submit();
  });
  events.onerror = () => { if (events.readyState === EventSource.CLOSED) report("event source: refused"); };
}
subscribe().catch((error) => report(`script: ${error}`));
</script>"#;

type Reports = mpsc::UnboundedSender<String>;

/// A browser with an empty profile, which ends with this value.
struct Browser(
    Child,
    #[expect(dead_code, reason = "removed when it is dropped")] tempfile::TempDir,
);

impl Browser {
    fn open(program: &str, url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        if program.contains("firefox") {
            command
                .args(["--headless", "--no-remote", "--profile"])
                .arg(profile.path());
        } else {
            // Chromium refuses to shut itself in when it is root.
            command.args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ]);
            command.arg(format!("--user-data-dir={}", profile.path().display()));
        }
        let child = command
            .arg(url)
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        Self(child, profile)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn app(reports: Reports) -> Router {
    let tickets = TicketOffice::builder(MemoryTickets::default())
        .with_event_streams()
        .build()
        .unwrap();
    let tokens = JwtAuthLayer::hs256(SECRET)
        .unwrap()
        .with_tickets(tickets.clone())
        .build()
        .unwrap();
    let sessions = CookieAuthLayer::hs256(SECRET).unwrap().build().unwrap();
    let live = Router::new()
        .route_service("/auth/ticket", tickets.service())
        .route("/agents/{agent}/{room}/events", get(events))
        .layer(tokens);
    let chat = Router::new().route("/chat", post(chat)).layer(sessions);
    let open = Router::new()
        .route("/", get(page))
        .route("/report", post(report));
    live.merge(chat).merge(open).with_state(reports)
}

async fn page() -> impl IntoResponse {
    let good = token("alice");
    let cookie = format!(
        "jwt_token={}; HttpOnly; SameSite=Lax; Path=/",
        good.expose()
    );
    (
        [("set-cookie", cookie)],
        Html(PAGE.replace("TOKEN", good.expose())),
    )
}

async fn events(principal: Principal) -> impl IntoResponse {
    let hello = Event::default().event("hello").data(principal.subject());
    Sse::new(tokio_stream::once(Ok::<_, Infallible>(hello)))
}

async fn chat(State(reports): State<Reports>, principal: Principal, headers: HeaderMap) {
    let origin = headers
        .get("origin")
        .map(|origin| origin.to_str().unwrap().to_owned());
    let _ = reports.send(format!(
        "form: {} {}",
        principal.subject(),
        origin.unwrap_or_default()
    ));
}

async fn report(State(reports): State<Reports>, text: String) {
    let _ = reports.send(text);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs browsers: BROWSERS=\"chromium firefox-esr\""]
async fn browsers_use_tickets_and_forms_of_their_own_origin() {
    let programs = env::var("BROWSERS").expect("BROWSERS names the programs, separated by blanks");
    for program in programs.split_whitespace() {
        let (reports, mut heard) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app(reports)).await });
        let browser = Browser::open(program, &format!("http://{address}/"));
        for expected in ["event source: alice", "form: alice null"] {
            let heard = timeout(Duration::from_secs(120), heard.recv()).await;
            assert_eq!(heard.unwrap().as_deref(), Some(expected), "{program}");
        }
        drop(browser);
        server.abort();
    }
}
