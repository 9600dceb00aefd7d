// The example `oidc` behind a real provider: every algorithm, what is refused, rotation, an outage, discovery.

import { fileURLToPath } from 'node:url';
import { SignJWT, UnsecuredJWT, decodeJwt, decodeProtectedHeader, generateKeyPair } from 'jose';

import { ALGORITHMS, API, OPAQUE_API, OTHER_API, SECRET } from './names.mjs';
import { requestToken, signIn } from './sign_in.mjs';
import { Program, check, example, finish, same } from './support.mjs';

const script = fileURLToPath(new URL('provider.mjs', import.meta.url));
const oidc = await example('oidc');
const sent = [];

/** A provider; another one at its place has the same issuer and other keys. */
async function startProvider(environment = {}) {
  const program = new Program(process.execPath, [script], environment);
  const issuer = await program.says(/^issuer (.*)$/m);
  const settings = { ...environment, PORT: new URL(issuer).port };
  return {
    issuer,
    stop: () => program.stop(),
    replace: async () => {
      await program.stop();
      return startProvider(settings);
    },
    fetched: (path) => program.output.split('\n').filter((line) => line === `fetched ${path}`).length,
    token: async (client, resource = API) => {
      const parameters = { grant_type: 'client_credentials', resource, scope: 'read' };
      return (await requestToken(issuer, client, SECRET, parameters)).access_token;
    },
  };
}

function launch(issuer, environment = {}) {
  return new Program(oidc, [], { PORT: '0', OIDC_ISSUER_URL: issuer, OIDC_AUDIENCE: API, ...environment });
}

/** The example, once it listens. */
async function startService(issuer, environment) {
  const program = launch(issuer, environment);
  const address = await program.says(/^listening on (.*)$/m);
  const get = async (path, headers) => {
    const response = await fetch(address + path, { headers });
    const text = await response.text();
    const [status, challenge] = [response.status, response.headers.get('www-authenticate')];
    return { status, challenge, text, retryAfter: response.headers.get('retry-after') };
  };
  return {
    program,
    get,
    stop: () => program.stop(),
    whoami: (token) => {
      sent.push(token);
      return get('/whoami', { authorization: `Bearer ${token}` });
    },
    health: async () => JSON.parse((await get('/health')).text),
  };
}

function accepted(name, answer, token) {
  if (!check(name, answer.status === 200, answer)) return;
  same(`${name}: the claims`, JSON.parse(answer.text), decodeJwt(token));
}

function refused(name, answer) {
  check(name, answer.status === 401 && /^Bearer .*error="invalid_token"/.test(answer.challenge), answer);
}

/** A good signature becomes another one; its last character may carry bits that do not count, so not that one. */
function forged(token) {
  const [head, claims, signature] = token.split('.');
  return [head, claims, (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1)].join('.');
}

/** A token as the provider would sign it, but with a key of ours. */
async function ofAnotherKey(issuer, keyId) {
  const { privateKey } = await generateKeyPair('ES256');
  return new SignJWT({ sub: 'mallory', iss: issuer, aud: API })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: keyId })
    .setExpirationTime('10 min')
    .sign(privateKey);
}

