import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Fh, type Ino, ROOT_INO } from '../../src/model/ids.js';
import { isDirectory } from '../../src/model/inode.js';
import { change, TestVfs } from '../helpers/vfs.js';
import { type RefDir, RefError, Reference, type RefFile, type RefNode } from './vfs-reference.js';

/** What both sides know of an inode: the reference's node and the VFS's number. */
interface Known {
  readonly node: RefNode;
  readonly ino: Ino;
}

interface OpenFile extends Known {
  readonly node: RefFile;
  readonly fh: Fh;
}

/** The VFS and the reference, side by side. */
class Pair {
  readonly vfs = new TestVfs({ metadata: { entriesPerPage: 3 } });
  readonly reference = new Reference();
  readonly dirs: Known[] = [{ node: this.reference.root, ino: ROOT_INO }];
  readonly files: Known[] = [];
  readonly open: OpenFile[] = [];

  dir(index: number): { readonly node: RefDir; readonly ino: Ino } {
    return this.dirs[index % this.dirs.length] as { node: RefDir; ino: Ino };
  }

  /** Runs an operation on both sides: they succeed together, or fail with the same error. */
  async both<R, V>(
    inReference: () => R,
    inVfs: () => V | Promise<V>,
  ): Promise<{ readonly ref: R; readonly real: V } | undefined> {
    let expected: { readonly ref: R } | string;
    try {
      expected = { ref: inReference() };
    } catch (error) {
      if (!(error instanceof RefError)) throw error;
      expected = error.code;
    }
    let real: V;
    try {
      real = await inVfs();
    } catch (error) {
      expect((error as { code?: string }).code).toEqual(expected);
      return undefined;
    }
    expect(typeof expected === 'string' ? expected : 'success').toBe('success');
    return { ref: (expected as { ref: R }).ref, real };
  }

  /** Everything that can be seen is the same on both sides. */
  async check(): Promise<void> {
    const seen = new Map<RefNode, Ino>();
    const walk = async (node: RefDir, ino: Ino): Promise<void> => {
      const names = await this.vfs.list(ino, 4);
      expect(names.filter((name) => name !== '.' && name !== '..').sort()).toEqual([...node.entries.keys()].sort());
      const attr = await this.vfs.fs.getattr(this.vfs.by(), ino);
      const subdirs = [...node.entries.values()].filter((entry) => entry.kind === 'dir').length;
      expect(attr.nlink).toBe(2 + subdirs);
      for (const [name, entry] of node.entries) {
        const found = await this.vfs.lookup(ino, name);
        expect(found).toBeDefined();
        expect(isDirectory(found!.mode)).toBe(entry.kind === 'dir');
        expect(seen.get(entry) ?? found!.ino).toBe(found!.ino);
        seen.set(entry, found!.ino);
        if (entry.kind === 'dir') {
          expect((await this.vfs.lookup(found!.ino, '..'))?.ino).toBe(ino);
          await walk(entry, found!.ino);
        } else {
          expect(found).toMatchObject({ size: entry.content.length, nlink: entry.nlink });
          expect(await this.vfs.content(found!.ino)).toBe(entry.content.toString());
        }
      }
    };
    await walk(this.reference.root, ROOT_INO);
    for (const { node, ino, fh } of this.open) {
      const parts = await this.vfs.fs.read(this.vfs.by(), ino, fh, 0, 1 << 16);
      expect(Buffer.concat(parts).toString()).toBe(node.content.toString());
    }
  }
}

type Step = (pair: Pair) => Promise<void>;

const index = fc.nat(20);
const name = fc.constantFrom('a', 'b', 'c', 'd');
const at = fc.tuple(index, name);
const data = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => Buffer.byteLength(text) === text.length);

const create = fc.tuple(at, fc.boolean()).map(([[d, n], exclusive]): Step => async (pair) => {
  const dir = pair.dir(d);
  const done = await pair.both(
    () => pair.reference.create(dir.node, n, exclusive),
    () =>
      pair.vfs.fs.create(pair.vfs.by(), {
        ...{ parent: dir.ino, name: Buffer.from(n), mode: 0o644, killPriv: false },
        flags: 0o102 | (exclusive ? 0o200 : 0),
      }),
  );
  if (done === undefined) return;
  const ino = done.real.attr.ino;
  pair.files.push({ node: done.ref, ino });
  pair.open.push({ node: done.ref, ino, fh: done.real.fh });
});

