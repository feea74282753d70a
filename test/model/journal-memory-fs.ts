import path from 'node:path';
import type { JournalFs } from '../../src/journal/journal-fs.js';

const SECTOR_BYTES = 512;

interface MemoryFile {
  cache: Buffer;
  /** What is on disk: a power cut leaves, of each sector that differs, either version. */
  disk: Buffer;
  size: number;
  diskSize: number;
}

/** A file system in memory that can lose power. */
export class MemoryJournalFs implements JournalFs {
  readonly files = new Map<string, MemoryFile>();
  /** Entries that survive a power cut. */
  #diskNames = new Map<string, MemoryFile>();
  readonly #open = new Map<number, MemoryFile>();
  #nextFd = 100;
  /** Which of the processes lives; the calls of others do nothing. */
  #process = 0;

  /** The file system as a new process sees it, until {@link killed} or {@link powerCut}: then its calls never return. */
  process(): JournalFs {
    const process = this.#process;
    return new Proxy<MemoryJournalFs>(this, {
      get: (_target, name: keyof JournalFs) => {
        if (process === this.#process) return this[name].bind(this);
        if (['sync', 'writeLater', 'makeDir', 'list', 'remove', 'syncDir'].includes(name)) {
          return () => new Promise(() => undefined);
        }
        throw new Error('this process was killed');
      },
    });
  }

  open(name: string, flags: string): number {
    let file = this.files.get(name);
    if (flags.includes('x') && file !== undefined) throw Object.assign(new Error('EEXIST'), { code: 'EEXIST' });
    if (file === undefined) {
      if (!flags.startsWith('w')) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
      file = { cache: Buffer.alloc(0), disk: Buffer.alloc(0), size: 0, diskSize: 0 };
      this.files.set(name, file);
    }
    this.#open.set(++this.#nextFd, file);
    return this.#nextFd;
  }

  close(fd: number): void {
    this.#file(fd);
    this.#open.delete(fd);
  }

  size(fd: number): number {
    return this.#file(fd).size;
  }

  truncate(fd: number, size: number): void {
    const file = this.#file(fd);
    file.cache = Buffer.concat([file.cache, Buffer.alloc(Math.max(0, size - file.size))]).subarray(0, size);
    file.size = size;
  }

  read(fd: number, buffer: Uint8Array, position: number): number {
    return this.#file(fd).cache.copy(buffer, 0, position);
  }

  write(fd: number, buffer: Uint8Array, position: number): number {
    const file = this.#file(fd);
    if (position + buffer.length > file.size) throw new Error('write behind the preallocated end');
    file.cache.set(buffer, position);
    return buffer.length;
  }

  writev(fd: number, buffers: readonly Uint8Array[], position: number): number {
    return this.write(fd, Buffer.concat(buffers), position);
  }

  syncNow(fd: number): void {
    const file = this.#file(fd);
    file.disk = Buffer.from(file.cache);
    file.diskSize = file.size;
  }

  async sync(fd: number): Promise<void> {
    await Promise.resolve();
    this.syncNow(fd);
  }

  async writeLater(fd: number, buffer: Uint8Array, position: number): Promise<void> {
    await Promise.resolve();
    this.write(fd, buffer, position);
  }

  async makeDir(): Promise<void> {
    return;
  }

  async list(dir: string): Promise<string[]> {
    return [...this.files.keys()].filter((name) => path.dirname(name) === dir).map((name) => path.basename(name));
  }

  async remove(name: string): Promise<void> {
    this.files.delete(name);
  }

  async syncDir(): Promise<void> {
    this.#diskNames = new Map(this.files);
  }

  /** The processes are gone: nothing written is lost. */
  killed(): void {
    this.#open.clear();
    this.#process++;
  }

  /** The machine lost power; `pick` decides for each thing that was not synced whether it reached the disk. */
  powerCut(pick: () => boolean): void {
    this.killed();
    for (const name of new Set([...this.files.keys(), ...this.#diskNames.keys()])) {
      const now = this.files.get(name);
      const before = this.#diskNames.get(name);
      const file = now === before || pick() ? now : before;
      if (file === undefined) this.files.delete(name);
      else this.files.set(name, file);
    }
    for (const file of this.files.values()) {
      if (file.size !== file.diskSize && !pick()) {
        file.size = file.diskSize;
        file.cache = file.cache.subarray(0, file.size);
      }
      const disk = Buffer.alloc(file.size);
      file.disk.copy(disk);
      for (let at = 0; at < file.size; at += SECTOR_BYTES) {
        const sector = file.cache.subarray(at, at + SECTOR_BYTES);
        if (sector.compare(disk, at, at + sector.length) !== 0 && pick()) sector.copy(disk, at);
      }
      file.cache = disk;
      file.disk = Buffer.from(disk);
      file.diskSize = file.size;
    }
    this.#diskNames = new Map(this.files);
  }

  #file(fd: number): MemoryFile {
    const file = this.#open.get(fd);
    if (file === undefined) throw Object.assign(new Error('EBADF'), { code: 'EBADF' });
    return file;
  }
}
