// The example `agent_chat` in a real browser: its own page, and a page of React of another origin.

import { Program, check, example, finish } from './support.mjs';
import { closeBrowser } from './browser/chromium.mjs';
import { expires } from './browser/ends.mjs';
import { foreignPages } from './browser/foreign.mjs';
import { journey } from './browser/journey.mjs';
import { reactPage } from './browser/react.mjs';
import { twoTabs } from './browser/together.mjs';

const SECRET = 'a-secret-for-tests-of-at-least-32-bytes';

async function ourPage(program) {
  const service = new Program(program, [], { PORT: '0', JWT_SECRET: SECRET, JWT_LEEWAY: '0' });
  const address = await service.says(/^listening on (.*)$/m);
  const alice = await journey(address, 'alice', 'correct horse');
  await foreignPages(alice, address);
  await expires(alice, SECRET);
  await twoTabs(alice);
  await alice.leave();
  await service.stop();
}

try {
  const program = await example('agent_chat');
  await ourPage(program);
  await reactPage(program);
} catch (error) {
  check('everything comes about', false, error.stack);
}
await closeBrowser();
finish();
