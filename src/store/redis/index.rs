//! Lists: what a subject may have, in the order of bytes.
//!
//! An index lies in another slot of a cluster than what it lists, so no script writes both. It is a hint: an entry is
//! written **before** the decision that makes it true, and whoever lists asks of each entry whether it is. So a crash
//! in between leaves an entry too many, which nobody sees, and never one too few.
//!
//! Entries that are not true go when somebody comes upon them, but none that was written within the last minute: its
//! decision may still be on its way.

use std::sync::LazyLock;

use redis::{Cmd, FromRedisValue, Pipeline, Value, cmd};

use super::{
    fault::Fault,
    keys::{Index, Names},
    link::Talk,
    script::Script,
};
use crate::{Listing, Page, SubjectId};

/// So long an entry is young, in milliseconds: twice as long as any decision may take.
const YOUTH: &str = "60000";

static NOTE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('ZADD', KEYS[1], '0', ARGV[1])
         redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
         return 1",
    )
});

static NOTE_WITHIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local itself = '[' .. ARGV[1]
         if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3])
             and #redis.call('ZRANGEBYLEX', KEYS[1], itself, itself) == 0 then
             return 0
         end
         redis.call('ZADD', KEYS[1], '0', ARGV[1])
         redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
         return 1",
    )
});

static DROP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('DEL', KEYS[2])
         return redis.call('ZREM', KEYS[1], ARGV[1])",
    )
});

static FORGET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('EXISTS', KEYS[2]) == 1 then
             return 0
         end
         return redis.call('ZREM', KEYS[1], ARGV[1])",
    )
});

/// What can be listed.
pub(super) trait Listed: Sized {
    const INDEX: Index;

    /// Asks what there is of an entry.
    fn question(names: &Names, entry: &str) -> Cmd;

    /// What the entry stands for, if it is this subject's.
    fn answer(entry: String, answer: Value, owner: &SubjectId) -> Result<Option<Self>, Fault>;

    /// What it is listed by.
    fn entry(&self) -> &str;
}

/// Writes down that a subject may have something soon.
pub(super) async fn note<T: Listed>(
    talk: &Talk,
    names: &Names,
    owner: &SubjectId,
    entry: &str,
) -> Result<(), Fault> {
    let index = names.index(owner, T::INDEX);
    let young = Names::young(&index, entry);
    let note = NOTE.key(index).key(young).arg(entry).arg(YOUTH);
    talk.decide(&note).await
}

/// Writes down that a subject may have something soon, unless it has `most` entries already; says whether it did.
///
/// The entries bound what is true: each is written before its decision.
pub(super) async fn note_within<T: Listed>(
    talk: &Talk,
    names: &Names,
    owner: &SubjectId,
    entry: &str,
    most: u32,
) -> Result<bool, Fault> {
    let index = names.index(owner, T::INDEX);
    let young = Names::young(&index, entry);
    let note = NOTE_WITHIN.key(index).key(young).arg(entry).arg(YOUTH);
    let note = note.arg(most.to_string());
    if talk.decide(&note).await? {
        return Ok(true);
    }
    // A list drops the entries that are not true. A page of them is enough: few are not, and the next attempt reads anew.
    let page = Page::first().with_limit(u16::MAX);
    list::<T>(talk, names, owner, &page).await?;
    talk.decide(&note).await
}

/// Drops an entry that will never be true again, however young it is. It does no harm where that fails.
pub(super) async fn drop_entry<T: Listed>(
    talk: &Talk,
    names: &Names,
    owner: &SubjectId,
    entry: &str,
) {
    let index = names.index(owner, T::INDEX);
    let young = Names::young(&index, entry);
    let gone = DROP.key(index).key(young).arg(entry);
    drop(talk.decide::<bool>(&gone).await);
}

/// Drops an entry that is true no more. It does no harm where that fails.
pub(super) async fn forget<T: Listed>(talk: &Talk, names: &Names, owner: &SubjectId, entry: &str) {
    let index = names.index(owner, T::INDEX);
    let young = Names::young(&index, entry);
    let forget = FORGET.key(index).key(young).arg(entry);
    drop(talk.decide::<bool>(&forget).await);
}

/// A page of what a subject has.
pub(super) async fn list<T: Listed>(
    talk: &Talk,
    names: &Names,
    owner: &SubjectId,
    page: &Page,
) -> Result<Listing<T>, Fault> {
    let index = names.index(owner, T::INDEX);
    let wanted = page.limit() + 1;
    let mut from = page
        .last_key()
        .map_or("-".into(), |last| format!("({last}"));
    let mut found = Vec::new();
    while found.len() < wanted {
        let missing = wanted - found.len();
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(&index).arg(&from).arg("+");
        range.arg("LIMIT").arg(0).arg(missing);
        let entries: Vec<String> = talk.ask(&range).await?;
        let Some(last) = entries.last() else {
            break;
        };
        from = format!("({last}");
        let is_last = entries.len() < missing;
        found.extend(true_ones(talk, names, owner, entries).await?);
        if is_last {
            break;
        }
    }
    Ok(Listing::new(found, page, T::entry))
}

async fn true_ones<T: Listed>(
    talk: &Talk,
    names: &Names,
    owner: &SubjectId,
    entries: Vec<String>,
) -> Result<Vec<T>, Fault> {
    let mut questions = Pipeline::with_capacity(entries.len());
    for entry in &entries {
        questions.add_command(T::question(names, entry));
    }
    let answers: Vec<Value> = talk.ask_all(&questions).await?;
    let mut found = Vec::with_capacity(entries.len());
    for (entry, answer) in entries.into_iter().zip(answers) {
        match T::answer(entry.clone(), answer, owner)? {
            Some(thing) => found.push(thing),
            None => forget::<T>(talk, names, owner, &entry).await,
        }
    }
    Ok(found)
}

/// Reads an answer of one type, which nothing but ours can have written.
pub(super) fn read<T: FromRedisValue>(answer: Value) -> Result<T, Fault> {
    T::from_redis_value(answer).map_err(|_| Fault::Foreign)
}
