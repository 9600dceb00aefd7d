// The whole way of one user: knock, sign up, chat, open a room, renew it, make a key, look after the sessions.

import { check, same, until } from '../support.mjs';
import { PHONE } from './chromium.mjs';
import { Person } from './person.mjs';

const LONG = 'word '.repeat(400);
const MARKUP = '<b>bold</b> <img src=x onerror="document.title = 1">';

/** Ends with somebody who is signed in, and what they have said. */
export async function journey(address, name, password) {
  const alice = await Person.arrive(name, { permissions: ['clipboard-read', 'clipboard-write'] });
  await alice.visit(address);
  await policy(address);
  await knocks(alice);
  await signsUp(alice, address, name, password);
  await cookies(alice, address);
  await chats(alice);
  await livesInARoom(alice);
  await makesKeys(alice, address);
  await keepsSessions(alice, address, name, password);
  return alice;
}

/** What the page runs under: a script that is not the page's own is not run, wherever it comes from. */
async function policy(address) {
  const mallory = await Person.arrive('a script that got in');
  const [answer] = await Promise.all([mallory.page.waitForResponse(address + '/'), mallory.visit(address)]);
  const rules = answer.headers()['content-security-policy'];
  check('policy: nothing is allowed but what is named', /^default-src 'none';/.test(rules) && !/unsafe/.test(rules), rules);
  const ran = await mallory.page.evaluate(() => {
    const script = document.createElement('script');
    try {
      script.textContent = 'window.ran = true';
    } catch {
      // Trusted Types: no text becomes a script.
      script.append('window.ran = true');
    }
    document.body.append(script);
    return window.ran === true;
  });
  same('policy: the script does not run', ran, false);
  check('policy: the browser says so', /TrustedScript/.test(mallory.complaints[0]), mallory.complaints);
  await mallory.context.close();
}

async function knocks(alice) {
  const { page } = alice;
  for (const button of await page.locator('#knocks button').all()) await button.click();
  await page.locator('.log li').nth(6).waitFor({ state: 'attached' });
  const decisions = await alice.decisions();
  same('knocks: all are refused', decisions.filter((line) => !/ 40[01] [a-z_]+$/.test(line)), []);
  check('knocks: two tokens at once', decisions.some((line) => line.endsWith('400 multiple_credentials')), decisions);
  await alice.isTidy('at the door');
  await alice.picture('1-door');
}

async function signsUp(alice, address, name, password) {
  const { page } = alice;
  await alice.sign('Sign in', name, password);
  await alice.isTold('#sign', 'Name and password do not fit');
  await alice.sign('Sign up', name, 'short');
  await alice.isTold('#sign', /password has 8 to 72 bytes/);
  await alice.isTidy('told no');
  await alice.picture('2-refused');

  // By keyboard alone, from the field of the name on.
  await page.locator('#username').focus();
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type(name);
  await page.keyboard.press('Tab');
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.locator('#name', { hasText: name }).waitFor();
  same('sign up: 400, then 200', alice.statuses('POST', '/auth/register'), [400, 200]);

  const bob = await Person.arrive('somebody who wants the same name');
  await bob.visit(address);
  await bob.sign('Sign up', name.toUpperCase(), password);
  await bob.isTold('#sign', 'Somebody has this name');
  await bob.leave();
}

/** What the browser keeps, and what the page can see of it. */
async function cookies(alice, address) {
  const kept = await alice.context.cookies(`${address}/auth/user`);
  const flags = Object.fromEntries(
    kept.map(({ name, httpOnly, secure, sameSite, path }) => [name, { httpOnly, secure, sameSite, path }]),
  );
  same('cookies: their flags, over http on loopback', flags, {
    jwt_token: { httpOnly: true, secure: false, sameSite: 'Lax', path: '/' },
    refresh_token: { httpOnly: true, secure: false, sameSite: 'Strict', path: '/auth' },
    refresh_session: { httpOnly: true, secure: false, sameSite: 'Strict', path: '/' },
  });
  const seen = await alice.page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length]);
  same('cookies: no script sees them', seen, ['', 0, 0]);
}

