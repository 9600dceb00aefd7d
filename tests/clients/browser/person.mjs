// Somebody at the page of `agent_chat`: what they do there, in the words of the page.

import { check } from '../support.mjs';
import { Visitor } from './chromium.mjs';

export class Person extends Visitor {
  /** Opens the page, and waits until it knows who is there. */
  async visit(address, page = this.page) {
    this.address = address;
    await page.goto(address);
    await page.locator('#door:visible, nav:visible').first().waitFor();
  }

  async sign(mode, username, password) {
    const form = this.page.locator('#sign');
    await form.getByLabel(mode).check();
    await form.getByLabel('Name').fill(username);
    await form.getByLabel('Password').fill(password);
    await form.getByRole('button').click();
  }

  /** Signs up or in, and waits until the house is open. */
  async enter(mode, username, password) {
    await this.sign(mode, username, password);
    await this.page.locator('#name', { hasText: username }).waitFor();
  }

  async go(part) {
    await this.page.getByRole('navigation').getByRole('link', { name: part }).click();
    await this.page.locator(`#${part.toLowerCase()}`).waitFor();
  }

  /** The ID by which others share with them. */
  async id() {
    await this.go('Account');
    return this.page.locator('#account-id').textContent();
  }

  async openRoom(room, agent = 'helper') {
    await this.go('Room');
    await this.page.getByLabel('Agent', { exact: true }).fill(agent);
    await this.page.getByLabel('Room', { exact: true }).fill(room);
    await this.page.getByRole('button', { name: 'Open' }).click();
  }

  /** Opens a room, and waits until one can talk in it. */
  async enterRoom(room) {
    await this.openRoom(room);
    await this.page.locator('.lease[data-state=open]').waitFor();
    await this.page.locator('#room-text:enabled').waitFor();
  }

  async say(part, text) {
    await this.page.locator(`#${part}-text`).fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** Says something, and waits for the answer. */
  async talk(part, text) {
    await this.say(part, text);
    await this.hears(part, `You said: ${text}`);
    await this.page.locator(`#${part} .speaking`).waitFor({ state: 'detached' });
  }

  hears(part, text) {
    return this.page.locator(`#${part} .messages .agent`, { hasText: text }).first().waitFor();
  }

  /** Waits until the page says so beside what was asked. */
  async isTold(place, text) {
    await this.page.locator(`${place} .word`, { hasText: text }).first().waitFor();
  }

  async signOut(page = this.page) {
    await page.getByRole('banner').getByRole('button', { name: 'Sign out' }).click();
    await page.locator('#door').waitFor();
  }

  /** The decisions that the page lists, newest first: `POST /chat 200`, `GET /history 401 token_missing`. */
  async decisions(page = this.page) {
    return page.locator('.log li').evaluateAll((lines) =>
      lines.map((line) => {
        const [request, status, why] = [':scope > code', '.status', '.why'].map((part) => line.querySelector(part));
        return [request, status, why].filter(Boolean).map((part) => part.textContent).join(' ');
      }),
    );
  }

  /** Waits for a decision to stand in the list. */
  async decided(pattern, page = this.page) {
    await page.locator('.log li').filter({ hasText: pattern }).first().waitFor({ state: 'attached' });
  }

  /** Nothing may stick out to the side, and whatever can be used has a name. */
  async isTidy(name) {
    const found = await this.page.evaluate(() => {
      const wide = document.documentElement.scrollWidth > innerWidth;
      const nameless = [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a, summary')]
        .filter((element) => element.checkVisibility())
        .filter((element) => {
          const labels = [...(element.labels ?? [])].map((label) => label.textContent).join('');
          return !(element.getAttribute('aria-label') || labels || element.textContent).trim();
        })
        .map((element) => element.outerHTML);
      return { wide, nameless };
    });
    check(`${this.name}, ${name}: nothing sticks out, everything has a name`, !found.wide && !found.nameless.length, found);
  }
}
