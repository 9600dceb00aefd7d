// Opaque tokens of a real provider, looked up by the crate: introspection (RFC 7662) and userinfo. The provider stands
// here; what is demanded of the crate stands in tests/it/opaque_tokens.rs.

import { fileURLToPath } from 'node:url';

import { OPAQUE_API, SECRET } from './names.mjs';
import { requestToken, signIn } from './sign_in.mjs';
import { Program, check, finish } from './support.mjs';

const provider = new Program(process.execPath, [fileURLToPath(new URL('provider.mjs', import.meta.url))]);
const issuer = await provider.says(/^issuer (.*)$/m);

/** A token for an API, of a client that acts for nobody. */
const machine = await requestToken(issuer, 'ES256', SECRET, {
  grant_type: 'client_credentials', resource: OPAQUE_API, scope: 'read',
});
/** A token of alice, for the provider's own endpoints. */
const user = await signIn(issuer, 'web', SECRET);
for (const { access_token: token } of [machine, user]) check('an opaque token', token.split('.').length === 1, token);

const tests = new Program('cargo', ['test', '--all-features', '--test', 'it', 'opaque_tokens', '--', '--ignored'], {
  OPAQUE_ISSUER: issuer, MACHINE_TOKEN: machine.access_token, USER_TOKEN: user.access_token,
});
check('the tests of opaque tokens', (await tests.ended) === 0, tests.output);
check('they ran', /test result: ok\. [1-9]/.test(tests.output), tests.output);
for (const path of ['token/introspection', 'me', 'token/revocation']) {
  check(`the provider was asked at ${path}`, provider.output.includes(`fetched /realms/acme/${path}\n`), provider.output);
}
await provider.stop();
finish();
