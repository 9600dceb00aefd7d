// Two users, each with a browser of their own: a room is refused, shared and given away. Two tabs of one user.

import { check, same } from '../support.mjs';
import { Person } from './person.mjs';

/** Alice is signed in; Bob comes. */
export async function together(address, alice, name, password) {
  const bob = await Person.arrive(name);
  await bob.visit(address);
  await bob.enter('Sign up', name, password);
  const room = `shared-${alice.name}`;
  await alice.enterRoom(room);
  await alice.talk('room', 'This is mine.');

  await bob.openRoom(room);
  await bob.isTold('#room', 'belongs to somebody else');
  same('a stranger hears nothing', await bob.page.locator('#room .messages .agent').count(), 0);
  await bob.picture('8-stranger');

  await shares(alice, bob, room);
  await givesAway(alice, bob, room);
  await bob.signOut();
  await bob.leave();
  await twoTabs(alice);
}

/** To read, then to write, and back to nothing at all, while the room is open. */
async function shares(alice, bob, room) {
  const id = await bob.id();
  const share = async (role, told) => {
    const form = alice.page.locator('#share');
    await form.getByLabel('Their ID').fill(id);
    await form.getByLabel('They may').selectOption({ label: role });
    await form.getByRole('button', { name: 'Share' }).click();
    await alice.isTold('#share', told);
  };
  await share('read', 'Shared');
  await bob.openRoom(room);
  await bob.isTold('#room', 'You may read this room');
  await bob.hears('room', 'This is mine.');
  same('what she said is not his', await bob.page.locator('#room .messages .guest').allTextContents(), ['This is mine.']);
  await bob.picture('9-reader');

  await share('read and write', 'Shared');
  await bob.enterRoom(room);
  await bob.hears('room', 'This is mine.');
  await bob.talk('room', 'Now it is ours.');
  await bob.page.getByRole('button', { name: 'Renew now' }).click();
  await bob.page.locator('#room .note.yes', { hasText: 'Renewed in place' }).waitFor();
  await bob.picture('9-writer');
  const transfer = bob.page.locator('#transfer');
  await transfer.getByLabel('Their ID').fill(id);
  await transfer.getByRole('button', { name: 'Transfer' }).click();
  await bob.page.getByRole('dialog').getByRole('button', { name: 'Transfer' }).click();
  await bob.isTold('#transfer', 'Only the owner');

  await share('nothing any more', 'Taken back');
  await bob.page.locator('.lease[data-state=ended]').waitFor();
  await bob.decided(/WS .*1008.*not_owner/);
}

async function givesAway(alice, bob, room) {
  const form = alice.page.locator('#transfer');
  await form.getByLabel('Their ID').fill(await bob.id());
  await form.getByRole('button', { name: 'Transfer' }).click();
  const dialog = alice.page.getByRole('dialog');
  await alice.picture('10-transfer');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  same('a transfer that was cancelled is none', alice.statuses('POST', `/agents/helper/${room}/transfer`), []);
  await form.getByRole('button', { name: 'Transfer' }).click();
  await dialog.getByRole('button', { name: 'Transfer' }).click();
  await alice.isTold('#transfer', 'Transferred');
  // The connection that was open ends by itself, with the reason.
  await alice.page.locator('.lease[data-state=ended]').waitFor();
  await alice.decided(/1008.*not_owner/);
  await alice.picture('10-given-away');
  await alice.openRoom(room);
  await alice.isTold('#room', 'belongs to somebody else');
  await bob.enterRoom(room);
  await bob.hears('room', 'Now it is ours.');
}

/** Who signs out in one tab is signed out in the other, and what was open there ends: the room, and an answer amid its words. */
async function twoTabs(alice) {
  await alice.enterRoom(`tabs-${alice.name}`);
  await alice.talk('room', 'I am in two places.');
  const other = await alice.context.newPage();
  await alice.visit(alice.address, other);
  await other.locator('#name').waitFor();
  await alice.go('Chat');
  await alice.say('chat', 'word '.repeat(2000));
  await alice.hears('chat', 'You said: word word');
  await alice.signOut(other);
  await alice.page.locator('#door').waitFor();
  await alice.decided(/WS .*1008.*revoked/);
  await alice.decided(/SSE \/chat.*revoked/);
  const kept = await alice.context.cookies();
  check('signed out: no cookie is left', kept.every(({ name }) => !/_token$|_session$/.test(name)), kept);
  await alice.picture('11-signed-out-elsewhere');
  await other.close();
}
