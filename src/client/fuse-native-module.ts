import { errorMessage } from '../common/fs-error.js';
import { MountError } from './launch/mount-error.js';

/** How an operation answers: 0 or a negative errno, then the result. */
export type Done<T> = (error: number, result?: T) => void;

export interface FuseNativeStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly nlink: number;
  readonly rdev: number;
  readonly dev: number;
  readonly ino: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atime: Date;
  readonly mtime: Date;
  readonly ctime: Date;
}

/** The operations of npm `fuse-native` that we serve. */
export interface FuseNativeOperations {
  statfs(path: string, done: Done<Readonly<Record<string, number>>>): void;
  getattr(path: string, done: Done<FuseNativeStat>): void;
  readdir(path: string, done: Done<string[]>): void;
  readlink(path: string, done: Done<string>): void;
  mkdir(path: string, mode: number, done: Done<void>): void;
  mknod(path: string, mode: number, rdev: number, done: Done<void>): void;
  symlink(target: string, path: string, done: Done<void>): void;
  link(from: string, to: string, done: Done<void>): void;
  unlink(path: string, done: Done<void>): void;
  rmdir(path: string, done: Done<void>): void;
  rename(from: string, to: string, done: Done<void>): void;
  chmod(path: string, mode: number, done: Done<void>): void;
  chown(path: string, uid: number, gid: number, done: Done<void>): void;
  truncate(path: string, size: number, done: Done<void>): void;
  ftruncate(path: string, handle: number, size: number, done: Done<void>): void;
  utimens(path: string, atimeMs: number, mtimeMs: number, done: Done<void>): void;
  create(path: string, mode: number, done: Done<number>): void;
  open(path: string, flags: number, done: Done<number>): void;
  /** Bytes read, or a negative errno. */
  read(
    path: string,
    handle: number,
    buffer: Buffer,
    length: number,
    position: number,
    done: (result: number) => void,
  ): void;
  /** Bytes written, or a negative errno. */
  write(
    path: string,
    handle: number,
    buffer: Buffer,
    length: number,
    position: number,
    done: (result: number) => void,
  ): void;
  flush(path: string, handle: number, done: Done<void>): void;
  fsync(path: string, datasync: boolean, handle: number, done: Done<void>): void;
  fsyncdir(path: string, datasync: boolean, handle: number, done: Done<void>): void;
  release(path: string, handle: number, done: Done<void>): void;
}

/** A mount by npm `fuse-native`. */
export interface FuseNativeMount {
  mount(done: (error: Error | null) => void): void;
}

export type FuseNativeConstructor = new (
  mountpoint: string,
  operations: FuseNativeOperations,
  options: Readonly<Record<string, unknown>>,
) => FuseNativeMount;

/** Loads the optional package. Throws a {@link MountError} when it or libfuse 2 is not there. */
export async function loadFuseNative(): Promise<FuseNativeConstructor> {
  try {
    const name = 'fuse-native';
    const loaded = (await import(name)) as { readonly default: FuseNativeConstructor };
    return loaded.default;
  } catch (error) {
    const reason = errorMessage(error).split('\n')[0];
    throw new MountError(2, `driver=fuse-native is not available (npm package fuse-native and libfuse 2): ${reason}`, {
      cause: error,
    });
  }
}
