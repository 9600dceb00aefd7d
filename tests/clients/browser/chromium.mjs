// The browser: Debian's Chromium, driven by Playwright. Whoever visits a page does so in a context of their own, and what
// their pages look like is kept under target/browser.

import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

import { check } from '../support.mjs';

const PICTURES = 'target/browser/pictures';
rmSync(PICTURES, { recursive: true, force: true });

// Chromium refuses to shut itself in when it is root; the rest keeps it from calling home.
const FLAGS = [
  ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
  '--disable-background-networking', '--disable-component-update', '--disable-quic', '--disable-sync', '--no-first-run',
];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: FLAGS,
});

export const DESKTOP = { viewport: { width: 1280, height: 860 } };
export const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

let album = 'all';

/** From now on pictures are kept in a folder of that name. */
export function beginAlbum(name) {
  album = name;
}

/** Somebody with a browser of their own: its context, its first page, and what went wrong in any of its pages. */
export class Visitor {
  static async arrive(name, options = {}) {
    const context = await browser.newContext({ ...DESKTOP, ...options });
    context.setDefaultTimeout(15_000);
    const visitor = new this(name, context);
    context.on('page', (page) => visitor.#watch(page));
    visitor.page = await context.newPage();
    return visitor;
  }

  constructor(name, context) {
    this.name = name;
    this.context = context;
    this.complaints = [];
    this.answers = [];
  }

  #watch(page) {
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => {
      // A refused request is a line of the console too, and is what most of this is about.
      const refused = /^(Failed to load resource|WebSocket connection to|Access to fetch at)/.test(message.text());
      if (message.type() === 'error' && !refused) this.complaints.push(message.text());
    });
    page.on('response', (response) => {
      const request = response.request();
      this.answers.push({ method: request.method(), url: response.url(), status: response.status() });
    });
  }

  /** The statuses of the answers to that method and path, oldest first. */
  statuses(method, path) {
    return this.answers
      .filter((answer) => answer.method === method && new URL(answer.url).pathname === path)
      .map(({ status }) => status);
  }

  /** Keeps what the page looks like now. */
  async picture(name, options = {}) {
    await this.page.evaluate(() => scrollTo(0, 0));
    await this.page.screenshot({ path: `${PICTURES}/${album}/${name}.png`, animations: 'disabled', ...options });
  }

  /** Goes, and must have met no error of a script and no breach of the page's policy. */
  async leave() {
    check(`${this.name}: nothing went wrong in the page`, this.complaints.length === 0, this.complaints);
    await this.context.close();
  }
}

/** A site on a port of its own, at any name of this machine: `pages` answers a request. */
export async function site(pages) {
  const server = createServer(pages);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  return {
    at: (host) => `http://${host}:${port}`,
    close: () => server.close(),
  };
}

export const closeBrowser = () => browser.close();
