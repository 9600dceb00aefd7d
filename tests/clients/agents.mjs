// The npm client `agents`, as it comes, against the example `agent_chat`: who gets in, who comes back, who stays away.
//
// What it takes for the client to be happy:
//   GET /agents/{agent}/{room} upgrades, and says {"type":"cf_agent_identity","agent","name"} with the names of the path
//     and {"type":"auth_ok","ttl","connection_id"}, in either order, before anything else;
//   {"type":"cf_agent_use_chat_request","id","init":{"method":"POST","body"}}, where body is the JSON text of
//     {"messages":[{"id","role","parts":[{"type":"text","text"}]}]}, is answered by frames
//     {"type":"cf_agent_use_chat_response","id","body","done"}, where body is the JSON text of a chunk such as
//     {"type":"text-delta","id","delta"}; the last frame has done: true;
//   GET /agents/{agent}/{room}/get-messages answers the conversation as an array of such messages;
//   the subprotocol `chat` is the one that is spoken.

import { randomUUID } from 'node:crypto';
import { AgentClient, agentFetch } from 'agents/client';
import { WebSocketChatTransport } from 'agents/chat/transport';
import { SignJWT } from 'jose';
import WebSocket from 'ws';

import { Program, check, example, finish, pause, same, until } from './support.mjs';

const SECRET = 'a-secret-for-tests-of-at-least-32-bytes';
const ISSUER = 'https://id.example';
const AUDIENCE = 'agent-chat';
const ORIGIN = 'https://app.example';

const server = new Program(await example('agent_chat'), [], {
  PORT: '0', JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE, JWT_LEEWAY: '0', ALLOWED_ORIGINS: ORIGIN,
  LOG_LEVEL: 'debug',
});
const address = await server.says(/^listening on (.*)$/m);
const host = new URL(address).host;
const tokens = [];

/** A token that ends in that many seconds. */
async function mint(seconds = 600, subject = 'alice') {
  const now = Math.floor(Date.now() / 1000);
  const token = await new SignJWT({ sub: subject, iss: ISSUER, aud: AUDIENCE, iat: Math.min(now, now + seconds - 1) })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(now + seconds)
    .setJti(randomUUID())
    .sign(new TextEncoder().encode(SECRET));
  tokens.push(token);
  return token;
}

/** A session as our own login gives one: it names neither issuer nor audience. */
async function session() {
  const token = await new SignJWT({ sub: 'alice' })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('10 min')
    .sign(new TextEncoder().encode(SECRET));
  tokens.push(token);
  return token;
}

function post(path, token, body) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return fetch(address + path, { method: 'POST', headers, body: JSON.stringify(body ?? {}) });
}

let rooms = 0;

/** A client of that agent in a room of its own, and all that happens to it. */
function connect(options) {
  rooms += 1;
  const seen = { opened: 0, closed: [], errors: [], frames: [], asked: 0, fatal: [] };
  const { query } = options;
  const client = new AgentClient({
    agent: 'MyAgent',
    name: `room-${rooms}`,
    host,
    WebSocket,
    minReconnectionDelay: 50,
    maxReconnectionDelay: 200,
    onConnectionError: (error) => seen.fatal.push(error.code),
    ...options,
    ...(typeof query === 'function' && {
      query: () => {
        seen.asked += 1;
        return query(seen.asked);
      },
    }),
  });
  client.addEventListener('open', () => {
    seen.opened += 1;
  });
  client.addEventListener('close', ({ code, reason }) => seen.closed.push({ code, reason }));
  client.addEventListener('error', ({ message }) => seen.errors.push(message));
  client.addEventListener('message', ({ data }) => {
    if (typeof data === 'string') seen.frames.push(JSON.parse(data));
  });
  const frame = (type, count = 1) => until(() => seen.frames.filter((one) => one.type === type)[count - 1]);
  return { client, seen, frame, identified: () => until(() => client.identified) };
}

