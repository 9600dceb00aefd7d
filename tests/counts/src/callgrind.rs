//! valgrind's callgrind: runs this program once more, and counts its instructions.
//!
//! What is counted shall be the same on every x86-64 machine, so it is the code that rustc has compiled: the C library
//! takes other ways on other processors and in other versions to copy and to find memory, and aws-lc is compiled by the C
//! compiler of the machine. How often memory is asked for is counted apart, and the allocator that counts it counts not.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::measure::REQUESTS;

/// Whether what is counted here can be compared with the file: other processors have other instructions.
pub const IS_COMPARABLE: bool = cfg!(target_arch = "x86_64");

/// Every bit is cleared of what aws-lc knows of the processor, so that it takes ways which valgrind can go too. Without the
/// tilde it would be told what there is, and stop the program where that is not so.
const PROCESSOR: &str = "~0xffffffffffffffff:~0xffffffffffffffff";

/// The names of the rows, and how many instructions each adds to a request.
pub fn instructions() -> Vec<(String, i64)> {
    let directory = Scratch::new();
    let report = directory.0.join("report");
    let program = env::current_exe().unwrap();
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", report.display()))
        .arg("--toggle-collect=counts::measure::counted")
        .arg("--dump-after=counts::measure::counted_so_far")
        .arg(&program)
        .arg("under-callgrind")
        .env("OPENSSL_ia32cap", PROCESSOR)
        .output()
        .expect("valgrind is there");
    assert!(
        output.status.success(),
        "valgrind: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).unwrap();
    let row = |(index, name): (usize, &str)| {
        let part = |number: usize| {
            let path = report.with_extension(number.to_string());
            let count = own_instructions(&fs::read_to_string(path).unwrap(), &program);
            assert!(
                count > 0,
                "callgrind found nothing of {name} in {program:?}"
            );
            count
        };
        let added = part(2 * index + 2) - part(2 * index + 1);
        (name.to_owned(), (added + REQUESTS / 2).div_euclid(REQUESTS))
    };
    names.lines().enumerate().map(row).collect()
}

/// The instructions of one part of the report that were of the program's own functions.
///
/// Each line of cost is a position and a number, after lines that name the object file, the source file and the function
/// that it is of. A line with `calls=` is followed by one for what was called, which is counted where it is at home.
fn own_instructions(part: &str, program: &Path) -> i64 {
    let (mut objects, mut files) = (Names::default(), Names::default());
    let mut functions = Names::default();
    let (mut own_object, mut own_file, mut own_function) = (false, false, false);
    let mut total = 0;
    let mut lines = part.lines();
    while let Some(line) = lines.next() {
        match line.split_once('=') {
            Some(("ob", name)) => own_object = Path::new(objects.name(name)) == program,
            Some(("fl", name)) => own_file = !files.name(name).contains("/aws-lc/"),
            Some(("fn", name)) => {
                let name = functions.name(name);
                own_function = !name.starts_with("aws_lc_") && !name.contains("allocation_counter");
            }
            // Some names are first met, with their number, where something is called or inlined.
            Some(("cob", name)) => _ = objects.name(name),
            Some(("fi" | "fe" | "cfi" | "cfl", name)) => _ = files.name(name),
            Some(("cfn", name)) => _ = functions.name(name),
            Some(("calls", _)) => _ = lines.next(),
            // A line such as `totals: 12` is of no function, and its first word ends with a colon.
            None if own_object && own_file && own_function => {
                let cost = line.split_once(' ').filter(|(at, _)| !at.ends_with(':'));
                total += cost.map_or(0, |(_, cost)| cost.parse::<i64>().unwrap());
            }
            _ => {}
        }
    }
    total
}

/// Names are written as `(12) name` once, and as `(12)` from then on.
#[derive(Default)]
struct Names<'p>(HashMap<&'p str, &'p str>);

impl<'p> Names<'p> {
    fn name(&mut self, text: &'p str) -> &'p str {
        match text.split_once(' ') {
            Some((number, name)) => {
                self.0.insert(number, name);
                name
            }
            None => self.0.get(text).copied().unwrap_or_default(),
        }
    }
}

/// A directory for the report, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("tower-warden-counts-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
