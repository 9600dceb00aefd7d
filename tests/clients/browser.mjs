// The example `agent_chat` in a real browser.

import { SignJWT } from 'jose';

import { Program, example, finish } from './support.mjs';
import { Visitor, closeBrowser } from './browser/chromium.mjs';
import { foreignPages } from './browser/foreign.mjs';
import { reactPage } from './browser/react.mjs';

const SECRET = 'a-secret-for-tests-of-at-least-32-bytes';

const program = await example('agent_chat');
await reactPage(program);

const service = new Program(program, [], { PORT: '0', JWT_SECRET: SECRET });
const address = await service.says(/^listening on (.*)$/m);
const visitor = await Visitor.arrive('somebody who is signed in');
const session = new SignJWT({ sub: 'alice' }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('10 min');
const value = await session.sign(new TextEncoder().encode(SECRET));
await visitor.context.addCookies([{ name: 'jwt_token', value, url: address, httpOnly: true, sameSite: 'Lax' }]);
await foreignPages(visitor, address);
await visitor.leave();

await closeBrowser();
finish();