/** What a chat turn is answered, by the transport that `useAgentChat` uses. */
async function chat(client, text) {
  const transport = new WebSocketChatTransport({ agent: client });
  const messages = [{ id: randomUUID(), role: 'user', parts: [{ type: 'text', text }] }];
  const stream = await transport.sendMessages({ trigger: 'submit-message', messages });
  const answer = async () => {
    let words = '';
    for await (const chunk of stream) words += chunk.type === 'text-delta' ? chunk.delta : '';
    return words;
  };
  return Promise.race([answer(), pause(10_000).then(() => 'no answer')]);
}

async function everyPlace() {
  for (const parameter of ['token', 'access_token']) {
    const { client, seen, identified } = connect({ query: { [parameter]: await mint() } });
    check(`${parameter}: identified`, await identified(), seen);
    same(`${parameter}: who it is`, [client.agent, client.name], ['my-agent', `room-${rooms}`]);
    same(`${parameter}: chat`, await chat(client, 'hello there'), 'You said: hello there');
    same(`${parameter}: nothing went wrong`, [seen.opened, seen.closed, seen.errors], [1, [], []]);
    client.close();
  }

  const offered = connect({ protocols: ['chat', 'bearer', await mint()] });
  check('subprotocol: identified', await offered.identified(), offered.seen);
  same('subprotocol: the real one is spoken', offered.client.protocol, 'chat');
  offered.client.close();
  const alone = connect({ protocols: ['bearer', await mint()], maxRetries: 0 });
  check('subprotocol: none beside the token', await until(() => alone.seen.errors.length), alone.seen);
  check('subprotocol: none beside the token, 400', /\b400\b/.test(alone.seen.errors[0]), alone.seen);
  alone.client.close();

  const cookie = `theme=dark; jwt_token=${await session()}`;
  for (const [name, origin, refusal] of [
    ['own', address, undefined],
    ['allowed', ORIGIN, undefined],
    ['foreign', 'https://evil.example', /\b403\b/],
    ['null', 'null', /\b403\b/],
    ['missing', undefined, /\b403\b/],
  ]) {
    class Browser extends WebSocket {
      constructor(url, protocols) {
        super(url, protocols, { origin, headers: { cookie } });
      }
    }
    const { client, seen, identified } = connect({ WebSocket: Browser, maxRetries: 0 });
    if (refusal) {
      await until(() => seen.errors.length);
      check(`cookie, origin ${name}: refused`, refusal.test(seen.errors[0]) && seen.opened === 0, seen);
    } else {
      check(`cookie, origin ${name}: identified`, await identified(), seen);
    }
    client.close();
  }
}

async function comesBack() {
  const expired = connect({ query: async (asked) => ({ token: await mint(asked === 1 ? -60 : 600) }) });
  check('expired: comes back with a fresh token', await expired.identified(), expired.seen);
  same('expired: asked twice', [expired.seen.asked, expired.seen.opened], [2, 1]);
  check('expired: refused by 401', /\b401\b/.test(expired.seen.errors[0]), expired.seen);
  expired.client.close();

  const ends = connect({ query: async (asked) => ({ token: await mint(asked === 1 ? 4 : 600) }) });
  check('expiry: identified', await ends.identified(), ends.seen);
  check('expiry: comes back', await until(() => ends.seen.opened === 2), ends.seen);
  same('expiry: closed so that it comes back', ends.seen.closed, [{ code: 3000, reason: 'token expired' }]);
  same('expiry: asked again, and nothing fatal', [ends.seen.asked, ends.seen.fatal], [2, []]);
  check('expiry: identified again', await ends.identified(), ends.seen);
  same('expiry: chat goes on', await chat(ends.client, 'again'), 'You said: again');
  ends.client.close();
}

