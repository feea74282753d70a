import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Clock } from '../../../src/common/clock.js';
import { noMetrics } from '../../../src/common/metrics.js';
import { MetadataClient } from '../../../src/meta/metadata-client.js';
import { ROOT_INO, type Fh, type Ino } from '../../../src/model/ids.js';
import { S_IFDIR, S_IFLNK, S_IFREG, type InodeAttr } from '../../../src/model/inode.js';
import type { CreateSpec } from '../../../src/model/operation.js';
import { ManualStream } from '../../helpers/manual-stream.js';
import { MemoryMetadata } from '../../helpers/memory-metadata.js';

const bytes = (text: string): Buffer => Buffer.from(text);
const spec = (type: number, more: Partial<CreateSpec> = {}): CreateSpec => ({
  mode: type | 0o755,
  uid: 0,
  gid: 0,
  mayKeepSgid: false,
  exclusive: true,
  ...more,
});

describe('what needs no question', () => {
  let nowMs: number;
  let stream: ManualStream;
  let foreign: MemoryMetadata;
  let client: MetadataClient;

  beforeEach(() => {
    nowMs = 0;
    foreign = new MemoryMetadata({ sessionId: 2 });
    stream = new ManualStream(foreign.namespace, 3);
    const clock: Clock = { nowNs: () => 0n, monotonicMs: () => nowMs, sleep: () => Promise.resolve() };
    const deps = { session: stream, chunkIds: foreign, clock, metrics: noMetrics };
    client = new MetadataClient(
      { ...deps, chunkIds: { allocate: () => foreign.allocateChunkId() } },
      { fs: foreign.fs },
    );
  });

  const ctx = () => ({ opId: client.clientOpId() });
  const foreignCtx = () => ({ opId: foreign.clientOpId() });
  /** Lets the server answer until the promise is there. */
  async function done<T>(value: T | Promise<T>): Promise<T> {
    await stream.drain();
    return value;
  }
  const make = async (parent: Ino, name: string, type = S_IFREG): Promise<InodeAttr> =>
    (await done(client.create(ctx(), parent, bytes(name), spec(type)))).attr;
  /** The operations that `fn` sends. */
  async function sentBy(fn: () => unknown): Promise<string[]> {
    const before = stream.sent.length;
    await done(fn());
    return stream.sent.slice(before);
  }

  test('names in a directory of our own making, there or not', async () => {
    const dir = await make(ROOT_INO, 'dir', S_IFDIR);
    const file = await make(dir.ino, 'file');
    expect(client.lookup(dir.ino, bytes('other'))).toBeUndefined();
    expect(client.lookup(dir.ino, bytes('file'))).toEqual(file);
    await done(client.unlink(ctx(), dir.ino, bytes('file')));
    expect(client.lookup(dir.ino, bytes('file'))).toBeUndefined();
  });

  test('half the questions of an untar: a lookup before each create is answered here, as long as we keep working there', async () => {
    const dir = await make(ROOT_INO, 'dir', S_IFDIR);
    const sent = await sentBy(async () => {
      for (let i = 0; i < 20; i++) {
        nowMs += 500;
        expect(await client.lookup(dir.ino, bytes(`f${i}`))).toBeUndefined();
        await client.create(ctx(), dir.ino, bytes(`f${i}`), spec(S_IFREG));
      }
    });
    expect(sent).toEqual(Array.from({ length: 20 }, () => 'create'));
  });

  test('where entries are being removed, one whose attributes are old is still known to exist', async () => {
    const dir = await make(ROOT_INO, 'dir', S_IFDIR);
    const a = await make(dir.ino, 'a');
    const b = await make(dir.ino, 'b');
    await make(dir.ino, 'c');
    nowMs = 5000;
    expect(client.removable(dir.ino, bytes('a'))).toBeUndefined();
    await done(client.unlink(ctx(), dir.ino, bytes('c')));
    expect(client.removable(dir.ino, bytes('a'))).toEqual(a);
    expect(client.removable(dir.ino, bytes('c'))).toBeUndefined();
    // it says nothing of the attributes: those are asked for
    expect(await sentBy(() => client.getattr(a.ino))).toEqual(['getattr']);
    expect(client.removable(dir.ino, bytes('a'))).toBeUndefined();
    expect(client.removable(dir.ino, bytes('b'))).toEqual(b);
    await make(dir.ino, 'd');
    expect(client.removable(dir.ino, bytes('b'))).toBeUndefined();
    await done(client.unlink(ctx(), dir.ino, bytes('d')));
    nowMs = 10_000;
    expect(client.removable(dir.ino, bytes('b'))).toBeUndefined();
  });

  test('a foreign change ends it', async () => {
    const dir = await make(ROOT_INO, 'dir', S_IFDIR);
    await make(dir.ino, 'a');
    await make(dir.ino, 'b');
    nowMs = 5000;
    await foreign.unlink(foreignCtx(), dir.ino, bytes('a'));
    await done(client.unlink(ctx(), dir.ino, bytes('b')));
    expect(client.removable(dir.ino, bytes('a'))).toBeUndefined();
  });

  test('a foreign change ends complete knowledge: even much later the name is asked for', async () => {
    const dir = await make(ROOT_INO, 'dir', S_IFDIR);
    await foreign.create(foreignCtx(), dir.ino, bytes('theirs'), spec(S_IFREG));
    await make(dir.ino, 'ours');
    expect(await sentBy(() => client.lookup(dir.ino, bytes('theirs')))).toEqual(['lookup']);
    expect(client.lookup(dir.ino, bytes('theirs'))).toBeDefined();
  });

  test('unconfirmed for longer than the time-out it is asked', async () => {
    const dir = await make(ROOT_INO, 'dir', S_IFDIR);
    nowMs += 1001;
    expect(await sentBy(() => client.lookup(dir.ino, bytes('x')))).toEqual(['lookup']);
    nowMs += 1001;
    await done(client.getattr(dir.ino));
    expect(client.lookup(dir.ino, bytes('y'))).toBeUndefined();
  });

  test('a directory listed from end to end', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      await foreign.create(foreignCtx(), ROOT_INO, bytes(name), spec(S_IFREG));
    }
    await done(client.getattr(ROOT_INO));
    let cookie = 0;
    const sent = await sentBy(async () => {
      for (let end = false; !end;) {
        const page = await client.readdir(ROOT_INO, cookie, true);
        cookie = page.entries.at(-1)!.cookie;
        end = page.end;
      }
    });
    expect(sent).toEqual(['readdir', 'readdir']);
    expect(client.lookup(ROOT_INO, bytes('c'))).toMatchObject({ nlink: 1 });
    expect(client.lookup(ROOT_INO, bytes('nothing'))).toBeUndefined();
  });

  test('a listing during which the directory changed is not complete', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await foreign.create(foreignCtx(), ROOT_INO, bytes(name), spec(S_IFREG));
    const first = client.readdir(ROOT_INO, 0, true);
    stream.settle();
    const { entries } = await first;
    await foreign.create(foreignCtx(), ROOT_INO, bytes('e'), spec(S_IFREG));
    await done(client.readdir(ROOT_INO, entries.at(-1)!.cookie, true));
    expect(await sentBy(() => client.lookup(ROOT_INO, bytes('nothing')))).toEqual(['lookup']);
  });

  test('while a change of the name is in flight it is asked', async () => {
    const dir = await make(ROOT_INO, 'dir', S_IFDIR);
    const pending = client.create(ctx(), dir.ino, bytes('x'), spec(S_IFREG));
    const found = client.lookup(dir.ino, bytes('x'));
    expect(found).toBeInstanceOf(Promise);
    await done(pending);
    expect(await found).toMatchObject({ nlink: 1 });
  });

  test('a prefetched page is dropped when we have changed the directory since', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await make(ROOT_INO, name);
    const first = await done(client.readdir(ROOT_INO, 0, false));
    await done(client.unlink(ctx(), ROOT_INO, bytes('d')));
    const rest = await done(client.readdir(ROOT_INO, first.entries.at(-1)!.cookie, false));
    expect(rest).toEqual({ entries: [], end: true });
  });

  test('attributes within the time-out; an older reply does not replace newer ones', async () => {
    const file = await make(ROOT_INO, 'f');
    expect(client.getattr(file.ino)).toEqual(file);
    nowMs += 1001;
    const asked = client.getattr(file.ino);
    stream.execute();
    const changed = client.setattr(ctx(), file.ino, { mode: 0o600 });
    stream.execute();
    await done(asked);
    expect((await changed).mode & 0o7777).toBe(0o600);
    expect(client.knownAttr(file.ino)?.mode).toBe(S_IFREG | 0o600);
  });

  test('getattr of a gone inode is ENOENT, and nothing of it stays', async () => {
    const file = await make(ROOT_INO, 'f');
    await foreign.unlink(foreignCtx(), ROOT_INO, bytes('f'));
    nowMs += 1001;
    const gone = expect(client.getattr(file.ino)).rejects.toMatchObject({ code: 'ENOENT' });
    await stream.drain();
    await gone;
    expect(client.knownAttr(file.ino)).toBeUndefined();
  });

  test('extended attributes: none at all, one that is known, one that changed', async () => {
    const file = await make(ROOT_INO, 'f');
    expect(client.getxattr(file.ino, bytes('user.a'))).toBeUndefined();
    expect(client.listxattr(file.ino)).toEqual([]);
    await done(client.setxattr(ctx(), file.ino, bytes('user.a'), bytes('1'), 0));
    expect(await done(client.getxattr(file.ino, bytes('user.a')))).toEqual(bytes('1'));
    expect(client.getxattr(file.ino, bytes('user.a'))).toEqual(bytes('1'));
    expect(await done(client.getxattr(file.ino, bytes('user.b')))).toBeUndefined();
    expect(client.getxattr(file.ino, bytes('user.b'))).toBeUndefined();
    await done(client.setxattr(ctx(), file.ino, bytes('user.a'), bytes('2'), 0));
    expect(await done(client.getxattr(file.ino, bytes('user.a')))).toEqual(bytes('2'));
  });

  test('the target of a symlink', async () => {
    const link = await done(client.create(ctx(), ROOT_INO, bytes('l'), spec(S_IFLNK, { target: bytes('to/there') })));
    await done(client.readlink(link.attr.ino));
    expect(client.readlink(link.attr.ino)).toEqual(bytes('to/there'));
  });

  test('renaming one link of a file onto another leaves both', async () => {
    const dir = await make(ROOT_INO, 'dir', S_IFDIR);
    const file = await make(dir.ino, 'a');
    await done(client.link(ctx(), file.ino, dir.ino, bytes('b')));
    await done(client.rename(ctx(), { parent: dir.ino, name: bytes('a') }, { parent: dir.ino, name: bytes('b') }, 0));
    expect(await done(client.lookup(dir.ino, bytes('a')))).toMatchObject({ ino: file.ino, nlink: 2 });
  });

  test('write new, rename over: stays known without a question', async () => {
    const dir = await make(ROOT_INO, 'dir', S_IFDIR);
    await make(dir.ino, 'config');
    const fresh = await make(dir.ino, 'config.new');
    const to = { parent: dir.ino, name: bytes('config') };
    await done(client.rename(ctx(), { parent: dir.ino, name: bytes('config.new') }, to, 0));
    expect(client.lookup(dir.ino, bytes('config'))).toMatchObject({ ino: fresh.ino });
    expect(client.lookup(dir.ino, bytes('config.new'))).toBeUndefined();
  });

  test('a lost session fails what is in flight and leaves no name blocked', async () => {
    const pending = client.create(
      ctx(),
      ROOT_INO,
      bytes('x'),
      spec(S_IFREG, { open: { fh: 3 as Fh, write: true, truncate: false } }),
    );
    stream.shutDown();
    await expect(pending).rejects.toMatchObject({ code: 'ESHUTDOWN' });
    await make(ROOT_INO, 'x');
    expect(client.lookup(ROOT_INO, bytes('x'))).toMatchObject({ nlink: 1 });
  });
});
