import { closeSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeDirectories } from '../common/make-directories.js';

const STDERR = 2;
/** Logs name files and hosts: not for everybody. */
const FILE_MODE = 0o640;

/**
 * Where log lines end: stderr or a file. A line is written synchronously, so that it is not lost when the process is killed next; one that cannot be
 * written (disk full, reader gone) is dropped and counted, for a log must never stop what it reports on.
 */
export class LogFile {
  readonly #path: string | undefined;
  #fd: number;
  #droppedLines = 0;

  /** Opens (and makes, with its directory) the file; undefined = stderr. Throws Node's error when it cannot. */
  constructor(path: string | undefined) {
    this.#path = path;
    this.#fd = open(path);
  }

  get droppedLines(): number {
    return this.#droppedLines;
  }

  write(line: string): void {
    try {
      writeSync(this.#fd, line);
    } catch {
      this.#droppedLines += 1;
    }
  }

  /** Opens the path anew, after a log rotation moved the old file away; keeps the old one when that fails. */
  reopen(): void {
    if (this.#path === undefined) return;
    const fd = open(this.#path);
    const old = this.#fd;
    this.#fd = fd;
    closeSync(old);
  }
}

function open(path: string | undefined): number {
  if (path === undefined) return STDERR;
  makeDirectories(dirname(path));
  return openSync(path, 'a', FILE_MODE);
}
