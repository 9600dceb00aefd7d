// An identity provider as others write it: oidc-provider, on loopback, with new keys at each start.
//
//     node provider.mjs                 its first line of output: `issuer http://127.0.0.1:PORT/realms/acme`
//     curl -u ES256:secret "$ISSUER/token" -d grant_type=client_credentials -d resource=https://api.example
//
// Environment: PORT (0: a free one), ISSUER_PATH (/realms/acme; may be empty), WELL_KNOWN (`behind` the path of the issuer,
// or `between` host and path).
//
// Clients, each with the secret `secret`: one per algorithm, named after it, that gets access tokens signed with it;
// `expired`, whose tokens have expired; `resource-server`, which may introspect; `web`, which signs users in, and
// `https://api.example`, which does the same under the name of an API. Resources: `https://api.example` and
// `https://other.example` (JWTs, at+jwt), `https://opaque.example` (opaque tokens).
//
// It says `fetched PATH` for each request, and ends with SIGTERM.

import http from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';
import { ALGORITHMS, API, OPAQUE_API, REDIRECT_URI, SECRET } from './names.mjs';

/** A private key for each algorithm; that of RS256 states none, as Entra's do. */
async function newKeys() {
  const kinds = { RSA: 'RS256', ES256: 'ES256', ES384: 'ES384', EdDSA: 'EdDSA' };
  const pairs = Object.entries(kinds).map(async ([kind, algorithm]) => {
    const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
    return [kind, await exportJWK(privateKey)];
  });
  const keys = Object.fromEntries(await Promise.all(pairs));
  const now = Date.now();
  return ALGORITHMS.map((alg) => {
    const stated = alg === 'RS256' ? {} : { alg };
    return { ...(keys[alg] ?? keys.RSA), ...stated, use: 'sig', kid: `${alg}-${now}` };
  });
}

const machine = (client_id) => ({
  client_id,
  client_secret: SECRET,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
});

const web = (client_id) => ({
  client_id,
  client_secret: SECRET,
  application_type: 'native',
  grant_types: ['authorization_code'],
  redirect_uris: [REDIRECT_URI],
  response_types: ['code'],
});

function configuration(keys) {
  return {
    jwks: { keys },
    clients: [...ALGORITHMS, 'expired', 'resource-server'].map(machine).concat(['web', API].map(web)),
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
    cookies: { keys: ['a key for cookies that nobody keeps'] },
    pkce: { required: () => false },
    scopes: ['openid', 'read', 'write'],
    claims: { openid: ['sub'], profile: ['name'] },
    conformIdTokenClaims: true,
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId, name: 'Alice' }) }),
    ttl: { AccessToken: 600, ClientCredentials: 600, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    formats: {
      customizers: {
        jwt(_, token, { payload }) {
          if (token.clientId === 'expired') payload.exp = payload.iat - 60;
        },
      },
    },
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === 'resource-server' },
      revocation: { enabled: true },
      userinfo: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo(_, resource, client) {
          const algorithm = ALGORITHMS.includes(client.clientId) ? client.clientId : 'RS256';
          return {
            audience: resource,
            scope: 'read write',
            accessTokenFormat: resource === OPAQUE_API ? 'opaque' : 'jwt',
            jwt: { sign: { alg: algorithm } },
          };
        },
      },
    },
  };
}

async function start() {
  const path = process.env.ISSUER_PATH ?? '/realms/acme';
  const between = process.env.WELL_KNOWN === 'between';
  const keys = await newKeys();
  const server = http.createServer();
  await new Promise((resolve) => {
    server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', resolve);
  });
  const issuer = `http://127.0.0.1:${server.address().port}${path}`;
  const serve = new Provider(issuer, configuration(keys)).callback();
  server.on('request', (request, response) => {
    console.log(`fetched ${request.url.split('?')[0]}`);
    const document = `${path}/.well-known/openid-configuration`;
    if (between) {
      // RFC 8414 §3.1: the document stands between host and path, and nowhere else.
      if (request.url === document) request.url = '/nowhere';
      if (request.url === `/.well-known/oauth-authorization-server${path}`) request.url = document;
    }
    if (!request.url.startsWith(`${path}/`)) {
      response.writeHead(404).end();
      return;
    }
    // As Express does it for what is mounted under a path.
    request.originalUrl = request.url;
    request.url = request.url.slice(path.length);
    serve(request, response);
  });
  console.log(`issuer ${issuer}`);
}

await start();