/** Two seconds left, and a client that talks as fast as it is heard. */
async function flooded() {
  const { client, seen, identified } = connect({ query: async (asked) => ({ token: await mint(asked === 1 ? 2 : 600) }) });
  check('flood: identified', await identified(), seen);
  let sent = 0;
  while (client.readyState === WebSocket.OPEN && sent < 1_000_000) {
    const messages = [{ id: `${sent}`, role: 'user', parts: [{ type: 'text', text: `${sent}` }] }];
    const init = { method: 'POST', body: JSON.stringify({ messages }) };
    client.send(JSON.stringify({ type: 'cf_agent_use_chat_request', id: `${sent}`, init }));
    sent += 1;
    // Frames and the close come in here.
    if (sent % 20 === 0) await pause(1);
  }
  await until(() => seen.closed.length);
  same('flood: closed so that it comes back', seen.closed[0], { code: 3000, reason: 'token expired' });
  const begun = seen.frames.filter(({ body }) => body?.includes('text-start')).map(({ id }) => Number(id));
  check('flood: heard until then', begun.length > 0 && begun.length <= sent, begun.length);
  check('flood: in order, and each', begun.every((id, place) => id === place), begun);
  // What was sent before the close and came after the deadline was heard by nobody; one may have been on its way.
  const where = { agent: 'MyAgent', name: client.name, host, path: 'get-messages' };
  const history = await agentFetch({ ...where, query: { token: await mint() } });
  const heard = (await history.json()).filter(({ role }) => role === 'user').length;
  check('flood: nothing is handled after the close', [0, 1].includes(heard - begun.length), [heard, begun.length, sent]);
  check('flood: comes back', await until(() => seen.opened === 2), seen);
  same('flood: chat goes on', await chat(client, 'again'), 'You said: again');
  client.close();
}

async function staysAway() {
  const gone = await mint();
  const revoked = await post('/auth/revoke', gone);
  check('revoke one’s own token', revoked.ok, revoked.status);
  const final = connect({ query: async () => ({ token: gone }) });
  check('revoked: told so', await until(() => final.seen.fatal.length), final.seen);
  same('revoked: closed after the handshake', final.seen.closed, [{ code: 1008, reason: 'revoked' }]);
  // Three times the longest pause between two tries of this client.
  await pause(600);
  same('revoked: never comes back', [final.seen.asked, final.seen.opened, final.seen.fatal], [1, 1, [1008]]);
  const talking = await mint();
  const answer = await post('/chat', talking, { message: 'word '.repeat(500) });
  check('revoked while an answer is streamed', (await post('/auth/revoke', talking)).ok);
  const streamed = await answer.text();
  check('revoked while streamed: told so', /event: auth\s+data: .*"revoked"/.test(streamed), streamed.slice(-200));
  const plain = await post('/chat', gone, { message: 'hello' });
  same('revoked: refused everywhere', plain.status, 401);

  const token = await mint();
  const [one, other] = [connect({ query: async () => ({ token }) }), connect({ query: { token: await mint() } })];
  check('revoked while open: identified', (await one.identified()) && (await other.identified()), one.seen);
  check('revoked while open', (await post('/auth/revoke', token)).ok);
  check('revoked while open: told so', await until(() => one.seen.fatal.length), one.seen);
  same('revoked while open: how', one.seen.closed, [{ code: 1008, reason: 'revoked' }]);
  same('revoked while open: others stay', [other.seen.closed, await chat(other.client, 'here')], [[], 'You said: here']);
  other.client.close();
}

