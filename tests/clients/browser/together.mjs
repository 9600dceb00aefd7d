// Two tabs of one user.

import { check } from '../support.mjs';

/** Who signs out in one tab is signed out in the other, and what was open there is closed. */
export async function twoTabs(alice) {
  await alice.enterRoom(`tabs-${alice.name}`);
  await alice.talk('room', 'I am in two places.');
  const other = await alice.context.newPage();
  await alice.visit(alice.address, other);
  await other.locator('#name').waitFor();
  await alice.signOut(other);
  await alice.page.locator('#door').waitFor();
  await alice.decided(/1008.*revoked/);
  const kept = await alice.context.cookies();
  check('signed out: no cookie is left', kept.every(({ name }) => !name.endsWith('_token')), kept);
  await alice.picture('11-signed-out-elsewhere');
  await other.close();
}
