import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import type { Closable } from '../common/closable.js';
import { errorMessage } from '../common/fs-error.js';
import { JournalError } from './journal-error.js';

const LOCK_FILE = 'lock';

/**
 * An exclusive lock on a directory, so that two processes never write to it. It is flock(2) on a file that stays open: the kernel drops it with the process,
 * whatever its end, and it holds across containers. Node has no flock, so flock(1) (util-linux, as mount(8)) takes it on the descriptor that it inherits;
 * the lock belongs to the open file, which both share.
 */
export class DirLock implements Closable {
  readonly #file: fs.promises.FileHandle;

  private constructor(file: fs.promises.FileHandle) {
    this.#file = file;
  }

  /** Takes the lock or throws `locked`. The directory must exist. */
  static async acquire(dir: string): Promise<DirLock> {
    const file = await fs.promises.open(path.join(dir, LOCK_FILE), 'a+', 0o600);
    try {
      const child = spawn('flock', ['--exclusive', '--nonblock', '3'], {
        stdio: ['ignore', 'ignore', 'ignore', file.fd],
      });
      const [code] = (await once(child, 'exit')) as [number | null];
      if (code === 1) throw new JournalError('locked', `${dir} is in use by another process${await holder(file)}`);
      if (code !== 0) throw new JournalError('io', `flock(1) on ${dir} ended with ${code ?? 'a signal'}`);
      await file.truncate(0);
      await file.write(`${process.pid}\n`);
      return new DirLock(file);
    } catch (error) {
      await file.close();
      if (error instanceof JournalError) throw error;
      throw new JournalError('io', `cannot lock ${dir}: ${errorMessage(error)}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    if (this.#file.fd !== -1) await this.#file.close();
  }
}

async function holder(file: fs.promises.FileHandle): Promise<string> {
  const pid = (await file.readFile('latin1')).trim();
  return /^\d+$/.test(pid) ? ` (pid ${pid})` : '';
}
