import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Daemon, KernelSandbox } from '../../helpers/kernel.js';

const HELPER = join(import.meta.dirname, 'locker.py');

/** What the helper answered: a value, or the name of an errno. */
export interface Answer {
  readonly value?: unknown;
  readonly errno?: string;
}

let made = 0;

/** A process that locks, reads and writes files in a mount as the test tells it (`locker.py`), one command at a time. */
export class Locker {
  readonly pid: number;
  readonly #daemon: Daemon;
  readonly #commands: number;
  #lastId = 0;

  private constructor(daemon: Daemon, commands: number, pid: number) {
    this.#daemon = daemon;
    this.#commands = commands;
    this.pid = pid;
  }

  /** Starts it, with a file open as `f`. */
  static async start(box: KernelSandbox, path: string): Promise<Locker> {
    const fifo = box.path(`commands-${++made}`);
    await box.sh(`mkfifo '${fifo}'`);
    const commands = openSync(fifo, 'r+');
    const daemon = box.spawn('python3', ['-u', HELPER], { fds: [commands] });
    const [, pid] = await daemon.waitFor(/"ready": (\d+)/);
    const locker = new Locker(daemon, commands, Number(pid));
    await locker.ok('open', { path: box.path(path) });
    return locker;
  }

  /** Sends a command; the promise is of its answer. Resolves when the process has begun with it. */
  async begin(op: string, args: object = {}): Promise<{ readonly answer: Promise<Answer> }> {
    const id = ++this.#lastId;
    writeSync(this.#commands, `${JSON.stringify({ id, op, ...args })}\n`);
    await this.#daemon.waitFor(new RegExp(`^{"begun": ${id}}$`, 'm'));
    const answer = this.#daemon
      .waitFor(new RegExp(`^{"id": ${id},.*}$`, 'm'), 60_000)
      .then(([line]) => JSON.parse(line) as Answer);
    answer.catch(() => undefined); // who kills the process does not ask for the answer
    return { answer };
  }

  async run(op: string, args: object = {}): Promise<Answer> {
    return (await this.begin(op, args)).answer;
  }

  /** The value of a command that succeeds. */
  async ok(op: string, args: object = {}): Promise<unknown> {
    const { value, errno } = await this.run(op, args);
    if (errno !== undefined) throw new Error(`${op} ${JSON.stringify(args)}: ${errno}`);
    return value;
  }

  /** OK, or the errno of a fcntl(2) lock call. */
  async posix(call: 'setlk' | 'setlkw', type: string, start = 0, length = 0, f = 'f'): Promise<string> {
    return (await this.run('posix', { call, type, start, length, f })).errno ?? 'OK';
  }

  async flock(type: string, f = 'f'): Promise<string> {
    return (await this.run('flock', { type, f })).errno ?? 'OK';
  }

  signal(signal: NodeJS.Signals): void {
    this.#daemon.kill(signal);
  }

  async stop(): Promise<void> {
    this.#daemon.kill('SIGKILL');
    await this.#daemon.stopped();
    closeSync(this.#commands);
  }
}
