import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { errnoCode } from '../../src/common/errno.js';
import type { Response } from '../../src/gen/curvefs/v1/metaserver.js';
import type { Ino } from '../../src/model/ids.js';
import { S_IFDIR, S_IFREG } from '../../src/model/inode.js';
import {
  createOp,
  first,
  Harness,
  linkOp,
  renameOp,
  rmdirOp,
  ROOT_INO,
  unlinkOp,
} from '../unit/metaserver/slot-harness.js';
import type { Operation } from '../../src/metaserver/operations/operation-table.js';

interface Node {
  readonly ino: Ino;
  /** Undefined for a file. */
  readonly children: Map<string, Node> | undefined;
  nlink: number;
  parent: Node | undefined;
}

/** The namespace as POSIX describes it, in a page: what the metaserver is compared with. */
class Reference {
  readonly root: Node = { ino: ROOT_INO, children: new Map(), nlink: 2, parent: undefined };

  dirs(): Node[] {
    const all: Node[] = [];
    const visit = (node: Node): void => {
      if (node.children === undefined) return;
      all.push(node);
      for (const child of node.children.values()) visit(child);
    };
    visit(this.root);
    return all;
  }

  files(): Node[] {
    return [...new Set(this.dirs().flatMap((dir) => [...dir.children!.values()]))].filter(
      ({ children }) => children === undefined,
    );
  }

  create(dir: Node, name: string, directory: boolean, ino: Ino): string {
    if (dir.children!.has(name)) return 'EEXIST';
    const children = directory ? new Map<string, Node>() : undefined;
    dir.children!.set(name, { ino, children, nlink: directory ? 2 : 1, parent: directory ? dir : undefined });
    if (directory) dir.nlink++;
    return 'OK';
  }

  link(file: Node, dir: Node, name: string): string {
    if (dir.children!.has(name)) return 'EEXIST';
    dir.children!.set(name, file);
    file.nlink++;
    return 'OK';
  }

  unlink(dir: Node, name: string): string {
    const node = dir.children!.get(name);
    if (node === undefined) return 'ENOENT';
    if (node.children !== undefined) return 'EISDIR';
    dir.children!.delete(name);
    node.nlink--;
    return 'OK';
  }

  rmdir(dir: Node, name: string): string {
    const node = dir.children!.get(name);
    if (node === undefined) return 'ENOENT';
    if (node.children === undefined) return 'ENOTDIR';
    if (node.children.size > 0) return 'ENOTEMPTY';
    dir.children!.delete(name);
    dir.nlink--;
    return 'OK';
  }

  rename(dir: Node, name: string, newDir: Node, newName: string, flags: number): string {
    const node = dir.children!.get(name);
    const target = newDir.children!.get(newName);
    if (node === undefined) return 'ENOENT';
    if (flags === 1 && target !== undefined) return 'EEXIST';
    if (flags === 2 && target === undefined) return 'ENOENT';
    if (this.#within(newDir, node)) return 'EINVAL';
    if (target !== undefined && this.#within(dir, target)) return flags === 2 ? 'EINVAL' : 'ENOTEMPTY';
    if (node === target) return 'OK';
    if (flags === 2) {
      dir.children!.set(name, target!);
      newDir.children!.set(newName, node);
      this.#move(target!, newDir, dir);
      this.#move(node, dir, newDir);
      return 'OK';
    }
    if (target !== undefined) {
      if (node.children !== undefined && target.children === undefined) return 'ENOTDIR';
      if (node.children === undefined && target.children !== undefined) return 'EISDIR';
      if ((target.children?.size ?? 0) > 0) return 'ENOTEMPTY';
      if (target.children !== undefined) newDir.nlink--;
      else target.nlink--;
    }
    dir.children!.delete(name);
    newDir.children!.set(newName, node);
    this.#move(node, dir, newDir);
    return 'OK';
  }

  #move(node: Node, from: Node, to: Node): void {
    if (node.children === undefined) return;
    from.nlink--;
    to.nlink++;
    node.parent = to;
  }

  #within(node: Node, ancestor: Node): boolean {
    for (let at: Node | undefined = node; at !== undefined; at = at.parent) if (at === ancestor) return true;
    return false;
  }
}

const nat = fc.nat(50);
const name = fc.constantFrom('a', 'b', 'c', 'd');
const command = fc.oneof(
  fc.record({ kind: fc.constant('create' as const), dir: nat, name, directory: fc.boolean() }),
  fc.record({ kind: fc.constant('link' as const), file: nat, dir: nat, name }),
  fc.record({ kind: fc.constant('unlink' as const), dir: nat, name }),
  fc.record({ kind: fc.constant('rmdir' as const), dir: nat, name }),
  fc.record({ kind: fc.constant('rename' as const), dir: nat, name, to: nat, newName: name, flags: fc.nat(2) }),
);

describe('the namespace', () => {
  test('behaves as the reference does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 10, maxLength: 60 }), fc.nat(60), async (commands, restartAt) => {
        const harness = await Harness.start();
        let client = await harness.client();
        const reference = new Reference();
        const pick = <T>(all: readonly T[], i: number): T => all[i % all.length]!;
        for (const [i, each] of commands.entries()) {
          if (i === restartAt) {
            await harness.restart();
            client = await harness.attach(client.id, { incarnation: 2 });
          }
          const dirs = reference.dirs();
          const run = async (op: Operation): Promise<[string, Response]> => {
            const response = await client.send(op);
            return [response.errno === 0 ? 'OK' : errnoCode(response.errno), response];
          };
          if (each.kind === 'create') {
            const dir = pick(dirs, each.dir);
            const mode = each.directory ? S_IFDIR | 0o755 : S_IFREG | 0o644;
            const [errno, response] = await run(createOp(dir.ino, each.name, { mode }));
            const ino = errno === 'OK' ? first(response).ino : ROOT_INO;
            expect(errno).toBe(reference.create(dir, each.name, each.directory, ino));
          } else if (each.kind === 'link') {
            const files = reference.files();
            if (files.length === 0) continue;
            const file = pick(files, each.file);
            const dir = pick(dirs, each.dir);
            const [errno] = await run(linkOp(file.ino, dir.ino, each.name));
            expect(errno).toBe(reference.link(file, dir, each.name));
          } else if (each.kind === 'rename') {
            const from = pick(dirs, each.dir);
            const to = pick(dirs, each.to);
            const [errno] = await run(renameOp([from.ino, each.name], [to.ino, each.newName], each.flags));
            expect(errno).toBe(reference.rename(from, each.name, to, each.newName, each.flags));
          } else {
            const dir = pick(dirs, each.dir);
            const op = each.kind === 'unlink' ? unlinkOp : rmdirOp;
            const [errno] = await run(op(dir.ino, each.name));
            expect(errno).toBe(reference[each.kind](dir, each.name));
          }
        }
        for (const dir of reference.dirs()) {
          expect(await client.names(dir.ino)).toEqual([...dir.children!.keys()].sort());
          expect(await client.getattr(dir.ino)).toMatchObject({
            nlink: dir.nlink,
            parent: (dir.parent ?? dir).ino,
          });
          for (const [entry, node] of dir.children!) {
            expect(await client.lookup(dir.ino, entry)).toMatchObject({ ino: node.ino, nlink: node.nlink });
          }
        }
        await harness.checkAccounting();
        await harness.close();
      }),
      { numRuns: 60 },
    );
  });
});
