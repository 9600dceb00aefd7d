// The hooks `useAgent` and `useAgentChat` in a real page, of another origin than the service that it talks to.

import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { text } from 'node:stream/consumers';
import { SignJWT } from 'jose';
import { build } from 'vite';

import { Program, check, same, until } from '../support.mjs';
import { Visitor, site } from './chromium.mjs';
import { SECRET } from './service.mjs';

const BUILT = 'target/browser/react';
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

export async function reactPage(program) {
  await build({ root: 'tests/clients/react', logLevel: 'error' });

  /** The tokens that the page was given, oldest first, and how long the next ones last, in seconds. */
  const tokens = [];
  const lives = { next: [], then: 600 };
  const mint = async (user) => {
    const token = await new SignJWT({ sub: user })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuedAt()
      .setExpirationTime(Math.floor(Date.now() / 1000) + (lives.next.shift() ?? lives.then))
      .setJti(randomUUID())
      .sign(new TextEncoder().encode(SECRET));
    tokens.push(token);
    return token;
  };
  const pages = await site(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://page');
    if (request.method === 'POST' && pathname === '/token') return response.end(await mint(await text(request)));
    try {
      const file = await readFile(`${BUILT}${pathname === '/' ? '/index.html' : pathname}`);
      response.setHeader('content-type', TYPES[extname(pathname)] ?? TYPES['.html']);
      response.end(file);
    } catch {
      response.writeHead(404).end();
    }
  });
  const origin = pages.at('127.0.0.1');
  const service = new Program(program, [], {
    PORT: '0', JWT_SECRET: SECRET, JWT_LEEWAY: '0', ALLOWED_ORIGINS: origin, LOG_LEVEL: 'debug',
  });
  const address = await service.says(/^listening on (.*)$/m);
  const visit = (room, user = 'alice') => `${origin}/?service=${new URL(address).host}&room=${room}&user=${user}`;

  await chats(visit);
  await comesBack(visit, lives, tokens);
  await showsRefusal(visit, tokens, address);
  await strangersRoom(visit);

  pages.close();
  await service.stop();
}

async function say(page, text) {
  await page.getByLabel('Message').fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

const answer = (page, text) =>
  page.locator('#messages li[data-role=assistant]', { hasText: text }).waitFor().then(() => true, () => false);
const identified = (page) => page.getByText('identified').waitFor();

async function chats(visit) {
  const alice = await Visitor.arrive('react: chat');
  await alice.page.goto(visit('react-chat'));
  await identified(alice.page);
  await say(alice.page, 'hello from React');
  check('react: an answer', await answer(alice.page, /^You said: hello from React$/));
  await alice.page.reload();
  check('react: the history is there again', await answer(alice.page, /^You said: hello from React$/));
  await alice.picture('react-chat');
  await alice.leave();
}

/** A token that ends closes the connection with 3000; the hook asks for another one and comes back. */
async function comesBack(visit, lives, tokens) {
  const alice = await Visitor.arrive('react: a short token');
  const before = tokens.length;
  // Strict mode asks twice at the start, so either of the first two may be the one that is used.
  lives.next = [3, 3];
  await alice.page.goto(visit('react-expiry'));
  await identified(alice.page);
  await say(alice.page, 'before');
  check('react: an answer before the end', await answer(alice.page, /before$/));
  const closed = alice.page.locator('#closed');
  await alice.page.waitForFunction(() => document.querySelector('#closed').textContent !== '');
  same('react: the end of the token', (await closed.textContent()).split(', ')[0], '3000 token expired');
  lives.next = [];
  await identified(alice.page);
  await say(alice.page, 'after');
  check('react: comes back with a fresh token', await answer(alice.page, /after$/));
  check('react: asked for it', tokens.length > before + 1, tokens.length - before);
  same('react: nothing is refused', await alice.page.getByRole('alert').count(), 0);
  await alice.leave();
}

/** What is final is shown, and not tried again. */
async function showsRefusal(visit, tokens, address) {
  const alice = await Visitor.arrive('react: a refusal');
  await alice.page.goto(visit('react-refusal'));
  await identified(alice.page);
  const authorization = `Bearer ${tokens.at(-1)}`;
  const revoked = await fetch(`${address}/auth/revoke`, { method: 'POST', headers: { authorization } });
  check('react: the token is revoked', revoked.ok, revoked.status);
  const alert = alice.page.getByRole('alert');
  await alert.waitFor();
  same('react: the refusal is shown', await alert.textContent(), 'The service said no: revoked (1008)');
  await alice.picture('react-refused');
  // A new attempt would be another connection: the page makes none, and asks for no token.
  const asked = tokens.length;
  const again = await until(() => tokens.length > asked, 1);
  same('react: not tried again', [again, await alice.page.locator('#opened').textContent()], [undefined, '1']);
  await alice.leave();
}

/** The room of somebody else: the refusal comes after the handshake, or the hook would try for ever. */
async function strangersRoom(visit) {
  const mallory = await Visitor.arrive('react: a stranger');
  await mallory.page.goto(visit('react-chat', 'mallory'));
  const alert = mallory.page.getByRole('alert');
  await alert.waitFor();
  same('react: a stranger is told so', await alert.textContent(), 'The service said no: not_owner (1008)');
  same('react: a stranger reads nothing', await mallory.page.locator('#messages li').count(), 0);
  await mallory.leave();
}
