// The example `agent_chat` while a hundred people sign in at once: what somebody else waits for, who asks after its health.
// Times are printed and not judged, as machines differ; what is judged is who was answered before whom.

import { request } from 'node:http';

import { Program, check, example, finish, pause, same } from './support.mjs';

const LOGINS = 100;

/** Asks from an address of loopback, since limits are counted for each. */
function ask(address, method, path, from, body) {
  return new Promise((resolve, reject) => {
    const headers = body ? { 'content-type': 'application/json' } : {};
    const asked = request(address + path, { method, localAddress: from, headers, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode));
    });
    asked.on('error', reject).end(body && JSON.stringify(body));
  });
}

function median(times) {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)].toFixed(1);
}

try {
  const service = new Program(await example('agent_chat'), [], {
    PORT: '0', JWT_SECRET: 'a-secret-for-tests-of-at-least-32-bytes',
  });
  const address = await service.says(/^listening on (.*)$/m);
  const known = { username: 'alice', password: 'correct horse' };
  same('sign up', await ask(address, 'POST', '/auth/register', '127.0.0.1', known), 200);

  let done = 0;
  const started = performance.now();
  const logins = Array.from({ length: LOGINS }, async (_, n) => {
    // Every other one mistypes.
    const password = n % 2 ? 'wrong horse' : known.password;
    const status = await ask(address, 'POST', '/auth/login', `127.0.1.${n + 1}`, { ...known, password });
    done += 1;
    return status === (n % 2 ? 401 : 200);
  });
  const waits = [];
  const after = [];
  const statuses = new Set();
  // Now and then, since the passwords need the processor.
  for (; done < LOGINS; await pause(20)) {
    const asked = performance.now();
    statuses.add(await ask(address, 'GET', '/health', '127.0.0.1'));
    waits.push(performance.now() - asked);
    after.push(done);
  }
  same('health: alive all the time', [...statuses], [200]);
  const right = await Promise.all(logins);
  same('logins: each is answered by its password', right.filter((it) => it).length, LOGINS);
  check('health: is answered while most of them wait', after.filter((logins) => logins < LOGINS / 2).length >= 20, after);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${LOGINS} logins in ${seconds} s; /health meanwhile: ${waits.length} answers, median ${median(waits)} ms, at most ${Math.max(...waits).toFixed(1)} ms`);
  await service.stop();
} catch (error) {
  check('everything comes about', false, error.stack);
}
finish();
