import { afterEach, describe, expect, test } from '@jest/globals';
import { MemoryEngine } from '../../src/kv/memory-engine.js';
import { ROOT_INO } from '../../src/model/ids.js';
import type { Fh } from '../../src/model/ids.js';
import { S_IFDIR, S_IFREG } from '../../src/model/inode.js';
import { MemoryStore } from '../../src/object/memory-store.js';
import { startCluster, type Cluster } from './metaserver-cluster.js';

const name = (text: string): Buffer => Buffer.from(text);
const spec = (mode: number) => ({ mode, uid: 1, gid: 2, mayKeepSgid: false, exclusive: true });

let cluster: Cluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

describe('a mount against MDS and metaserver', () => {
  test('creates, finds, lists, writes extents and removes', async () => {
    const store = new MemoryStore();
    cluster = await startCluster(new MemoryEngine(), () => store);
    const fs = await cluster.createFs('one');
    const mounted = await cluster.mount(fs);
    const { meta } = mounted;
    const ctx = () => ({ opId: meta.clientOpId() });

    const dir = await meta.create(ctx(), ROOT_INO, name('dir'), spec(S_IFDIR | 0o755));
    expect(dir.attr.nlink).toBe(2);
    const file = await meta.create(ctx(), dir.attr.ino, name('file'), {
      ...spec(S_IFREG | 0o644),
      open: { fh: 7 as Fh, write: true, truncate: false },
    });
    expect(await meta.lookup(dir.attr.ino, name('file'))).toEqual(file.attr);
    expect(await meta.lookup(dir.attr.ino, name('none'))).toBeUndefined();
    const page = await meta.readdir(dir.attr.ino, 0, true);
    expect(page.end).toBe(true);
    expect(page.entries.map((entry) => Buffer.from(entry.name).toString())).toEqual(['file']);

    const chunkId = await meta.allocateChunkId();
    const extents = [{ offset: 0, length: 5000, chunkId, chunkOffset: 0 }];
    const attr = await meta.commitExtents(ctx(), file.attr.ino, {
      blocks: [{ block: 0, extents }],
      chunks: [{ chunkId, size: 5000 }],
      sizeAtLeast: 5000,
      mtime: meta.now(),
      truncEpoch: 0,
      timeEpoch: 0,
      killPriv: false,
    });
    expect(attr).toMatchObject({ size: 5000, allocatedBytes: 8192, lastWriter: 1, writerEpoch: 1 });
    expect((await meta.readExtents(file.attr.ino, 0, 10)).blocks).toEqual([{ block: 0, extents }]);
    expect(await meta.open(ctx(), file.attr.ino, { fh: 8 as Fh, write: false, truncate: false })).toMatchObject({
      extents: { blocks: [{ block: 0, extents }] },
    });
    expect(await meta.statfs(ROOT_INO)).toMatchObject({ usedBytes: 8192, usedInodes: 3 });

    await meta.unlink(ctx(), dir.attr.ino, name('file'));
    expect((await meta.getattr(file.attr.ino)).nlink).toBe(0);
    meta.release(file.attr.ino, 7 as Fh);
    meta.release(file.attr.ino, 8 as Fh);
    await meta.rmdir(ctx(), ROOT_INO, name('dir'));
    await expect(meta.rmdir(ctx(), ROOT_INO, name('dir'))).rejects.toMatchObject({ code: 'ENOENT' });
    await mounted.unmount();
    const detail = await cluster.client.getFs('one');
    expect(detail).toMatchObject({ metaserverAlive: true, mounts: [], usage: { usedBytes: 0, usedInodes: 1 } });
  });
});
