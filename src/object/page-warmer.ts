import { read } from 'node:fs';
import { promisify } from 'node:util';

const readAsync = promisify(read);

const PIECE_BYTES = 1024 * 1024;
/** Objects are chunks; the part of a longer one beyond this is left. */
const FILE_MAX_BYTES = 32 * 1024 * 1024;

/** Reads files whole, so that the page cache has them; one at a time, into one buffer that nobody looks at. */
export class PageWarmer {
  #scratch: Buffer | undefined;
  #busy = false;

  /** True while a file is read: another one has to come again. */
  get busy(): boolean {
    return this.#busy;
  }

  /** REQUIRES: not {@link busy}. The descriptor stays open until it settles. */
  async warm(fd: number): Promise<void> {
    this.#busy = true;
    this.#scratch ??= Buffer.allocUnsafeSlow(PIECE_BYTES);
    try {
      for (let at = 0, got = 1; got > 0 && at < FILE_MAX_BYTES; at += got) {
        got = (await readAsync(fd, this.#scratch, 0, PIECE_BYTES, at)).bytesRead;
      }
    } finally {
      this.#busy = false;
    }
  }
}
