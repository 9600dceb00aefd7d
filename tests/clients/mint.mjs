// Mints a token of each algorithm with jose, and publishes the keys as jose writes them: node mint.mjs DIRECTORY

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignJWT, exportJWK, generateKeyPair, generateSecret } from 'jose';

import { ALGORITHMS, API } from './names.mjs';

const directory = join(process.argv[2], 'jose');
mkdirSync(directory, { recursive: true });
for (const alg of [...ALGORITHMS, 'HS256', 'HS384', 'HS512']) {
  const shared = alg.startsWith('HS') && (await generateSecret(alg, { extractable: true }));
  const { privateKey, publicKey } = shared
    ? { privateKey: shared, publicKey: shared }
    : await generateKeyPair(alg, { extractable: true });
  const kid = `jose ${alg}`;
  const key = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' };
  writeFileSync(join(directory, `${alg}.jwk`), JSON.stringify(key));
  const token = await new SignJWT({ name: 'Zoë', scope: 'read write' })
    .setProtectedHeader({ alg, kid, typ: 'JWT' })
    .setSubject('alice')
    .setIssuer('jose')
    .setAudience(API)
    .setIssuedAt()
    .setNotBefore('0 s')
    .setExpirationTime('10 min')
    .sign(privateKey);
  writeFileSync(join(directory, `${alg}.jwt`), token);
}
