// The example `agent_chat` on a database, which can be stopped and started again.

import { Program } from '../support.mjs';

export const SECRET = 'a-secret-for-tests-of-at-least-32-bytes';

export class Service {
  static async start(program, database) {
    const service = new Service();
    service.program = program;
    service.environment = { PORT: '0', JWT_SECRET: SECRET, JWT_LEEWAY: '0', DATABASE_URL: database };
    await service.#run();
    return service;
  }

  async #run() {
    this.running = new Program(this.program, [], this.environment);
    this.address = await this.running.says(/^listening on (.*)$/m);
    // Where it was found once, it is found again.
    this.environment.PORT = new URL(this.address).port;
  }

  stop() {
    return this.running.stop();
  }

  async restart() {
    await this.stop();
    await this.#run();
  }
}