async function chats(alice) {
  const { page } = alice;
  await alice.talk('chat', 'Hello, agent.');
  await alice.talk('chat', MARKUP);
  same('chat: markup is text', await page.locator('#chat .messages :is(b, img)').count(), 0);
  await alice.say('chat', LONG);
  await alice.hears('chat', 'You said: word word');
  await alice.picture('3-chat');
  await page.locator('#chat .stop').click();
  await page.locator('#chat .speaking').waitFor({ state: 'detached' });
  const last = page.locator('#chat .messages .agent').last();
  check('chat: stopped in the middle', (await last.textContent()).length < LONG.length);
  await alice.talk('chat', 'Still there?');
  const said = await page.locator('#chat .messages li').allTextContents();
  await page.reload();
  await alice.hears('chat', 'Still there?');
  same('chat: the history is what was said', await page.locator('#chat .messages li').allTextContents(), said);
}

async function livesInARoom(alice) {
  const { page } = alice;
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket));
  await alice.enterRoom(`den-${alice.name}`);
  await page.getByLabel('Renew by itself').uncheck();
  const left = () => page.locator('#lease-left').textContent();
  const first = await left();
  check('room: the time passes', await until(async () => (await left()) !== first), first);
  await alice.talk('room', 'Is anybody here?');
  await page.getByRole('button', { name: 'Renew now' }).click();
  await page.locator('#room .note.yes', { hasText: 'Renewed in place' }).waitFor();
  await alice.talk('room', 'And now?');
  same('room: renewed on the same connection', sockets.length, 1);
  await alice.isTidy('in a room');
  await alice.picture('4-room');
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.locator('.lease[data-state=ended]').waitFor();
  await alice.enterRoom(`den-${alice.name}`);
  await alice.hears('room', 'And now?');
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.locator('.lease[data-state=ended]').waitFor();
}

async function makesKeys(alice, address) {
  const { page } = alice;
  await alice.go('Keys');
  await page.getByLabel('What is it for?').fill('laptop');
  await page.getByRole('button', { name: 'Make a key' }).click();
  await page.locator('#new-key:visible').waitFor();
  const key = await page.locator('#new-key').textContent();
  await alice.isTidy('with a new key');
  await alice.picture('5-key');
  await page.getByRole('button', { name: 'Copy the key' }).click();
  same('key: copied', await page.evaluate(() => navigator.clipboard.readText()), key);
  const history = () => fetch(`${address}/history`, { headers: { 'x-api-key': key } });
  same('key: opens what is hers', (await history()).status, 200);
  await page.getByRole('button', { name: 'Done' }).click();
  check('key: shown once', !(await page.content()).includes(key));
  await page.getByRole('button', { name: 'Revoke the key laptop' }).click();
  await page.locator('#keys .items li').waitFor({ state: 'detached' });
  same('key: revoked', (await history()).status, 401);
}

/** A phone signs in too; it is ended from the desktop, and the password changes. */
async function keepsSessions(alice, address, name, password) {
  const { page } = alice;
  const phone = await Person.arrive(`${name} on a phone`, { ...PHONE, colorScheme: 'dark' });
  await phone.visit(address);
  await phone.isTidy('at the door');
  await phone.picture('6-phone-door', { fullPage: true });
  await phone.enter('Sign in', name, password);
  for (const part of ['Chat', 'Room', 'Keys', 'Account']) {
    await phone.go(part);
    await phone.isTidy(part);
  }
  await phone.picture('6-phone-account', { fullPage: true });
  await phone.enterRoom(`phone-${name}`);
  await phone.picture('6-phone-room', { fullPage: true });

  await alice.go('Account');
  const sessions = page.locator('#sessions li');
  await sessions.nth(1).waitFor();
  await alice.picture('7-account');
  await sessions.getByRole('button', { name: 'End' }).click();
  await phone.page.locator('#door').waitFor();
  await phone.decided(/^.*WS \/agents\/helper\/phone-.*1008.*revoked/);
  await phone.isTold('#sign', 'Sign in again');
  await phone.leave();
  await sessions.nth(1).waitFor({ state: 'detached' });

  const form = page.locator('#change-password');
  await form.getByLabel('The present one').fill('not the present one');
  await form.getByLabel('The new one').fill(`${password} and more`);
  await form.getByRole('button').click();
  await alice.isTold('#change-password', 'The present password is wrong');
  await form.getByLabel('The present one').fill(password);
  await form.getByRole('button').click();
  await alice.isTold('#change-password', 'Changed');
  await alice.signOut();
  await alice.sign('Sign in', name, password);
  await alice.isTold('#sign', 'do not fit');
  await alice.enter('Sign in', name, `${password} and more`);
}
