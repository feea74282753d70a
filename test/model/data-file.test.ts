import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { chunkKey } from '../../src/model/chunk-key.js';
import { decodeFrames, payloadLength } from '../../src/model/chunk-frames.js';
import { isFsError } from '../../src/common/fs-error.js';
import { NO_CHUNK } from '../../src/model/extent.js';
import type { Ino } from '../../src/model/ids.js';
import { ObjectError } from '../../src/object/object-error.js';
import { BLOCK, DataHarness, SEGMENT, bytes } from '../unit/data/data-harness.js';

/**
 * A file on the data path against an array of bytes: any sequence of writes, truncations, reads, flushes, failures and crashes shows the same bytes, and what was
 * flushed is what the server and the object store hold.
 */
type Command =
  | { readonly kind: 'write' | 'pageWrite'; readonly offset: number; readonly length: number; readonly seed: number }
  | { readonly kind: 'append'; readonly length: number; readonly seed: number }
  | { readonly kind: 'scatter'; readonly offset: number; readonly seed: number }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'read' | 'punch' | 'seek'; readonly offset: number; readonly length: number }
  | { readonly kind: 'zero' | 'allocate'; readonly offset: number; readonly length: number; readonly keepSize: boolean }
  | {
      readonly kind: 'copy';
      readonly from: number;
      readonly sourceOffset: number;
      readonly offset: number;
      readonly length: number;
    }
  | { readonly kind: 'compact'; readonly block: number }
  | { readonly kind: 'failPuts' | 'loseReplies'; readonly count: number }
  | {
      readonly kind:
        'other' | 'flush' | 'flushLater' | 'fsync' | 'hold' | 'unhold' | 'tick' | 'crash' | 'remount' | 'utimes';
    };

const FILE = 5 * BLOCK;
const edge = fc.constantFrom(0, 1, 32_767, 32_768, 32_769, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK);
const offset = fc.oneof(
  fc.nat(FILE),
  edge,
  fc.nat(4).map((block) => block * BLOCK),
);
const length = fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 2 * BLOCK }), fc.constant(BLOCK));
const seed = fc.nat(1_000_000);
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), offset, length, seed }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pageWrite' as const), offset, length, seed }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('append' as const), length, seed }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('scatter' as const), offset, seed }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), size: offset }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), offset, length }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('punch' as const, 'seek' as const), offset, length }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('zero' as const, 'allocate' as const),
      offset,
      length,
      keepSize: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('copy' as const), from: fc.nat(2), sourceOffset: offset, offset, length }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const), block: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('failPuts' as const, 'loseReplies' as const),
      count: fc.integer({ min: 1, max: 2 }),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        ...([
          'other',
          'other',
          'flush',
          'flushLater',
          'fsync',
          'hold',
          'unhold',
          'tick',
          'crash',
          'remount',
          'utimes',
        ] as const),
      ),
    }),
  },
);

class Model {
  content = Buffer.alloc(0);

  write(at: number, data: Buffer): void {
    if (data.length === 0) return;
    if (at + data.length > this.content.length) this.resize(at + data.length);
    data.copy(this.content, at);
  }

  resize(size: number): void {
    const next = Buffer.alloc(size);
    this.content.copy(next, 0, 0, Math.min(size, this.content.length));
    this.content = next;
  }
}

class Run {
  readonly #models: readonly Model[];
  readonly h: DataHarness;
  readonly #writeback: boolean;
  readonly #inos: readonly Ino[];
  #file = 0;
  #held: (() => void)[] = [];
  #holding = false;
  #reads = 0;
  #failing = 0;
  #flushes: Promise<unknown>[] = [];

  constructor(h: DataHarness, inos: readonly Ino[], writeback: boolean) {
    this.h = h;
    this.#writeback = writeback;
    this.#inos = inos;
    this.#models = inos.map(() => new Model());
    this.#control();
  }

  get model(): Model {
    return this.#models[this.#file]!;
  }

  get ino(): Ino {
    return this.#inos[this.#file]!;
  }

