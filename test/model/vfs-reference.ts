/** A file system as simple as it can be: what the VFS must agree with. Errors are thrown as errno names. */
export interface RefFile {
  readonly kind: 'file';
  content: Buffer;
  nlink: number;
}

export interface RefDir {
  readonly kind: 'dir';
  readonly entries: Map<string, RefNode>;
  parent: RefDir;
  gone: boolean;
}

export type RefNode = RefFile | RefDir;

export const newDir = (parent?: RefDir): RefDir => {
  const dir = { kind: 'dir', entries: new Map(), gone: false } as unknown as RefDir;
  dir.parent = parent ?? dir;
  return dir;
};

/** An expected failure. */
export class RefError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const fail = (code: string): never => {
  throw new RefError(code);
};

export class Reference {
  readonly root = newDir();

  lookup(dir: RefDir, name: string): RefNode | undefined {
    return dir.entries.get(name);
  }

  create(dir: RefDir, name: string, exclusive: boolean): RefFile {
    const found = dir.entries.get(name);
    if (found !== undefined) {
      if (exclusive) fail('EEXIST');
      return found.kind === 'file' ? found : fail('EISDIR');
    }
    if (dir.gone) fail('ENOENT');
    const file: RefFile = { kind: 'file', content: Buffer.alloc(0), nlink: 1 };
    dir.entries.set(name, file);
    return file;
  }

  mkdir(dir: RefDir, name: string): RefDir {
    if (dir.entries.has(name)) fail('EEXIST');
    if (dir.gone) fail('ENOENT');
    const made = newDir(dir);
    dir.entries.set(name, made);
    return made;
  }

  link(node: RefNode, dir: RefDir, name: string): void {
    if (node.kind === 'dir') fail('EPERM');
    else {
      if (dir.entries.has(name)) fail('EEXIST');
      if (dir.gone || node.nlink === 0) fail('ENOENT');
      node.nlink += 1;
      dir.entries.set(name, node);
    }
  }

  unlink(dir: RefDir, name: string): void {
    const found = dir.entries.get(name) ?? fail('ENOENT');
    if (found.kind === 'dir') fail('EISDIR');
    else found.nlink -= 1;
    dir.entries.delete(name);
  }

  rmdir(dir: RefDir, name: string): void {
    const found = dir.entries.get(name) ?? fail('ENOENT');
    if (found.kind !== 'dir') return fail('ENOTDIR');
    if (found.entries.size > 0) fail('ENOTEMPTY');
    found.gone = true;
    dir.entries.delete(name);
  }

  rename(from: RefDir, name: string, to: RefDir, newName: string, flags: number): void {
    const moved = from.entries.get(name) ?? fail('ENOENT');
    const target = to.entries.get(newName);
    if (to.gone) fail('ENOENT');
    if (flags === 1 && target !== undefined) fail('EEXIST');
    if (flags === 2) {
      if (target === undefined) return fail('ENOENT');
      if (this.#contains(moved, to) || this.#contains(target, from)) fail('EINVAL');
      from.entries.set(name, target);
      to.entries.set(newName, moved);
      if (target.kind === 'dir') target.parent = from;
      if (moved.kind === 'dir') moved.parent = to;
      return;
    }
    if (this.#contains(moved, to)) fail('EINVAL');
    if (target === moved) return;
    if (target !== undefined) this.#replace(moved, target);
    from.entries.delete(name);
    to.entries.set(newName, moved);
    if (moved.kind === 'dir') moved.parent = to;
  }

  write(file: RefFile, offset: number, data: Buffer): void {
    const size = Math.max(file.content.length, offset + data.length);
    const grown = Buffer.alloc(size);
    file.content.copy(grown);
    data.copy(grown, offset);
    file.content = grown;
  }

  truncate(file: RefFile, size: number): void {
    const cut = Buffer.alloc(size);
    file.content.copy(cut);
    file.content = cut;
  }

  #replace(moved: RefNode, target: RefNode): void {
    if (target.kind === 'dir') {
      if (moved.kind !== 'dir') fail('EISDIR');
      if (target.entries.size > 0) fail('ENOTEMPTY');
      target.gone = true;
    } else {
      if (moved.kind === 'dir') fail('ENOTDIR');
      target.nlink -= 1;
    }
  }

  /** Whether `dir` is `node` or lies below it. */
  #contains(node: RefNode, dir: RefDir): boolean {
    for (let at = dir; ; at = at.parent) {
      if (at === node) return true;
      if (at.parent === at) return false;
    }
  }
}
