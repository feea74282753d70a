import { readFile, stat } from 'node:fs/promises';
import { errorMessage } from '../common/fs-error.js';
import { ObjectError } from './object-error.js';
import { parseCredentials, type S3Credentials } from './parse-credentials.js';

/** How old an answer about the file may be; the SDK asks no more often than it is told that credentials last. */
const RECHECK_MS = 5_000;
/** The SDK counts credentials as expired this long before their time. */
const SDK_EXPIRY_WINDOW_MS = 300_000;
const FILE_MAX_BYTES = 64 * 1024;

/**
 * S3 credentials from a file that only its owner may read. Read again when its time or identity changes, so that a
 * rotation needs no restart; while a rotated file is unreadable or wrong, the error says so and requests fail as
 * 'bad-credentials' until it is right (the old secret is not used on: it may have been taken back).
 */
export class CredentialsFile {
  readonly #path: string;
  readonly #recheckMs: number;
  #version = '';
  #credentials: S3Credentials | undefined;

  constructor(path: string, recheckMs = RECHECK_MS) {
    this.#path = path;
    this.#recheckMs = recheckMs;
  }

  /** The SDK's provider: the pair, with an expiration that makes the SDK ask again after `recheckMs`. */
  readonly provide = async (): Promise<S3Credentials & { expiration: Date }> => {
    const credentials = await this.read();
    return { ...credentials, expiration: new Date(Date.now() + SDK_EXPIRY_WINDOW_MS + this.#recheckMs) };
  };

  /** The credentials the file holds now. Throws 'bad-credentials' naming the file and what is wrong with it. */
  async read(): Promise<S3Credentials> {
    try {
      const info = await stat(this.#path);
      if (!info.isFile()) throw this.#wrong('is not a regular file');
      if ((info.mode & 0o077) !== 0) {
        const mode = (info.mode & 0o777).toString(8).padStart(4, '0');
        throw this.#wrong(`may be read by others (mode ${mode}): chmod 600 ${this.#path}`);
      }
      if (info.size > FILE_MAX_BYTES) throw this.#wrong(`is larger than ${FILE_MAX_BYTES} bytes`);
      const version = `${info.dev}:${info.ino}:${info.size}:${info.mtimeMs}:${info.ctimeMs}`;
      if (this.#credentials === undefined || version !== this.#version) {
        this.#credentials = parseCredentials(await readFile(this.#path, 'utf8'), this.#path);
        this.#version = version;
      }
      return this.#credentials;
    } catch (error) {
      this.#credentials = undefined;
      if (error instanceof ObjectError) throw error;
      throw this.#wrong(`cannot be read: ${errorMessage(error)}`, error);
    }
  }

  #wrong(reason: string, cause?: unknown): ObjectError {
    return new ObjectError('bad-credentials', `credentials file ${this.#path} ${reason}`, { cause });
  }
}
