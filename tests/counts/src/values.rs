//! [`Values`]: what each row adds to a request, how that is kept in a file, and how it compares with the file.

use std::{fmt, fs, process::Command};

use crate::{
    callgrind,
    measure::{self, REQUESTS},
};

/// Instructions may differ from the file by so many in a hundred, and by so few in any case: the compiler may lay code
/// out anew when something far away has changed. Allocations may not differ.
const TOLERANCE: i64 = 3;
const FEW: i64 = 5;

/// What was counted, now or when the file was written.
#[derive(Debug)]
pub struct Values {
    /// Instructions are its work too.
    compiler: String,
    rows: Vec<Value>,
}

/// What one row adds to a request.
#[derive(Debug)]
struct Value {
    name: String,
    /// `None` where they are not counted.
    instructions: Option<i64>,
    allocations: Allocations,
    /// How many allocations it may be at most; the file does not say.
    budget: Option<i64>,
}

/// So many in [`REQUESTS`] requests, written as so many in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Allocations(i64);

impl Values {
    /// Counts every row: its allocations, and its instructions where that can be done.
    pub fn count() -> Self {
        let instructions = if callgrind::IS_COMPARABLE {
            callgrind::instructions()
        } else {
            println!("instructions are counted on x86-64 only: these are the allocations alone");
            Vec::new()
        };
        let value = |(name, allocations, budget)| Value {
            instructions: instructions
                .iter()
                .find_map(|(counted, count)| (*counted == name).then_some(*count)),
            name,
            allocations: Allocations(allocations),
            budget,
        };
        Self {
            compiler: compiler(),
            rows: measure::allocations().into_iter().map(value).collect(),
        }
    }

    /// Reads the file; without one every row is new.
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let compiler = text.lines().find_map(|line| line.strip_prefix("# rustc "));
        let rows = text.lines().filter(|line| !line.starts_with('#'));
        Self {
            compiler: compiler.unwrap_or_default().to_owned(),
            rows: rows.map(Value::read).collect(),
        }
    }

    /// Writes the file.
    pub fn write(&self, path: &str) {
        let text = format!(
            "# What the layer adds to a request; `COUNTS=write tests/run counts` writes this file.\n\
             # rustc {}\n{self}",
            self.compiler
        );
        fs::write(path, text).unwrap();
    }

    /// Each row that allocates more often than it may.
    pub fn beyond_budget(&self) -> Vec<String> {
        let beyond = |row: &Value| {
            let budget = Allocations(row.budget? * REQUESTS);
            (row.allocations > budget).then(|| {
                let Value {
                    name, allocations, ..
                } = row;
                format!("{name}: {allocations} allocations, and the budget is {budget}")
            })
        };
        self.rows.iter().filter_map(beyond).collect()
    }

    /// Each row in which these differ from what the file says, better or worse.
    pub fn differences(&self, file: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for row in &self.rows {
            let name = &row.name;
            let Some(before) = file.row(name) else {
                differences.push(format!("{name}: is not in the file"));
                continue;
            };
            if let (Some(now), Some(before)) = (row.instructions, before.instructions)
                && (now - before).abs() > FEW.max(before.abs() * TOLERANCE / 100)
            {
                let verdict = verdict(now > before);
                differences.push(format!(
                    "{name}: {now} instructions, were {before}: {verdict}"
                ));
            }
            let (now, before) = (row.allocations, before.allocations);
            if now != before {
                let verdict = verdict(now > before);
                differences.push(format!(
                    "{name}: {now} allocations, were {before}: {verdict}"
                ));
            }
        }
        let gone = file.rows.iter().filter(|row| self.row(&row.name).is_none());
        differences.extend(gone.map(|row| format!("{}: is in the file only", row.name)));
        differences
    }

    /// Why instructions may differ though nothing here has changed.
    pub fn other_compiler(&self, file: &Self) -> Option<String> {
        let (now, before) = (&self.compiler, &file.compiler);
        (now != before && !before.is_empty()).then(|| {
            format!(
                "this is rustc {now}, the file was written with {before}: if instructions differ for that alone, write \
                 it anew"
            )
        })
    }

    fn row(&self, name: &str) -> Option<&Value> {
        self.rows.iter().find(|row| row.name == name)
    }
}

/// The rows, a line each.
impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# {:<24}{:>14}{:>13}",
            "row", "instructions", "allocations"
        )?;
        for row in &self.rows {
            let instructions = row
                .instructions
                .map_or("-".to_owned(), |count| count.to_string());
            let allocations = row.allocations.to_string();
            writeln!(f, "{:<26}{instructions:>14}{allocations:>13}", row.name)?;
        }
        Ok(())
    }
}

impl Value {
    fn read(line: &str) -> Self {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [name, instructions, allocations] = fields[..] else {
            panic!("a line of the file has a name, instructions and allocations: {line}");
        };
        Self {
            name: name.to_owned(),
            instructions: instructions.parse().ok(),
            allocations: Allocations::read(allocations),
            budget: None,
        }
    }
}

impl Allocations {
    fn read(text: &str) -> Self {
        let each: f64 = text.parse().unwrap();
        Self((each * REQUESTS as f64).round() as i64)
    }
}

impl fmt::Display for Allocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 as f64 / REQUESTS as f64)
    }
}

fn verdict(more: bool) -> &'static str {
    if more { "worse" } else { "better" }
}

/// The version of rustc, without its name.
fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().trim_start_matches("rustc ").to_owned()
}
