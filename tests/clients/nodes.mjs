// Three processes of the example `agent_chat` that share PostgreSQL, and Redis beside it: what is done on one of them holds
// on all. TEST_POSTGRES_URL and TEST_REDIS_URL name the servers.

import { randomUUID } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { SignJWT } from 'jose';
import WebSocket from 'ws';

import { Program, check, example, finish, same, until } from './support.mjs';

const SECRET = 'a-secret-for-tests-of-at-least-32-bytes';
const program = await example('agent_chat');

/** A line to a server, which can be cut and mended. */
class Line {
  constructor(url) {
    this.target = new URL(url);
    this.isUp = true;
    this.sockets = new Set();
    this.server = createServer((near) => {
      if (!this.isUp) return near.destroy();
      const far = connect(Number(this.target.port), this.target.hostname);
      for (const [one, other] of [[near, far], [far, near]]) {
        this.sockets.add(one);
        one.on('error', () => one.destroy());
        one.on('close', () => {
          this.sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  async url() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.server.unref();
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = this.server.address().port;
    return url.href;
  }

  cut() {
    this.isUp = false;
    this.sockets.forEach((socket) => socket.destroy());
  }

  mend() {
    this.isUp = true;
  }
}

/** A token of that subject, with an ID of its own. */
async function mint(subject) {
  const token = new SignJWT({ sub: subject }).setProtectedHeader({ alg: 'HS256' }).setIssuedAt().setExpirationTime('10 min');
  return token.setJti(randomUUID()).sign(new TextEncoder().encode(SECRET));
}

class Node {
  static async start(name, environment) {
    const node = new Node();
    node.name = name;
    node.program = new Program(program, [], { PORT: '0', JWT_SECRET: SECRET, LOG_LEVEL: 'info', ...environment });
    node.address = await node.program.says(/^listening on (.*)$/m);
    return node;
  }

  async ask(method, path, token, body) {
    const headers = { 'content-type': 'application/json' };
    headers[token?.startsWith('tw_') ? 'x-api-key' : 'authorization'] = token?.startsWith('tw_') ? token : `Bearer ${token}`;
    const response = await fetch(this.address + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: response.status, headers: response.headers, text, json };
  }

  async status(method, path, token, body) {
    return (await this.ask(method, path, token, body)).status;
  }

  /** A socket, once it is open or refused; `closed` is how it ended. */
  async open(path, token) {
    const headers = token?.startsWith('tw_') ? { 'x-api-key': token } : token ? { authorization: `Bearer ${token}` } : {};
    const socket = new WebSocket(this.address.replace('http', 'ws') + path, 'chat', { headers });
    const seen = { socket, identified: false, closed: undefined, refused: undefined };
    socket.on('message', (data) => {
      seen.identified ||= data.toString().includes('cf_agent_identity');
    });
    socket.on('close', (code, reason) => {
      seen.closed = [code, reason.toString()];
    });
    socket.on('unexpected-response', (_, response) => {
      seen.refused = response.statusCode;
      response.destroy();
    });
    socket.on('error', () => {});
    await until(() => seen.identified || seen.closed || seen.refused);
    return seen;
  }

  async ready() {
    return (await fetch(`${this.address}/ready`)).status;
  }
}

let counter = 0;

/** A room that nobody has entered yet, and people whom nobody knows. */
function cast() {
  counter += 1;
  const unique = `${counter}-${randomUUID().slice(0, 8)}`;
  return { room: `/agents/helper/room-${unique}`, alice: `alice-${unique}`, bob: `bob-${unique}` };
}

/** How a socket ended, which is waited for. */
function end(seen) {
  return until(() => seen.closed);
}

async function revocation([a, b, c]) {
  const { room, alice } = cast();
  const [gone, stays] = [await mint(alice), await mint(alice)];
  const [ending, staying] = [await b.open(room, gone), await b.open(room, stays)];
  check('revocation: both are open', ending.identified && staying.identified, [ending.closed, staying.closed]);
  same('revocation: on one node', await a.status('POST', '/auth/revoke', gone), 200);
  same('revocation: closes the socket on another', await end(ending), [1008, 'revoked']);
  check('revocation: is known on the third', await until(async () => (await c.status('GET', '/history', gone)) === 401));
  same('revocation: of one token', [staying.closed, await c.status('GET', '/history', stays)], [undefined, 200]);
  staying.socket.close();
}

async function ticket([a, b, c]) {
  const { room, alice } = cast();
  const name = room.split('/').pop();
  const draw = async () => {
    const drawn = await a.ask('POST', '/auth/ticket', await mint(alice), { agent: 'helper', room: name });
    return drawn.json?.ticket;
  };
  const one = await draw();
  const redeemed = await b.open(`${room}?ticket=${one}`);
  check('ticket: drawn on one node, redeemed on another', redeemed.identified, redeemed.closed);
  const again = await c.open(`${room}?ticket=${one}`);
  check('ticket: once', !again.identified, again);
  redeemed.socket.close();
  for (let round = 0; round < 5; round += 1) {
    const contested = await draw();
    const rivals = await Promise.all([a, b, c].map((node) => node.open(`${room}?ticket=${contested}`)));
    same('ticket: on three nodes at once, one of them', rivals.filter((seen) => seen.identified).length, 1);
    rivals.forEach((seen) => seen.socket.terminate());
  }
}

async function ownership([a, b, c]) {
  const { room, alice, bob } = cast();
  const [alices, bobs] = [await mint(alice), await mint(bob)];
  same('ownership: claimed by the first', await a.status('GET', room, alices), 200);
  same('ownership: known on another node', await b.status('GET', room, bobs), 403);
  const stranger = await b.open(room, bobs);
  same('ownership: a stranger’s handshake', stranger.closed, [1008, 'not_owner']);

  const share = (role) => a.status('POST', `${room}/share`, alices, { subject: bob, role });
  same('share', await share('writer'), 204);
  const control = { subject: 'bob\u0001', role: 'reader' };
  same('share: no control character in a subject', await a.status('POST', `${room}/share`, alices, control), 400);
  const guest = await b.open(room, bobs);
  check('share: lets in on another node', guest.identified, guest.closed);
  same('share: lowered', await share('reader'), 204);
  same('share: lowered, and what writes ends on another node', await end(guest), [1008, 'not_owner']);
  same('share: lowered, and it may be read', await c.status('GET', `${room}/get-messages`, bobs), 200);
  same('share: again', await share('writer'), 204);
  const second = await c.open(room, bobs);
  same('share: taken back', await share(null), 204);
  same('share: taken back, and closed on another node', await end(second), [1008, 'not_owner']);

  const owner = await b.open(room, alices);
  check('transfer: the owner is there', owner.identified, owner.closed);
  same('transfer', await c.status('POST', `${room}/transfer`, alices, { subject: bob }), 204);
  same('transfer: closes the old owner’s socket on another node', await end(owner), [1008, 'not_owner']);
  const next = await a.open(room, bobs);
  check('transfer: the new owner is let in on a third', next.identified, next.closed);
  next.socket.close();
}

async function claims(nodes) {
  const { room } = cast();
  const tokens = await Promise.all(Array.from({ length: 60 }, (_, number) => mint(`rival-${number}-${room}`)));
  const answers = await Promise.all(tokens.map((token, number) => nodes[number % nodes.length].status('GET', room, token)));
  const counts = [200, 403].map((wanted) => answers.filter((status) => status === wanted).length);
  same('60 first claims on all nodes: exactly one owner', counts, [1, 59]);
}

async function keys([a, b, c]) {
  const { room, alice } = cast();
  const token = await mint(alice);
  const made = await a.ask('POST', '/keys', token, { label: 'laptop' });
  same('key: made', made.status, 201);
  const { key, id } = made.json;
  same('key: good on another node', await b.status('GET', '/history', key), 200);
  const open = await c.open(room, key);
  check('key: opens a socket on a third', open.identified, open.closed);
  same('key: revoked', await b.status('DELETE', `/keys/${id}`, token), 204);
  same('key: revoked, and its socket closed on another node', await end(open), [1008, 'revoked']);
  same('key: revoked everywhere', await a.status('GET', '/history', key), 401);
}

async function outage([a, b], lines) {
  const { room, alice } = cast();
  const [gone, stays] = [await mint(alice), await mint(alice)];
  const [ending, staying] = [await b.open(room, gone), await b.open(room, stays)];
  check('outage: both are open', ending.identified && staying.identified, [ending, staying]);
  lines.forEach((line) => line.cut());
  check('outage: the node says so', await until(async () => (await b.ready()) === 503, 30));
  const refused = await until(async () => {
    const answer = await b.ask('GET', '/history', stays);
    return answer.status === 503 && answer;
  });
  same('outage: refused, and told when to come again', [refused?.status, refused?.headers.get('retry-after')], [503, '5']);
  same('outage: refused before the upgrade', (await b.open(room, stays)).refused, 503);
  same('outage: alive all the same', (await fetch(`${b.address}/health`)).status, 200);
  same('outage: a forged token is refused for what it is', await b.status('GET', '/history', `${stays}x`), 401);
  same('outage: the other node is well', [await a.ready(), await a.status('GET', room, stays)], [200, 200]);
  same('outage: revoked meanwhile', await a.status('POST', '/auth/revoke', gone), 200);
  same('outage: what is open stays open', [ending.closed, staying.closed], [undefined, undefined]);

  lines.forEach((line) => line.mend());
  check('recovery: without a restart', await until(async () => (await b.ready()) === 200, 60));
  same('recovery: what was revoked meanwhile is closed', await end(ending), [1008, 'revoked']);
  same('recovery: and refused', await b.status('GET', '/history', gone), 401);
  const back = await until(async () => (await b.status('GET', room, stays)) === 200, 30);
  check('recovery: what is good is let in', back);
  same('recovery: the others never noticed', staying.closed, undefined);
  staying.socket.close();
  const said = b.program.output.split('\n').filter((line) => line.includes('is cut off'));
  check('outage: one line for each store', said.length >= 1 && said.length <= 2, said);
}

for (const engines of [['postgres'], ['postgres', 'redis']]) {
  const urls = { postgres: process.env.TEST_POSTGRES_URL, redis: process.env.TEST_REDIS_URL };
  const environment = (given) => ({ DATABASE_URL: given.postgres, ...(engines.includes('redis') && { REDIS_URL: given.redis }) });
  const lines = Object.fromEntries(engines.map((engine) => [engine, new Line(urls[engine])]));
  const behind = {};
  for (const engine of engines) behind[engine] = await lines[engine].url();
  // All three begin at once, so they also make the tables at once.
  const nodes = await Promise.all([
    Node.start('a', environment(urls)),
    Node.start('b', environment(behind)),
    Node.start('c', environment(urls)),
  ]);
  if (!check(`${engines}: three nodes`, nodes.every(({ address }) => address), nodes.map(({ program: { output } }) => output))) finish();
  for (const [name, step] of Object.entries({ revocation, ticket, ownership, claims, keys })) {
    await step(nodes).catch((error) => check(`${engines}: ${name}`, false, error.stack));
  }
  await outage(nodes, Object.values(lines)).catch((error) => check(`${engines}: outage`, false, error.stack));
  nodes.forEach((node) => node.program.child.kill());
}
finish();
