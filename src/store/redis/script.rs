//! [`Script`]: a decision that Redis makes in one step.

use redis::{Cmd, cmd};

/// The greatest number that Lua, and the score of a sorted set, tell from the next one.
pub(super) const GREATEST: u64 = (1 << 53) - 1;

/// A script in Lua, known to Redis by its hash.
#[derive(Debug)]
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

/// A script with what it is about.
pub(super) struct Call<'s> {
    script: &'s Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

impl Script {
    pub(super) fn new(code: &'static str) -> Self {
        let hash = redis::Script::new(code).get_hash().to_owned();
        Self { code, hash }
    }

    /// Begins a call with the one key that it needs at least.
    pub(super) fn key(&self, key: impl Into<Vec<u8>>) -> Call<'_> {
        Call {
            script: self,
            keys: vec![key.into()],
            arguments: Vec::new(),
        }
    }
}

impl Call<'_> {
    pub(super) fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Numbers go as text: those of Lua are not exact beyond 2^53.
    pub(super) fn arg(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The call of a script that Redis has seen before.
    pub(super) fn known(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// The call with the script itself, in the same step, so that nothing can come in between.
    pub(super) fn whole(&self) -> Cmd {
        self.command("EVAL", self.script.code)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command
            .arg(script)
            .arg(self.keys.len())
            .arg(&self.keys)
            .arg(&self.arguments);
        command
    }
}
