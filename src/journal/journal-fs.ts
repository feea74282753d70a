import fs from 'node:fs';
import { promisify } from 'node:util';

/** The file system calls of the journal, so that tests can make them fail. */
export interface JournalFs {
  open(path: string, flags: string): number;
  close(fd: number): void;
  size(fd: number): number;
  truncate(fd: number, size: number): void;
  read(fd: number, buffer: Uint8Array, position: number): number;
  write(fd: number, buffer: Uint8Array, position: number): number;
  writev(fd: number, buffers: readonly Uint8Array[], position: number): number;
  /** fdatasync(2), blocking. */
  syncNow(fd: number): void;
  /** fdatasync(2) in the thread pool. */
  sync(fd: number): Promise<void>;
  /** A write in the thread pool, for what is long and not urgent. */
  writeLater(fd: number, buffer: Uint8Array, position: number): Promise<void>;
  makeDir(path: string): Promise<void>;
  list(path: string): Promise<string[]>;
  remove(path: string): Promise<void>;
  /** fsync(2) of a directory: its entries are durable. */
  syncDir(path: string): Promise<void>;
}

const fdatasync = promisify(fs.fdatasync);
const write = promisify(fs.write);

/** The real one. */
export const nodeJournalFs: JournalFs = {
  open: (path, flags) => fs.openSync(path, flags, 0o600),
  close: (fd) => fs.closeSync(fd),
  size: (fd) => fs.fstatSync(fd).size,
  truncate: (fd, size) => fs.ftruncateSync(fd, size),
  read: (fd, buffer, position) => fs.readSync(fd, buffer, 0, buffer.length, position),
  write: (fd, buffer, position) => fs.writeSync(fd, buffer, 0, buffer.length, position),
  writev: (fd, buffers, position) => fs.writevSync(fd, buffers, position),
  syncNow: (fd) => fs.fdatasyncSync(fd),
  sync: (fd) => fdatasync(fd),
  writeLater: async (fd, buffer, position) => {
    for (let done = 0; done < buffer.length;) {
      done += (await write(fd, buffer, done, buffer.length - done, position + done)).bytesWritten;
    }
  },
  makeDir: async (path) => {
    await fs.promises.mkdir(path, { recursive: true, mode: 0o700 });
  },
  list: (path) => fs.promises.readdir(path),
  remove: (path) => fs.promises.unlink(path),
  syncDir: async (path) => {
    const dir = await fs.promises.open(path, 'r');
    try {
      await dir.sync();
    } finally {
      await dir.close();
    }
  },
};

/** Writes all of the bytes, however many calls it takes. */
export function writeFully(fs: JournalFs, fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    const written = fs.write(fd, bytes.subarray(done), position + done);
    if (written === 0) throw new Error('write(2) wrote nothing');
    done += written;
  }
}