async function renews() {
  const inside = connect({ query: { token: await mint(5) } });
  const greeting = await inside.frame('auth_ok');
  check('renewal: told how long', greeting?.ttl <= 5, inside.seen);
  inside.client.send(JSON.stringify({ type: 'auth', token: await mint(600, 'mallory') }));
  const refused = await inside.frame('auth_error');
  same('renewal: not by another subject', refused?.code, 'renewal_other_subject');
  inside.client.send(JSON.stringify({ type: 'auth', token: await mint(600) }));
  const renewed = await inside.frame('auth_ok', 2);
  check('renewal: in place', renewed?.ttl > 500, inside.seen);

  const beside = connect({ query: { token: await mint(5) } });
  const { connection_id } = (await beside.frame('auth_ok')) ?? {};
  const stranger = await post('/auth/refresh', await mint(600, 'mallory'), { connection_id });
  check('refresh: not by another subject', [403, 404].includes(stranger.status), stranger.status);
  const answer = await post('/auth/refresh', await mint(600), { connection_id });
  const { ttl } = answer.ok ? await answer.json() : {};
  check('refresh: in place', ttl > 500, answer.status);

  // A second beyond the end of the first tokens.
  await pause(6000);
  for (const [name, { client, seen }] of Object.entries({ inside, beside })) {
    same(`renewed ${name}: the same connection`, [seen.opened, seen.closed, seen.fatal], [1, [], []]);
    same(`renewed ${name}: chat goes on`, await chat(client, name), `You said: ${name}`);
    client.close();
  }
}

async function messages() {
  const token = await mint(600, 'historian');
  const where = { agent: 'MyAgent', name: 'archive', host, path: 'get-messages' };
  const { client, identified } = connect({ name: 'archive', query: { token } });
  await identified();
  await chat(client, 'remember me');
  client.close();
  const headers = { authorization: `Bearer ${token}` };
  for (const [name, query, init] of [
    ['header', {}, { headers }],
    ['query', { token }, {}],
    ['header and query', { token }, { headers }],
  ]) {
    const response = await agentFetch({ ...where, query }, init);
    const text = await response.text();
    if (!check(`get-messages by ${name}`, response.status === 200, [response.status, text])) continue;
    const found = JSON.parse(text);
    check(`get-messages by ${name}: an array`, Array.isArray(found) && text.includes('remember me'), text);
  }
  for (const [name, query, init, wanted] of [
    ['nothing', {}, {}, 401],
    ['another token in the query', { token: await mint(600, 'mallory') }, { headers }, 400],
    ['an expired token in the query', { token: await mint(-60) }, {}, 401],
  ]) {
    const response = await agentFetch({ ...where, query }, init);
    same(`get-messages by ${name}`, response.status, wanted);
  }
  const elsewhere = await fetch(`${address}/history?token=${token}`);
  same('a token in the query of another path', elsewhere.status, 401);
}

async function tickets() {
  const order = async (room) => {
    const response = await post('/auth/ticket', await mint(), { agent: 'my-agent', room });
    if (!response.ok) return { status: response.status };
    const drawn = await response.json();
    tokens.push(drawn.ticket);
    return drawn;
  };
  const room = 'room-of-tickets';
  const first = await order(room);
  check('a ticket for half a minute', first.ticket?.length >= 43 && first.expires_in <= 30, first);
  const { client, seen, identified } = connect({ name: room, query: { ticket: first.ticket } });
  check('ticket: identified', await identified(), seen);
  same('ticket: chat', await chat(client, 'by ticket'), 'You said: by ticket');
  client.close();

  for (const [name, ticket, where] of [
    ['a second time', first.ticket, room],
    ['for another room', (await order(room)).ticket, 'another-room'],
    ['invented', 'A'.repeat(43), room],
  ]) {
    const again = connect({ name: where, query: { ticket }, maxRetries: 0 });
    await until(() => again.seen.fatal.length);
    check(`ticket ${name}: refused`, again.seen.fatal.length === 1 && !again.client.identified, again.seen);
    again.client.close();
  }
  for (const path of ['/auth/ticket', '/auth/refresh', '/auth/revoke']) {
    const anonymous = await fetch(address + path, { method: 'POST' });
    same(`nothing for nobody at ${path}`, anonymous.status, 401);
  }
}

await everyPlace();
await comesBack();
await flooded();
await staysAway();
await renews();
await messages();
await tickets();

check('the log shows requests', server.output.includes('started processing request'));
for (const token of tokens) check('no token in the log', !server.output.includes(token.split('.')[2] ?? token), token);
finish();
