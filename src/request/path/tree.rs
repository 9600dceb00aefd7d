//! [`Tree`]: the rules filed by segment, so that the first one found is the most specific one.
//!
//! At each node a search tries the literal children, then the wildcard for one segment, then the rules that end here,
//! then the rules whose rest begins here. That order *is* the order of precedence, so no rule is ever compared with
//! another while a request waits. Each node is visited once at most, since its depth fixes its place in the path.

use std::{ptr, sync::Arc};

use http::Method;

use super::{
    pattern::{Pattern, Segment, Tail},
    rules::Access,
};

/// A rule that was checked.
#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) pattern: Pattern,
    pub(super) access: Access,
    pub(super) methods: Option<Box<[Method]>>,
    pub(super) scopes: Vec<Arc<str>>,
}

/// What the rules are asked about one reading of a path.
#[derive(Debug)]
pub(super) struct Question<'q> {
    pub(super) method: &'q Method,
    /// The raw path, if it is canonical. Only then may an exempt or optional rule match. It matches this text and the
    /// reading.
    pub(super) canonical: Option<&'q str>,
    /// The reading of the path that is looked up.
    pub(super) reading: &'q str,
    /// The treatment of an empty segment by a wildcard for one segment.
    pub(super) empty: EmptySegment,
}

/// The treatment of an empty segment by a wildcard for one segment. Routers differ, so a reading with an empty segment is asked
/// about in both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EmptySegment {
    Ends,
    Matches,
}

impl CompiledRule {
    /// Whether the rule holds, given that its segments lead to a node in front of `rest`.
    #[inline]
    fn holds(&self, rest: &[u8], question: &Question<'_>) -> bool {
        match self.access {
            // A rest of two slashes is a segment to some routers, whose name is a slash.
            Access::Required => self.pattern.tail() != Tail::Some || rest.len() > 1,
            Access::Public | Access::Optional => {
                let allows = |methods: &[Method]| methods.contains(question.method);
                self.methods.as_deref().is_none_or(allows)
                    && question.canonical.is_some_and(|path| {
                        self.pattern.matches_exactly(path)
                            && (ptr::eq(path, question.reading)
                                || self.pattern.matches_exactly(question.reading))
                    })
            }
        }
    }

    /// Whether the other rule, filed at the same place, can decide about the same request.
    fn meets(&self, other: &Self) -> bool {
        let methods_meet = match (&self.methods, &other.methods) {
            (Some(ours), Some(theirs)) => ours.iter().any(|method| theirs.contains(method)),
            _ => true,
        };
        let is_wide = self.access == Access::Required || other.access == Access::Required;
        let (ours, theirs) = (&self.pattern, &other.pattern);
        let is_same = ours.segments() == theirs.segments()
            && (ours.tail() == theirs.tail() || ours.is_open() && theirs.is_open());
        methods_meet && (is_wide || is_same)
    }
}

/// All rules, filed under the segments of their patterns.
#[derive(Debug, Default)]
pub(super) struct Tree {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// The literal children and their keys, both in the order of the keys, so a search touches little memory.
    keys: Vec<u64>,
    literals: Vec<Literal>,
    one: Option<Box<Self>>,
    /// The rules whose pattern ends here, and those whose rest begins here: the strictest first.
    end: Vec<CompiledRule>,
    rest: Vec<CompiledRule>,
}

#[derive(Debug)]
struct Literal {
    text: Box<str>,
    node: Node,
}

impl Tree {
    /// Files the rules. Those of one place add up their scopes, so that a tie never loses one.
    pub(super) fn new(rules: impl IntoIterator<Item = CompiledRule>) -> Self {
        let mut tree = Self::default();
        for rule in rules {
            let mut node = &mut tree.root;
            for segment in rule.pattern.segments() {
                node = match segment {
                    Segment::Literal(text) => node.literal_entry(text),
                    Segment::One => node.one.get_or_insert_default(),
                };
            }
            if rule.pattern.is_open() {
                node.rest.push(rule);
            } else {
                node.end.push(rule);
            }
        }
        tree.root.settle_ties();
        tree
    }

    /// The most specific rule that holds for this reading of the path.
    #[inline]
    pub(super) fn find(&self, question: &Question<'_>) -> Option<&CompiledRule> {
        self.root.find(question.reading.as_bytes(), question)
    }

    /// All rules in order of precedence, literals of one place by their key.
    pub(super) fn rules(&self) -> Vec<&CompiledRule> {
        let mut rules = Vec::new();
        self.root.collect(&mut rules);
        rules
    }
}