  async step(command: Command): Promise<void> {
    const { h, ino, model } = this;
    switch (command.kind) {
      case 'write':
        await this.#write(command.offset, bytes(command.length, command.seed));
        return;
      case 'append': {
        const data = bytes(command.length, command.seed);
        const at = model.content.length;
        await this.#wait(h.write(ino, 0, data, { append: true }));
        model.write(at, data);
        return;
      }
      case 'pageWrite': {
        const data = bytes(command.length, command.seed);
        await this.#wait(h.write(ino, command.offset, data, { fromPageCache: true }));
        model.write(command.offset, data.subarray(0, Math.max(0, model.content.length - command.offset)));
        return;
      }
      case 'scatter':
        for (let i = 0; i < 12; i++) {
          await this.#write((command.offset + i * 7919 * (command.seed % 7)) % FILE, bytes(300, command.seed + i));
        }
        return;
      case 'truncate':
        await this.#wait(h.truncate(ino, command.size));
        model.resize(command.size);
        return;
      case 'read': {
        const expected = model.content.subarray(command.offset, command.offset + command.length);
        same(await this.#wait(h.read(ino, command.offset, command.length)), expected);
        return;
      }
      case 'punch':
        await this.#wait(this.#allocate('punch', command.offset, command.length, true));
        model.content.subarray(command.offset, command.offset + command.length).fill(0);
        return;
      case 'zero':
      case 'allocate': {
        const { kind, keepSize } = command;
        const end = command.offset + command.length;
        await this.#wait(this.#allocate(kind, command.offset, command.length, keepSize));
        if (!keepSize && end > model.content.length) model.resize(end);
        if (kind === 'zero') model.content.subarray(command.offset, end).fill(0);
        return;
      }
      case 'copy':
        await this.#copy(command);
        return;
      case 'seek':
        await this.#seek(command.offset);
        return;
      case 'utimes': {
        const mtime = { sec: 12_345, nsec: 0 };
        await this.#wait(h.data.setattr({ opId: h.metadata.clientOpId() }, ino, { mtime }));
        expect(h.attr(ino).mtime).toEqual(mtime);
        return;
      }
      case 'flush':
      case 'fsync':
        await this.#wait(this.#flush(command.kind));
        if (!this.#writeback) await this.committed();
        return;
      case 'other':
        this.#file = (this.#file + 1) % this.#inos.length;
        return;
      case 'flushLater':
        this.#flushes.push(Promise.resolve(h.data.flush(ino)).catch(() => undefined));
        return;
      case 'hold':
        this.#holding = true;
        return;
      case 'unhold':
        this.unhold();
        return;
      case 'tick':
        await new Promise((resolve) => setImmediate(resolve));
        return;
      case 'failPuts':
        this.#failing += command.count;
        return;
      case 'loseReplies':
        h.repliesLost = command.count;
        return;
      case 'compact':
        this.unhold();
        await h.data.compactBlock(ino, command.block).catch(() => undefined);
        return;
      case 'crash':
        await h.crash();
        await this.#restart();
        return;
      case 'remount':
        this.unhold();
        await h.opened.close();
        await this.#restart();
        return;
    }
  }

  /** With the metadata's own numbers of operations: the kernel's would restart with a crash. */
  async #allocate(
    mode: 'punch' | 'zero' | 'allocate',
    offset: number,
    length: number,
    keepSize: boolean,
  ): Promise<void> {
    const { h, ino } = this;
    await h.data.fallocate({ opId: h.metadata.clientOpId() }, ino, {
      ...{ mode, offset, length, keepSize },
    });
  }

  async #copy({ from, sourceOffset, offset: at, length: count }: Extract<Command, { kind: 'copy' }>): Promise<void> {
    const { h, ino, model } = this;
    const source = this.#inos[from]!;
    if (source === ino && Math.abs(at - sourceOffset) < count) return;
    const data = Buffer.from(this.#models[from]!.content.subarray(sourceOffset, sourceOffset + count));
    const request = { source, sourceOffset, offset: at, length: count };
    for (let attempt = 0; ; attempt++) {
      try {
        const copied = this.h.data.copyRange({ opId: h.metadata.clientOpId() }, ino, request);
        expect(await this.#wait(copied)).toBe(data.length);
        break;
      } catch (error) {
        // The flush of the source before it tells a failed upload.
        if (attempt > 5 || !isFsError(error)) throw error;
      }
    }
    model.write(at, data);
  }

  /** Whatever lseek calls a hole is zeros, what is not zeros is data, and the end is a hole. */
  async #seek(at: number): Promise<void> {
    const { h, ino, model } = this;
    const size = model.content.length;
    const seek = async (offset: number, target: 'data' | 'hole'): Promise<number> => {
      try {
        return await h.data.seek(ino, offset, target);
      } catch (error) {
        if (!isFsError(error, 'ENXIO')) throw error;
        return -1;
      }
    };
    const [data, hole] = [await seek(at, 'data'), await seek(at, 'hole')];
    if (at >= size) {
      expect([data, hole]).toEqual([-1, -1]);
      return;
    }
    const skipped = model.content.subarray(at, data < 0 ? size : data);
    same(skipped, Buffer.alloc(skipped.length));
    expect(hole).toBeGreaterThanOrEqual(at);
    expect(hole).toBeLessThanOrEqual(size);
    if (data === at) expect(hole).toBeGreaterThan(at);
    else expect(hole).toBe(at);
  }

  /** Everything written is at the server and in the store, and a mount that knows nothing reads it. */
  async committed(): Promise<void> {
    const { h, ino, model } = this;
    const { size } = h.namespace.attr(ino);
    expect(size).toBe(model.content.length);
    const found = Buffer.alloc(size);
    for (const { block, extents } of h.namespace.extents(ino, 0, 1000)) {
      for (const { offset: at, length: count, chunkId, chunkOffset } of extents) {
        // Allocated and empty: zeros, behind the end of the file too.
        if (chunkId === NO_CHUNK) continue;
        const stored = Buffer.from(await h.objects.get(chunkKey(h.metadata.fs.id, chunkId)));
        const payload = Buffer.alloc(payloadLength(stored.length) ?? 0);
        decodeFrames(stored, chunkId, 0, payload);
        payload.copy(found, block * BLOCK + at, chunkOffset, chunkOffset + count);
      }
    }
    same(found, model.content);
  }

  async finish(): Promise<void> {
    this.unhold();
    await Promise.all(this.#flushes);
    for (this.#file = 0; this.#file < this.#inos.length; this.#file++) {
      const { h, ino, model } = this;
      same(await h.read(ino, 0, 10 * BLOCK), model.content);
      await this.#flush('drain');
      await this.committed();
      same(await h.read(ino, 0, 10 * BLOCK), model.content);
    }
    expect(this.h.data.dirtyBytes).toBe(0);
  }

  unhold(): void {
    this.#holding = false;
    for (const release of this.#held.splice(0)) release();
  }

  async #write(at: number, data: Buffer): Promise<void> {
    await this.#wait(this.h.write(this.ino, at, data));
    this.model.write(at, data);
  }

  /** Failures that pass are told and tried again: a flush reports them once. */
  async #flush(kind: 'flush' | 'fsync' | 'drain'): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await (kind === 'drain' ? this.h.data.drain() : this.h.data[kind](this.ino));
        return;
      } catch (error) {
        if (attempt > 5) throw error;
      }
    }
  }

  /** What has to wait for uploads must not wait for ever. */
  async #wait<T>(promise: Promise<T>): Promise<T> {
    if (this.#holding) {
      const first = await Promise.race([promise.then(() => true), new Promise((resolve) => setTimeout(resolve, 5))]);
      if (first !== true) this.unhold();
    }
    return promise;
  }

  async #restart(): Promise<void> {
    this.#held = [];
    this.#flushes = [];
    this.#holding = false;
    this.#failing = 0;
    this.h.repliesLost = 0;
    await this.h.start();
    this.#control();
    for (const { refusedInodes, corruptPlaces } of this.h.opened.adopted) {
      expect({ refusedInodes, corruptPlaces }).toEqual({ refusedInodes: 0, corruptPlaces: 0 });
    }
    for (const ino of this.#inos) this.h.data.opened(this.h.namespace.attr(ino), undefined);
  }

  #control(): void {
    // What is at hand changes from read to read: nothing, a part, everything.
    this.h.store.near = () => [0, 5000, Infinity][this.#reads++ % 3]!;
    const { store } = this.h;
    store.beforePut = async () => {
      if (this.#holding) await new Promise<void>((resolve) => this.#held.push(resolve));
      if (this.#failing > 0) {
        this.#failing--;
        throw new ObjectError('access-denied', 'as the test wishes');
      }
    };
  }
}

function same(found: Buffer, expected: Buffer): void {
  if (found.equals(expected)) return;
  let at = 0;
  while (at < found.length && found[at] === expected[at]) at++;
  throw new Error(`${found.length} bytes found, ${expected.length} expected, first difference at ${at}`);
}

async function run(commands: readonly Command[], writeback: boolean): Promise<void> {
  const h = await DataHarness.open({
    data: { journalSizeBytes: 6 * SEGMENT, memoryCacheBytes: 3 * BLOCK, readAheadBytes: BLOCK, writeback },
  });
  const state = new Run(h, [await h.create('f'), await h.create('g'), await h.create('h')], writeback);
  try {
    for (const next of commands) await state.step(next);
    await state.finish();
  } finally {
    state.unhold();
    await h.close();
  }
}

const RUNS = process.env['CURVEFS_TEST_LONG'] === '1' ? 1000 : 60;

describe('a file on the data path', () => {
  test('is what was written to it, through uploads, failures and crashes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 40 }), (commands) => run(commands, false)),
      { numRuns: RUNS },
    );
  }, 600_000);

  test('with write-back as well', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 40 }), (commands) => run(commands, true)),
      { numRuns: RUNS },
    );
  }, 600_000);
});