async function everyToken() {
  const provider = await startProvider();
  const { issuer } = provider;
  const service = await startService(issuer);
  const documents = () => provider.fetched('/realms/acme/jwks');
  same('keys are fetched at the start', documents(), 1);

  const health = await service.health();
  check('/health is exempt', health.ready === true && Number.isInteger(health.keys_age), health);

  const nothing = await service.get('/whoami');
  check('no token', nothing.status === 401 && /^Bearer\b/.test(nothing.challenge), nothing);
  check('no token: a bare challenge', !nothing.challenge.includes('error'), nothing);

  for (const algorithm of ALGORITHMS) {
    const token = await provider.token(algorithm);
    const { alg, typ } = decodeProtectedHeader(token);
    same(`${algorithm}: the provider signs so`, { alg, typ }, { alg: algorithm, typ: 'at+jwt' });
    accepted(algorithm, await service.whoami(token), token);
    refused(`${algorithm}, forged`, await service.whoami(forged(token)));
  }
  same('no token made us fetch', documents(), 1);

  const token = await provider.token('ES256');
  const { kid } = decodeProtectedHeader(token);
  refused('another audience', await service.whoami(await provider.token('ES256', OTHER_API)));
  refused('expired', await service.whoami(await provider.token('expired')));
  refused('opaque', await service.whoami(await provider.token('ES256', OPAQUE_API)));
  refused('garbage', await service.whoami('garbage'));
  refused('a known key ID, another key', await service.whoami(await ofAnotherKey(issuer, kid)));
  refused('alg none', await service.whoami(new UnsecuredJWT(decodeJwt(token)).encode()));
  const users = await signIn(issuer, 'web', SECRET);
  refused('an ID token', await service.whoami(users.id_token));
  same('no such token made us fetch', documents(), 1);

  // A client that bears the name of the API: nothing but the type tells its ID tokens from access tokens.
  const strict = await startService(issuer, { OIDC_TOKEN_TYPE: 'at+jwt' });
  const { id_token: mistakable } = await signIn(issuer, API, SECRET);
  accepted('an ID token for us, any type', await service.whoami(mistakable), mistakable);
  refused('an ID token for us, at+jwt demanded', await strict.whoami(mistakable));
  accepted('an access token, at+jwt demanded', await strict.whoami(token), token);

  await service.stop();
  await strict.stop();
  await provider.stop();
  return service.program.output + strict.program.output;
}

async function rotationAndOutage() {
  let provider = await startProvider();
  const { issuer } = provider;
  const service = await startService(issuer);
  const old = await provider.token('PS256');
  accepted('before the rotation', await service.whoami(old), old);

  provider = await provider.replace();
  same('the provider keeps its name', provider.issuer, issuer);
  accepted('rotated, nobody has told us yet', await service.whoami(old), old);
  same('nobody has asked the new provider', provider.fetched('/realms/acme/jwks'), 0);
  const fresh = await Promise.all(ALGORITHMS.map((algorithm) => provider.token(algorithm)));
  const answers = await Promise.all(fresh.map((token) => service.whoami(token)));
  answers.forEach((answer, index) => accepted(`rotated, ${ALGORITHMS[index]}`, answer, fresh[index]));
  same('one fetch brought all new keys', provider.fetched('/realms/acme/jwks'), 1);
  refused('signed with a key that is gone', await service.whoami(old));
  same('no further fetch for it', provider.fetched('/realms/acme/jwks'), 1);

  // One that has not had to ask yet, so that the first unknown key makes it do so.
  const other = await startService(issuer);
  await provider.stop();
  for (const [index, token] of fresh.entries()) {
    accepted(`provider down, ${ALGORITHMS[index]}`, await service.whoami(token), token);
  }
  const health = await service.health();
  check('provider down: still ready', health.ready === true, health);
  const unknown = await other.whoami(await ofAnotherKey(issuer, 'a key nobody knows'));
  check('provider down, unknown key', unknown.status === 503 && Number(unknown.retryAfter) > 0, unknown);
  accepted('provider down, known key after an unknown one', await other.whoami(fresh[0]), fresh[0]);

  const failed = launch(issuer);
  check('provider down: no start', (await failed.ended) === 1, failed.output);
  check('provider down: it says whom it asked', failed.output.includes(issuer), failed.output);

  await service.stop();
  await other.stop();
  return service.program.output + other.program.output;
}

async function discovery() {
  let log = '';
  for (const environment of [{ ISSUER_PATH: '' }, { WELL_KNOWN: 'between' }]) {
    const name = `discovery, ${JSON.stringify(environment)}`;
    const provider = await startProvider(environment);
    const service = await startService(provider.issuer);
    const token = await provider.token('ES256');
    accepted(name, await service.whoami(token), token);
    await service.stop();
    const misnamed = launch(`${provider.issuer}/`);
    check(`${name}: a final slash is another issuer`, (await misnamed.ended) === 1, misnamed.output);
    await provider.stop();
    log += service.program.output;
  }
  return log;
}

const log = (await everyToken()) + (await rotationAndOutage()) + (await discovery());
check('the log says what happened', /auth layer built/.test(log), log);
for (const token of new Set(sent)) {
  const secret = token.split('.').at(-1);
  check('no token in the log', secret.length < 8 || !log.includes(secret), token);
}
finish();
