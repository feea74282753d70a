import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import { LmdbEngine } from '../../src/kv/lmdb-engine.js';
import { ROOT_INO, type Fh } from '../../src/model/ids.js';
import { S_IFDIR, S_IFREG } from '../../src/model/inode.js';
import { MemoryStore } from '../../src/object/memory-store.js';
import { startCluster, type Cluster, type ClusterOptions } from './metaserver-cluster.js';

const name = (text: string): Buffer => Buffer.from(text);
const file = { mode: S_IFREG | 0o644, uid: 1, gid: 2, mayKeepSgid: false, exclusive: true };

let dir: string;
let engine: LmdbEngine;
let cluster: Cluster;

async function start(opts: ClusterOptions = {}): Promise<void> {
  engine = await LmdbEngine.open({ logger: silentLogger, metrics: noMetrics }, { dir, limitBytes: 256 << 20 });
  const store = new MemoryStore();
  cluster = await startCluster(engine, () => store, opts);
}

async function stop(): Promise<void> {
  await cluster.close();
  await engine.close();
}

beforeEach(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'curvefs-metaserver-'));
  await start();
});

afterEach(async () => {
  await stop();
  fs.rmSync(dir, { recursive: true });
});

describe('a restart of the service under a mount', () => {
  test('is a pause: the session goes on, nothing acknowledged is lost, nothing is done twice', async () => {
    const info = await cluster.createFs('one');
    const mount = await cluster.mount(info);
    const { meta } = mount;
    const { attr: parent } = await meta.create({ opId: meta.clientOpId() }, ROOT_INO, name('d'), {
      ...file,
      mode: S_IFDIR | 0o755,
    });
    const { attr: open } = await meta.create({ opId: meta.clientOpId() }, parent.ino, name('open'), {
      ...file,
      open: { fh: 1 as Fh, write: true, truncate: false },
    });
    await meta.unlink({ opId: meta.clientOpId() }, parent.ino, name('open'));

    // a stream of creates runs while the service stops and starts again at the same address
    const created: string[] = [];
    let running = true;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; running; i++) {
        const entry = `w${writer}-${i}`;
        const result = await meta.create({ opId: meta.clientOpId() }, parent.ino, name(entry), file);
        expect(result.created).toBe(true);
        created.push(entry);
      }
    });
    while (created.length < 50) await new Promise((resolve) => setTimeout(resolve, 5));
    const { address } = cluster;
    const before = created.length;
    await stop();
    await start({ address });
    while (created.length < before + 50) await new Promise((resolve) => setTimeout(resolve, 5));
    running = false;
    await Promise.all(writers);

    const names: string[] = [];
    for (let after = 0, end = false; !end;) {
      const page = await meta.readdir(parent.ino, after, true);
      names.push(...page.entries.map((entry) => Buffer.from(entry.name).toString()));
      ({ end } = page);
      after = page.entries.at(-1)?.cookie ?? after;
    }
    expect(names.sort()).toEqual([...created].sort());
    expect(await meta.getattr(open.ino)).toMatchObject({ nlink: 0 });
    meta.release(open.ino, 1 as Fh);
    await mount.unmount();
    expect((await cluster.client.getFs('one')).usage).toMatchObject({ usedInodes: 2 + created.length });
  }, 30_000);

  test('with relaxed durability loses nothing on a clean stop, and barriers', async () => {
    await stop();
    await start({ durability: 'relaxed' });
    const info = await cluster.createFs('one');
    const mount = await cluster.mount(info);
    for (let i = 0; i < 20; i++) {
      await mount.meta.create({ opId: mount.meta.clientOpId() }, ROOT_INO, name(`f${i}`), file);
    }
    await mount.meta.barrier();
    await mount.unmount();
    const { address } = cluster;
    await stop();
    await start({ address });
    expect((await cluster.client.getFs('one')).usage).toMatchObject({ usedInodes: 21 });
  }, 30_000);
});

describe('filesystems', () => {
  test('several share one service; deleting one is refused while it is mounted', async () => {
    const one = await cluster.createFs('one');
    const two = await cluster.createFs('two');
    const first = await cluster.mount(one);
    const second = await cluster.mount(two);
    await first.meta.create({ opId: first.meta.clientOpId() }, ROOT_INO, name('only-in-one'), file);
    expect(await second.meta.lookup(ROOT_INO, name('only-in-one'))).toBeUndefined();
    await expect(cluster.client.deleteFs('one')).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('h:/m'),
    });
    await first.unmount();
    await cluster.client.deleteFs('one');
    expect((await cluster.client.listFs()).map((fsInfo) => fsInfo.name)).toEqual(['two']);
    await expect(cluster.client.getFs('one')).rejects.toMatchObject({ code: 'not-found' });
    await second.unmount();
    const status = await cluster.client.status();
    expect(status.metaservers).toMatchObject([{ alive: true, filesystems: 1, address: cluster.address }]);
  }, 30_000);
});
