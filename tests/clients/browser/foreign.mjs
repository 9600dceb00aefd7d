// Pages of other origins, in the browser of somebody who is signed in: what they may not do with the cookie.
//
// A cookie knows no ports. So a page at another port of the same host is of another origin, and yet the browser sends the
// session's cookie along with what that page asks, even to a cookie that is `SameSite=Lax`.

import { same } from '../support.mjs';
import { site } from './chromium.mjs';

/** Tries from both a neighbour's page and a stranger's; whoever visits them has to be signed in. */
export async function foreignPages(visitor, address) {
  const pages = await site((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>A foreign page</title><p>You have won.</p>');
  });
  const page = await visitor.context.newPage();
  // With the cookie it is the origin that is wrong; without it nobody is there.
  for (const [whose, host, refusal] of [['a neighbour', '127.0.0.1', 403], ['a stranger', 'localhost', 401]]) {
    await page.goto(pages.at(host));
    for (const [method, path] of [['POST', '/chat'], ['POST', '/stop'], ['POST', '/auth/revoke']]) {
      const answer = answerTo(page, method, path);
      await page.evaluate(blindly, { url: address + path, method });
      same(`${whose}: ${method} ${path}`, (await answer).status(), refusal);
    }
    // The accounts know their pages without a look at the cookie.
    const out = answerTo(page, 'POST', '/auth/logout');
    await page.evaluate(blindly, { url: `${address}/auth/logout`, method: 'POST' });
    same(`${whose}: signs nobody out`, (await out).status(), 403);
    const form = answerTo(page, 'POST', '/stop');
    await page.evaluate(byForm, `${address}/stop`);
    same(`${whose}: a form`, (await form).status(), refusal);
    await page.waitForURL(`${address}/stop`);
    await page.goto(pages.at(host));
    const reads = await page.evaluate(read, `${address}/history`);
    same(`${whose}: reads nothing`, reads, 'TypeError');
    const socket = await page.evaluate(connect, `${address.replace('http', 'ws')}/agents/helper/lobby`);
    same(`${whose}: no WebSocket`, socket, { opened: false, code: 1006 });
  }
  await page.close();
  pages.close();
}

function answerTo(page, method, path) {
  return page.waitForResponse((response) => {
    return response.request().method() === method && new URL(response.url()).pathname === path;
  });
}

// What runs in the foreign page.

/** Sends what needs no preflight; the page never sees the answer. */
function blindly({ url, method }) {
  return fetch(url, { method, mode: 'no-cors', credentials: 'include', body: '{"message":"hello"}' }).then(() => {});
}

function byForm(action) {
  const form = document.createElement('form');
  Object.assign(form, { method: 'post', action });
  document.body.append(form);
  form.submit();
}

function read(url) {
  return fetch(url, { credentials: 'include' }).then((response) => response.text(), (error) => error.name);
}

function connect(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, 'chat');
    let opened = false;
    socket.onopen = () => {
      opened = true;
    };
    socket.onclose = ({ code }) => resolve({ opened, code });
  });
}