impl Node {
    fn find(&self, rest: &[u8], question: &Question<'_>) -> Option<&CompiledRule> {
        if self.leads_on()
            && let Some((segment, behind, key)) = keyed_segment(rest)
            && (!segment.is_empty() || question.empty == EmptySegment::Matches)
        {
            if let Some(child) = self.literal(segment, key)
                && let Some(rule) = child.find(behind, question)
            {
                return Some(rule);
            }
            if let Some(child) = &self.one
                && let Some(rule) = child.find(behind, question)
            {
                return Some(rule);
            }
        }
        for rules in [&self.end, &self.rest] {
            for rule in rules {
                if rule.holds(rest, question) {
                    return Some(rule);
                }
            }
        }
        None
    }

    #[inline]
    fn leads_on(&self) -> bool {
        !self.keys.is_empty() || self.one.is_some()
    }

    #[inline]
    fn literal(&self, segment: &[u8], key: u64) -> Option<&Self> {
        // A handful of keys is looked through faster than it is halved.
        let first = if self.keys.len() <= 16 {
            self.keys.iter().position(|&other| other == key)?
        } else {
            self.keys.partition_point(|&other| other < key)
        };
        let alike = self
            .keys
            .get(first..)?
            .iter()
            .zip(self.literals.get(first..)?);
        for (_, Literal { text, node }) in alike.take_while(|(other, _)| **other == key) {
            let text = text.as_bytes();
            // Most paths are written as the rules are, and that comparison is the faster one.
            if text == segment || text.eq_ignore_ascii_case(segment) {
                return Some(node);
            }
        }
        None
    }

    fn literal_entry(&mut self, text: &str) -> &mut Self {
        let known = self
            .literals
            .iter()
            .position(|l| l.text.eq_ignore_ascii_case(text));
        let at = known.unwrap_or_else(|| {
            let key = key(text.as_bytes());
            let at = self.keys.partition_point(|&other| other < key);
            let text = text.to_ascii_lowercase().into();
            let node = Self::default();
            self.keys.insert(at, key);
            self.literals.insert(at, Literal { text, node });
            at
        });
        let entry = self.literals.get_mut(at);
        &mut entry
            .expect("the literal was found or filed at this place")
            .node
    }

    fn settle_ties(&mut self) {
        for rules in [&mut self.end, &mut self.rest] {
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.access));
            let shared: Vec<Vec<Arc<str>>> = rules
                .iter()
                .map(|rule| shared_scopes(rule, rules))
                .collect();
            for (rule, scopes) in rules.iter_mut().zip(shared) {
                rule.scopes = scopes;
            }
        }
        for literal in &mut self.literals {
            literal.node.settle_ties();
        }
        if let Some(node) = &mut self.one {
            node.settle_ties();
        }
    }

    fn collect<'n>(&'n self, rules: &mut Vec<&'n CompiledRule>) {
        for literal in &self.literals {
            literal.node.collect(rules);
        }
        if let Some(node) = &self.one {
            node.collect(rules);
        }
        rules.extend(self.end.iter().chain(&self.rest));
    }
}

/// The scopes of a rule and of those that tie with it.
fn shared_scopes(rule: &CompiledRule, tied: &[CompiledRule]) -> Vec<Arc<str>> {
    let mut scopes = rule.scopes.clone();
    for other in tied.iter().filter(|other| rule.meets(other)) {
        add_scopes(&mut scopes, &other.scopes);
    }
    scopes
}

/// Adds the scopes that are not there yet.
pub(super) fn add_scopes(scopes: &mut Vec<Arc<str>>, more: &[Arc<str>]) {
    for scope in more {
        if !scopes.contains(scope) {
            scopes.push(Arc::clone(scope));
        }
    }
}

/// Splits `/segment` off the front, with its key, in one pass.
#[inline]
fn keyed_segment(rest: &[u8]) -> Option<(&[u8], &[u8], u64)> {
    let (b'/', body) = rest.split_first()? else {
        return None;
    };
    let (mut key, mut end) = (0, 0);
    for &byte in body {
        if byte == b'/' {
            break;
        }
        key = add_to_key(key, byte);
        end += 1;
    }
    let (segment, behind) = body.split_at_checked(end)?;
    Some((segment, behind, key))
}

/// A number for a segment, the same in either letter case: it rules out nearly all other literals at once.
fn key(segment: &[u8]) -> u64 {
    segment.iter().fold(0, |key, &byte| add_to_key(key, byte))
}

#[inline]
fn add_to_key(key: u64, byte: u8) -> u64 {
    key.rotate_left(7) ^ u64::from(byte | 0x20)
}
