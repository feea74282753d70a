import { closeSync, constants, fsync, openSync } from 'node:fs';
import { promisify } from 'node:util';

const fsyncAsync = promisify(fsync);

/**
 * fsync of directories, shared: those who ask while one fsync of a directory is under way wait together for the one
 * that begins after it. An entry made before the call is durable when the result resolves.
 *
 * INVARIANT: a directory has at most one running fsync and one waiting for its turn.
 */
export class GroupSync {
  readonly #running = new Map<string, Promise<void>>();
  readonly #waiting = new Map<string, Promise<void>>();

  sync(directory: string): Promise<void> {
    const waiting = this.#waiting.get(directory);
    if (waiting !== undefined) return waiting;
    const running = this.#running.get(directory);
    if (running === undefined) return this.#start(directory);
    // The running one's failure is its own waiters' to hear.
    const next = running
      .catch(() => undefined)
      .then(() => {
        this.#waiting.delete(directory);
        return this.#start(directory);
      });
    this.#waiting.set(directory, next);
    return next;
  }

  #start(directory: string): Promise<void> {
    const run = fsyncDirectory(directory).finally(() => this.#running.delete(directory));
    this.#running.set(directory, run);
    return run;
  }
}

async function fsyncDirectory(directory: string): Promise<void> {
  // An entry of it was just made or removed, so opening it waits for no disk: a trip through the thread pool costs more.
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await fsyncAsync(fd);
  } finally {
    closeSync(fd);
  }
}