const mkdir = at.map(([d, n]): Step => async (pair) => {
  const dir = pair.dir(d);
  const done = await pair.both(
    () => pair.reference.mkdir(dir.node, n),
    () => pair.vfs.mkdir(dir.ino, n),
  );
  if (done !== undefined) pair.dirs.push({ node: done.ref, ino: done.real.ino });
});

const remove = fc.tuple(at, fc.boolean()).map(([[d, n], directory]): Step => async (pair) => {
  const dir = pair.dir(d);
  await pair.both(
    () => (directory ? pair.reference.rmdir(dir.node, n) : pair.reference.unlink(dir.node, n)),
    async () =>
      directory
        ? pair.vfs.fs.rmdir(pair.vfs.by(), dir.ino, Buffer.from(n))
        : pair.vfs.fs.unlink(pair.vfs.by(), dir.ino, Buffer.from(n)),
  );
  // A removed directory's number means nothing any more.
  for (let i = pair.dirs.length - 1; i >= 0; i--) if ((pair.dirs[i]!.node as RefDir).gone) pair.dirs.splice(i, 1);
});

const rename = fc.tuple(at, at, fc.constantFrom(0, 0, 1, 2)).map(([[d, n], [e, m], flags]): Step => async (pair) => {
  const from = pair.dir(d);
  const to = pair.dir(e);
  await pair.both(
    () => pair.reference.rename(from.node, n, to.node, m, flags),
    async () =>
      pair.vfs.fs.rename(pair.vfs.by(), {
        ...{ parent: from.ino, name: Buffer.from(n), newParent: to.ino, newName: Buffer.from(m), flags },
      }),
  );
  for (let i = pair.dirs.length - 1; i >= 0; i--) if ((pair.dirs[i]!.node as RefDir).gone) pair.dirs.splice(i, 1);
});

const link = fc.tuple(index, at).map(([f, [d, n]]): Step => async (pair) => {
  const file = pair.files[f % Math.max(1, pair.files.length)];
  // An inode without a name cannot be named again by link(2); whether it still exists depends on who has it open.
  if (file === undefined || (file.node as RefFile).nlink === 0) return;
  const dir = pair.dir(d);
  await pair.both(
    () => pair.reference.link(file.node, dir.node, n),
    async () => pair.vfs.fs.link(pair.vfs.by(), file.ino, dir.ino, Buffer.from(n)),
  );
});

const write = fc.tuple(index, fc.nat(60), data, fc.boolean()).map(([o, offset, text, append]): Step => async (pair) => {
  const file = pair.open[o % Math.max(1, pair.open.length)];
  if (file === undefined) return;
  await pair.both(
    () => pair.reference.write(file.node, append ? file.node.content.length : offset, Buffer.from(text)),
    () => pair.vfs.write(file.ino, file.fh, offset, text, pair.vfs.by(), append),
  );
});

const truncate = fc.tuple(index, fc.nat(60)).map(([o, size]): Step => async (pair) => {
  const file = pair.open[o % Math.max(1, pair.open.length)];
  if (file === undefined) return;
  await pair.both(
    () => pair.reference.truncate(file.node, size),
    async () => pair.vfs.fs.setattr(pair.vfs.by(), file.ino, change({ size, fh: file.fh })),
  );
});

const close = index.map((o): Step => async (pair) => {
  const [file] = pair.open.splice(o % Math.max(1, pair.open.length), 1);
  if (file !== undefined) pair.vfs.fs.release(file.ino, file.fh);
});

test('the VFS agrees with the reference, whatever is done in whatever order', async () => {
  const steps = fc.oneof(
    { weight: 4, arbitrary: create },
    { weight: 2, arbitrary: mkdir },
    { weight: 3, arbitrary: remove },
    { weight: 3, arbitrary: rename },
    { weight: 2, arbitrary: link },
    { weight: 4, arbitrary: write },
    { weight: 1, arbitrary: truncate },
    { weight: 2, arbitrary: close },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 40 }), async (script) => {
      const pair = new Pair();
      for (const step of script) await step(pair);
      await pair.check();
    }),
    { numRuns: 200 },
  );
}, 60_000);
