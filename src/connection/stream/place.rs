//! [`Place`]: where in an event stream a last event may stand.

use std::mem;

/// Where in an event stream the last byte stood: lines end with LF, CR or both, events with an empty line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    line: Line,
    after_cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Line {
    /// After an empty line, or at the very beginning.
    #[default]
    Between,
    /// At the beginning of a line within an event.
    Begun,
    /// Within a line.
    Within,
}

impl Place {
    pub(super) fn is_between(self) -> bool {
        self.line == Line::Between
    }

    pub(super) fn advance(&mut self, data: &[u8]) {
        // What stands before the last byte of a line's text changes nothing.
        let text = data.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
        for byte in data.iter().skip(text.unwrap_or(0)) {
            let after_cr = mem::replace(&mut self.after_cr, *byte == b'\r');
            self.line = match byte {
                b'\n' if after_cr => self.line,
                b'\n' | b'\r' => match self.line {
                    Line::Within => Line::Begun,
                    Line::Begun | Line::Between => Line::Between,
                },
                _ => Line::Within,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_may_stand_between_two_others_only() {
        let table: [(&[&str], bool); 14] = [
            (&[], true),
            (&["data: a\n\n"], true),
            (&["data: a\r\n\r\n"], true),
            (&["data: a\r\r"], true),
            (&["data: a\n", "\n"], true),
            (&["data: a\r\n\r", "\n"], true),
            (&["data: a\r", "\n", "\r", "\n"], true),
            (&["\n"], true),
            (&["data: a"], false),
            (&["data: a\n"], false),
            (&["data: a\r\n"], false),
            (&["data: a\n\ndata: b"], false),
            (&["data: a\n\ndata: b\n"], false),
            (&["data: a\n\n", ""], true),
        ];
        for (parts, between) in table {
            let mut place = Place::default();
            for part in parts {
                place.advance(part.as_bytes());
            }
            assert_eq!(place.is_between(), between, "{parts:?}");
        }
    }
}
