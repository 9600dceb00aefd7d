//! The tables, as Markdown, and their place in the README.

use std::{collections::BTreeMap, fmt::Write, fs, io, path::Path};

use crate::{
    budgets::Budget,
    case::ALGORITHMS,
    chart, machine,
    results::Results,
    rows::{Row, Section},
};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/speed.svg");
const BEGIN: &str = "<!-- speed: written by `benches/peers/run --write` -->\n";
const END: &str = "<!-- speed: end -->\n";

/// The rows of Node, as node.mjs left them.
pub(crate) const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/node.json");

/// The table of each section.
pub(crate) fn table(results: &Results) -> String {
    let mut text = format!("Medians in nanoseconds. {}.\n", machine::description());
    for (section, title) in [
        (Section::Router, "a whole request through a router of axum"),
        (Section::Bare, "a whole request to a bare `tower::Service`"),
        (Section::NoLayer, "a token, without a layer"),
    ] {
        let names = ALGORITHMS
            .map(|algorithm| format!("{algorithm:?}"))
            .join(" | ");
        writeln!(text, "\n| {title} | {names} | allocations |").unwrap();
        writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: |").unwrap();
        for row in Row::ALL.into_iter().filter(|row| row.section() == section) {
            line(&mut text, row, results);
        }
        if section == Section::Router {
            text += &node();
        }
    }
    text + &notes(results)
}

/// The budgets that this run decided.
pub(crate) fn budgets(budgets: &[Budget]) -> String {
    let mut text = String::from("| budget | at most, or at least | measured | |\n");
    text += "| --- | ---: | ---: | --- |\n";
    for budget in budgets {
        let Budget {
            what,
            budget,
            measured,
            holds,
        } = budget;
        let holds = if *holds { "holds" } else { "**does not hold**" };
        writeln!(text, "| {what} | {budget} | {measured} | {holds} |").unwrap();
    }
    text
}

/// Writes the tables between their markers, and the chart; the budgets are for whoever works on the crate.
pub(crate) fn write(results: &Results) -> io::Result<()> {
    let readme = fs::read_to_string(README)?;
    let found = readme.split_once(BEGIN);
    let found = found.and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = found else {
        return Err(io::Error::other(format!("README.md lacks {BEGIN}or {END}")));
    };
    fs::write(CHART, chart::svg(results))?;
    let table = table(results);
    fs::write(README, format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

fn line(text: &mut String, row: Row, results: &Results) {
    let name = match (row.crypto(), row.is_ours()) {
        ("", _) => row.name(),
        (crypto, true) => format!("**{}** [{crypto}]", row.name()),
        (crypto, false) => format!("{} [{crypto}]", row.name()),
    };
    let times = ALGORITHMS.map(|algorithm| match results.time(row, algorithm) {
        Some(time) => number(time),
        None => "–".to_owned(),
    });
    let counts = ALGORITHMS.map(|algorithm| results.allocations(row, algorithm));
    let (least, most) = (counts.iter().flatten().min(), counts.iter().flatten().max());
    let allocations = match (least, most) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least}–{most}"),
        _ => "–".to_owned(),
    };
    writeln!(text, "| {name} | {} | {allocations} |", times.join(" | ")).unwrap();
}

/// The rows of Node, if somebody measured them.
fn node() -> String {
    let Ok(json) = fs::read(Path::new(NODE)) else {
        return String::new();
    };
    let rows: Vec<(String, BTreeMap<String, f64>)> = serde_json::from_slice(&json).unwrap();
    let mut text = String::new();
    for (name, times) in rows {
        let times = ALGORITHMS.map(|algorithm| match times.get(&format!("{algorithm:?}")) {
            Some(time) => number(*time),
            None => "–".to_owned(),
        });
        writeln!(text, "| {name} | {} | |", times.join(" | ")).unwrap();
    }
    text
}

/// What a number alone does not tell.
const NOTES: &str = "
jsonwebtoken 10 and 11 check HS256 by RustCrypto, which is the faster there, and all else by aws-lc-rs. axum-jwt-auth is
an extractor. huskarl-resource-server ships no layer, so its validator stands in one that is as small as it can be, on the
crypto that it ships. axum-keycloak-auth and jwks_client_rs do not look at the issuer; the others were told it. Claims are
typed where they can be; here a handler asks for them, and has rows of its own. All verify one and the same token again
and again, which a processor learns; only those that meet a full cache are a thousand, and with ES256 they cost more for
that alone. The layers by hand do the least that one can: one lets pass whoever asks for its one path, the other whoever
has a token in `Authorization` that `Verifier::verify` accepts, which it leaves for the handler. What ours takes beyond
them is its rules of paths, two more places for a token, revocation, and refusals that say why.
";

fn notes(results: &Results) -> String {
    let mut text = NOTES.to_owned();
    for (row, algorithm, reason) in results.notes() {
        writeln!(text, "\n–: {} has no {algorithm:?}: {reason}.", row.name()).unwrap();
    }
    text
}

/// 26375.2 as "26 375".
pub(crate) fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // The space is one at which no line is broken.
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}
