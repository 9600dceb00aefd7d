//! The chart: what each adds to a request, on a scale of powers of ten.

use std::fmt::Write;

use tower_warden::Algorithm;

use crate::{case::ALGORITHMS, report::number, results::Results, rows::Row};

const WIDTH: f64 = 860.0;
/// Where the bars begin, and how much room they have.
const LEFT: f64 = 270.0;
const ROOM: f64 = 480.0;
const BAR: f64 = 20.0;
const TITLE: &str = "What authentication adds to a request through a router of axum, in nanoseconds, \
    on a logarithmic scale: less is better";

/// Readable on light and dark pages, whichever the reader has.
const STYLE: &str = "
  .page { fill: #ffffff; } .text { fill: #1f2328; } .quiet { fill: #59636e; }
  .value { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; } .line { stroke: #d1d9e0; } .peer { fill: #a3adb8; } .ours { fill: #1a7f64; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; } .text { fill: #f0f6fc; } .quiet { fill: #9198a1; }
    .value { stroke: #0d1117; } .line { stroke: #3d444d; } .peer { fill: #6e7681; } .ours { fill: #3fb68b; }
  }
";

/// One bar.
struct Bar {
    name: String,
    added: f64,
    ours: bool,
}

pub(crate) fn svg(results: &Results) -> String {
    let groups = ALGORITHMS.map(|algorithm| (algorithm, bars(results, algorithm)));
    let all = || {
        groups
            .iter()
            .flat_map(|(_, bars)| bars)
            .map(|bar| bar.added)
    };
    let least = power(all().fold(100.0, f64::min).max(1.0).log10().floor());
    let most = power(all().fold(1.0, f64::max).log10().ceil());
    let at = |value: f64| {
        let share = (value.max(least) / least).log10() / (most / least).log10();
        LEFT + ROOM * share
    };

    let mut body = String::new();
    let mut y = 78.0;
    for (algorithm, bars) in &groups {
        writeln!(
            body,
            r#"<text class="text" font-weight="600" x="24" y="{y}">{algorithm:?}</text>"#
        )
        .unwrap();
        y += 10.0;
        for bar in bars {
            body += &bar.draw(y, at(bar.added));
            y += BAR;
        }
        y += 30.0;
    }
    let height = y;

    let mut scale = String::new();
    let mut tick = least;
    while tick <= most * 1.01 {
        let (x, label) = (at(tick), duration(tick));
        writeln!(
            scale,
            r#"<line class="line" x1="{x:.1}" x2="{x:.1}" y1="60" y2="{:.0}"/>"#,
            height - 24.0
        )
        .unwrap();
        writeln!(
            scale,
            r#"<text class="quiet" text-anchor="middle" x="{x:.1}" y="54">{label}</text>"#
        )
        .unwrap();
        tick *= 10.0;
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title" viewBox="0 0 {WIDTH} {height:.0}" font-family="system-ui, sans-serif" font-size="13">
<title id="title">{TITLE}</title>
<style>{STYLE}</style>
<rect class="page" width="100%" height="100%" rx="8"/>
<text class="text" font-size="15" font-weight="600" x="24" y="28">Added to a request by authentication (logarithmic scale, less is better)</text>
{scale}{body}</svg>
"#
    )
}

/// What each adds with this algorithm, the least first.
fn bars(results: &Results, algorithm: Algorithm) -> Vec<Bar> {
    let rows = [Row::Repeat, Row::FirstSeen].into_iter().chain(Row::PEERS);
    let mut bars: Vec<_> = rows
        .filter_map(|row| {
            Some(Bar {
                name: row.name(),
                added: results.added(row, algorithm)?,
                ours: row.is_ours(),
            })
        })
        .collect();
    bars.sort_by(|one, other| one.added.total_cmp(&other.added));
    bars
}

impl Bar {
    fn draw(&self, y: f64, end: f64) -> String {
        let (class, weight) = if self.ours {
            ("ours", "600")
        } else {
            ("peer", "400")
        };
        let (name, width, base) = (&self.name, (end - LEFT).max(2.0), y + 13.5);
        let mut text = String::new();
        writeln!(text, r#"<text class="text" font-weight="{weight}" text-anchor="end" x="{:.0}" y="{base:.1}">{name}</text>"#, LEFT - 8.0).unwrap();
        writeln!(text, r#"<rect class="{class}" x="{LEFT}" y="{:.0}" width="{width:.1}" height="{:.0}" rx="2"/>"#, y + 2.0, BAR - 4.0).unwrap();
        writeln!(
            text,
            r#"<text class="quiet value" x="{:.1}" y="{base:.1}">{} ns</text>"#,
            LEFT + width + 6.0,
            number(self.added)
        )
        .unwrap();
        text
    }
}

fn power(exponent: f64) -> f64 {
    10_f64.powf(exponent)
}

/// 10000.0 as "10 µs".
fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.0} ms", ns / 1e6),
    }
}
