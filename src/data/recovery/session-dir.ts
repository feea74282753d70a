import fs from 'node:fs';
import path from 'node:path';
import { nodeErrorCode } from '../../common/fs-error.js';
import type { Ino, SessionId } from '../../model/ids.js';

const SESSION_FILE = 'session.json';
const CLOSED_FILE = 'closed';
const ADOPTED_FILE = 'adopted';
const DONE_FILE = 'adopted-all';
/** Where what could not be adopted is kept, beside the session directories. */
const REFUSED_DIR = 'refused';
const VERSION = 1;

interface SessionFile {
  readonly version: number;
  readonly bootId: string;
  readonly writeback: boolean;
}

/**
 * The directory `cache_dir/<fs uuid>/<session id>/` with a session's journal, and the small files that say in which state it is: who wrote it (`session.json`), that it was
 * closed with everything on disk (`closed`), which inodes were taken over by a later session (`adopted`), and that all were (`adopted-all`).
 */
export class SessionDir {
  readonly path: string;
  readonly session: SessionId;
  readonly #base: string;

  constructor(base: string, session: SessionId) {
    this.#base = base;
    this.session = session;
    this.path = path.join(base, String(session));
  }

  /** Those in a filesystem's directory, oldest session first. */
  static async list(base: string): Promise<SessionDir[]> {
    let names: string[];
    try {
      names = await fs.promises.readdir(base);
    } catch (error) {
      if (nodeErrorCode(error) === 'ENOENT') return [];
      throw error;
    }
    const sessions = names.filter((name) => /^[1-9]\d{0,15}$/.test(name)).map(Number);
    return sessions.sort((a, b) => a - b).map((session) => new SessionDir(base, session as SessionId));
  }

  /** Paths of journals beside a session's own: those that were refused, and those that nobody has taken over. */
  static async leftBehind(base: string, own: SessionId): Promise<string[]> {
    const waiting = (await SessionDir.list(base)).filter(({ session }) => session !== own);
    const refused = await SessionDir.list(path.join(base, REFUSED_DIR));
    return [...refused, ...waiting].map((dir) => dir.path);
  }

  /** Marks the directory as this boot's and this session's. */
  async begin(bootId: string, writeback: boolean): Promise<void> {
    const content: SessionFile = { version: VERSION, bootId, writeback };
    await fs.promises.rm(path.join(this.path, CLOSED_FILE), { force: true });
    await writeSynced(path.join(this.path, SESSION_FILE), JSON.stringify(content));
    await this.#sync();
  }

  /** The journal is closed and synced. */
  async markClosed(): Promise<void> {
    await writeSynced(path.join(this.path, CLOSED_FILE), '');
    await this.#sync();
  }

  /**
   * True when the journal holds every record that it ever got: no machine crash can have swallowed some, or those whose loss matters were synced (write-back).
   */
  async isWhole(bootId: string): Promise<boolean> {
    if (await exists(path.join(this.path, CLOSED_FILE))) return true;
    let content: Partial<SessionFile>;
    try {
      content = JSON.parse(await fs.promises.readFile(path.join(this.path, SESSION_FILE), 'utf8')) as typeof content;
    } catch (error) {
      if (nodeErrorCode(error) === 'ENOENT' || error instanceof SyntaxError) return false;
      throw error;
    }
    return content.writeback === true || (content.bootId === bootId && bootId !== '');
  }

  /** Inodes whose records are in a later session's journal already. */
  async adopted(): Promise<Set<Ino>> {
    try {
      const text = await fs.promises.readFile(path.join(this.path, ADOPTED_FILE), 'utf8');
      // A torn last line says nothing.
      const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
      return new Set(lines.filter((line) => line !== '').map((line) => Number(line) as Ino));
    } catch (error) {
      if (nodeErrorCode(error) === 'ENOENT') return new Set();
      throw error;
    }
  }

  async markAdopted(inodes: readonly Ino[]): Promise<void> {
    await writeSynced(path.join(this.path, ADOPTED_FILE), inodes.map((ino) => `${ino}\n`).join(''), 'a');
    await this.#sync();
  }

  async markDone(): Promise<void> {
    await writeSynced(path.join(this.path, DONE_FILE), '');
    await this.#sync();
  }

  isDone(): Promise<boolean> {
    return exists(path.join(this.path, DONE_FILE));
  }

  /** Forgets what was said about adoption: the journal that it was said of is gone. */
  async clearAdopted(): Promise<void> {
    await fs.promises.rm(path.join(this.path, ADOPTED_FILE), { force: true });
    await fs.promises.rm(path.join(this.path, DONE_FILE), { force: true });
  }

  async remove(): Promise<void> {
    await fs.promises.rm(this.path, { recursive: true, force: true });
  }

  /** Moves it to where it is kept; returns that path. */
  async refuse(): Promise<string> {
    const folder = path.join(this.#base, REFUSED_DIR);
    await fs.promises.mkdir(folder, { recursive: true, mode: 0o700 });
    const target = path.join(folder, String(this.session));
    await fs.promises.rename(this.path, target);
    return target;
  }

  async #sync(): Promise<void> {
    const dir = await fs.promises.open(this.path, 'r');
    try {
      await dir.sync();
    } finally {
      await dir.close();
    }
  }
}

async function writeSynced(file: string, content: string, flags = 'w'): Promise<void> {
  const handle = await fs.promises.open(file, flags, 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await fs.promises.access(file);
    return true;
  } catch (error) {
    if (nodeErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
