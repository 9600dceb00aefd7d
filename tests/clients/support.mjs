// What the clients share: checks that are counted, and processes that end with us.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

// Nothing here takes that long; whoever waits for ever has failed.
const PATIENCE = 300_000;

const programs = [];
const running = new Set();
setTimeout(() => {
  check('an end', false, `none after ${PATIENCE / 1000} s`);
  finish();
}, PATIENCE).unref();
const scratch = mkdtempSync(join(tmpdir(), 'warden-'));
process.on('exit', () => {
  running.forEach((child) => child.kill('SIGKILL'));
  rmSync(scratch, { recursive: true, force: true });
});
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

let checks = 0;
let failures = 0;

/** Counts, and says what is wrong; `about` is whatever helps to see why. */
export function check(name, holds, about = '') {
  checks += 1;
  if (!holds) {
    failures += 1;
    console.error(`FAILED ${name}: ${typeof about === 'string' ? about : JSON.stringify(about)}`);
  }
  return holds;
}

export function same(name, found, wanted) {
  return check(name, isDeepStrictEqual(found, wanted), { found, wanted });
}

/** Says the result, and ends the process with it. No check at all is a failure too. */
export function finish() {
  if (failures > 0) {
    for (const { child, output } of programs) console.error(`-- ${child.spawnargs.join(' ')}\n${output.slice(-4000)}`);
  }
  console.log(`${checks} checks, ${failures} failed`);
  process.exit(failures === 0 && checks > 0 ? 0 : 1);
}

/** Waits for what is a matter of moments; `undefined` if it does not come in time. */
export async function until(condition, seconds = 10) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(20)) {
    const found = await condition();
    if (found) return found;
  }
  return undefined;
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A process of ours, and what it says. */
export class Program {
  constructor(command, parameters, environment) {
    this.output = '';
    this.child = spawn(command, parameters, {
      // Each process has a database of its own, unless it is told to share one.
      env: { ...process.env, NO_COLOR: '1', DATABASE_URL: `sqlite:${scratch}/${programs.length}.db`, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    programs.push(this);
    running.add(this.child);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.output += text;
      });
    }
    this.ended = new Promise((resolve) => {
      this.child.on('error', (error) => {
        this.output += `${error}\n`;
      });
      this.child.on('close', (code, signal) => {
        running.delete(this.child);
        resolve(code ?? signal);
      });
    });
  }

  /** The first thing in its output that this pattern's group matches, waiting for it. */
  async says(pattern, seconds = 30) {
    let over = false;
    this.ended.then(() => {
      over = true;
    });
    const found = await until(() => pattern.exec(this.output)?.[1] ?? (over && ''), seconds);
    if (!found) throw new Error(`${this.child.spawnargs.join(' ')} did not say ${pattern}:\n${this.output}`);
    return found;
  }

  async stop() {
    this.child.kill('SIGTERM');
    return this.ended;
  }
}

let databases = 0;

/** The URL of an empty database, for processes that share it; it goes when we go. */
export function database() {
  databases += 1;
  return `sqlite:${scratch}/shared-${databases}.db`;
}

/** Builds an example, and gives the path of its program. */
export async function example(name) {
  const cargo = new Program('cargo', [
    'build', '--example', name, '--features', 'full', '--message-format', 'json-render-diagnostics',
  ]);
  if ((await cargo.ended) !== 0) throw new Error(cargo.output);
  for (const line of cargo.output.split('\n').filter((text) => text.startsWith('{'))) {
    const { target, executable } = JSON.parse(line);
    if (executable && target.name === name) return executable;
  }
  throw new Error(`cargo built no example ${name}`);
}
