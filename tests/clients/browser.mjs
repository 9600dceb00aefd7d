// The example `agent_chat` in a real browser: its own page, and a page of React of another origin.

import { check, database, example, finish } from './support.mjs';
import { beginAlbum, closeBrowser } from './browser/chromium.mjs';
import { expires, outlives } from './browser/ends.mjs';
import { foreignPages } from './browser/foreign.mjs';
import { journey } from './browser/journey.mjs';
import { reactPage } from './browser/react.mjs';
import { Service } from './browser/service.mjs';
import { together } from './browser/together.mjs';

/** The whole way, on one database; the names are taken by nobody there. */
async function ourPage(program, url, [alices, bobs]) {
  const service = await Service.start(program, url);
  const alice = await journey(service.address, alices, 'correct horse');
  await foreignPages(alice, service.address);
  await expires(alice);
  await outlives(alice, service);
  await together(service.address, alice, bobs, 'battery staple');
  await alice.leave();
  await service.stop();
}

try {
  const program = await example('agent_chat');
  beginAlbum('sqlite');
  await ourPage(program, database(), ['alice', 'bob']);
  if (process.env.TEST_POSTGRES_URL) {
    beginAlbum('postgres');
    const run = Date.now().toString(36);
    await ourPage(program, process.env.TEST_POSTGRES_URL, [`alice-${run}`, `bob-${run}`]);
  }
  beginAlbum('react');
  await reactPage(program);
} catch (error) {
  check('everything comes about', false, error.stack);
}
await closeBrowser();
finish();
