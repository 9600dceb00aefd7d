// What ends, and what outlives it: a token that expires, a service that is started again.

import { SignJWT, decodeJwt } from 'jose';

import { check, same } from '../support.mjs';
import { SECRET } from './service.mjs';

/** Opens a room with a token that has seconds left: the gate closes it, and the session goes on. */
export async function expires(alice) {
  const { page } = alice;
  await shorten(alice, 4);
  await alice.enterRoom(`short-${alice.name}`);
  await page.getByLabel('Renew by itself').uncheck();
  await alice.talk('room', 'Before the end.');
  await page.locator('.lease[data-state=ended]').waitFor();
  await alice.decided(/WS .*3000.*token_expired/);
  await alice.isTold('#room', 'The connection ended: token expired');
  await alice.picture('12-expired');
  await page.getByRole('button', { name: 'Open' }).click();
  await page.locator('.lease[data-state=open]').waitFor();
  await alice.hears('room', 'Before the end.');

  await shorten(alice, 8);
  await alice.enterRoom(`kept-${alice.name}`);
  same('another room is no renewal', await page.locator('#room .note.yes').count(), 0);
  await page.getByLabel('Renew by itself').check();
  await page.locator('#room .note.yes', { hasText: 'Renewed in place' }).waitFor();
  const [last] = await alice.decisions();
  check('renewed by itself, before the end', last.startsWith('POST /auth/refresh 200'), last);
}

/** Puts a token in the place of the present one that says the same, and ends soon. */
async function shorten(alice, seconds) {
  const [cookie] = (await alice.context.cookies()).filter(({ name }) => name === 'jwt_token');
  const claims = decodeJwt(cookie.value);
  const now = Math.floor(Date.now() / 1000);
  const value = await new SignJWT({ ...claims, iat: now - 1, exp: now + seconds, jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(SECRET));
  await alice.context.addCookies([{ ...cookie, value }]);
}

/** Sessions, owners and history are there again after a restart. */
export async function outlives(alice, service) {
  await alice.go('Chat');
  await alice.talk('chat', 'Remember this.');
  await alice.enterRoom(`lasting-${alice.name}`);
  await alice.talk('room', 'And this.');
  await service.restart();
  await alice.visit(service.address);
  same('after a restart: still signed in', await alice.page.locator('#name').textContent(), alice.name);
  await alice.go('Chat');
  await alice.hears('chat', 'Remember this.');
  await alice.enterRoom(`lasting-${alice.name}`);
  await alice.hears('room', 'And this.');
}
