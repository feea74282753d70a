import { expect } from '@jest/globals';
import type { Clock } from '../../../src/common/clock.js';
import { errnoCode, type ErrnoCode } from '../../../src/common/errno.js';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import { OpId_Kind, type OpId } from '../../../src/gen/curvefs/v1/common.js';
import { Response, type Attach, type Request, type SessionEnd_Reason } from '../../../src/gen/curvefs/v1/metaserver.js';
import type { KvEngine } from '../../../src/kv/kv-engine.js';
import { MemoryEngine } from '../../../src/kv/memory-engine.js';
import { Metaserver } from '../../../src/metaserver/metaserver.js';
import type { Operation } from '../../../src/metaserver/operations/operation-table.js';
import type { QuotaRecord } from '../../../src/metaserver/records/quota-record.js';
import type { SessionConnection } from '../../../src/metaserver/sessions/session-connection.js';
import type { Session } from '../../../src/metaserver/sessions/session.js';
import type { Slot } from '../../../src/metaserver/slot.js';
import { NO_CHUNK } from '../../../src/model/extent.js';
import type { FsInfo } from '../../../src/model/filesystem.js';
import { ROOT_INO, type Fh, type FsId, type Ino, type SessionId } from '../../../src/model/ids.js';
import { S_IFDIR, S_IFREG, type InodeAttr } from '../../../src/model/inode.js';
import type { CommitSpec, CreateSpec, SetAttr } from '../../../src/model/operation.js';
import { MemoryStore } from '../../../src/object/memory-store.js';
import type { ObjectStore } from '../../../src/object/object-store.js';
import { attrFromProto } from '../../../src/wire/attr.js';
import {
  commitToProto,
  createToProto,
  openToProto,
  renameToProto,
  setAttrToProto,
} from '../../../src/wire/operation.js';

/** A clock that tests set; sleeping waits for real time only to give way. */
export class TestClock implements Clock {
  ns = 1_700_000_000_000_000_000n;
  ms = 1000;

  nowNs(): bigint {
    return this.ns;
  }

  monotonicMs(): number {
    return this.ms;
  }

  advance(ms: number): void {
    this.ms += ms;
    this.ns += BigInt(ms) * 1_000_000n;
  }

  sleep(_ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      }, 5);
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }
}

export const FS: FsInfo = {
  id: 3 as FsId,
  uuid: 'uuid-3',
  name: 'test',
  storage: { kind: 'file', path: '/nowhere' },
  blockSizeBytes: 65_536,
  capacityBytes: 0,
  inodesMax: 0,
  chunkFormat: 1,
  metaserver: 'localhost:1',
  createdMs: 0,
};

export interface HarnessOptions {
  readonly engine?: KvEngine;
  readonly store?: MemoryStore;
  readonly fs?: Partial<FsInfo>;
  readonly clock?: TestClock;
  /** 0 = what is removed is freed at once. */
  readonly lingerMs?: number;
}

/** A metaserver without gRPC: one filesystem over an engine in memory. */
export class Harness {
  readonly clock: TestClock;
  readonly engine: KvEngine;
  readonly store: MemoryStore;
  readonly info: FsInfo;
  readonly lingerMs: number;
  metaserver!: Metaserver;

  constructor(opts: HarnessOptions = {}) {
    this.clock = opts.clock ?? new TestClock();
    this.engine = opts.engine ?? new MemoryEngine();
    this.store = opts.store ?? new MemoryStore();
    this.info = { ...FS, ...opts.fs };
    this.lingerMs = opts.lingerMs ?? 0;
  }

  static async start(opts: HarnessOptions = {}): Promise<Harness> {
    const harness = new Harness(opts);
    await harness.open();
    await harness.metaserver.createSlot(harness.info, { mode: 0o755, uid: 0, gid: 0 });
    return harness;
  }

  async open(): Promise<void> {
    const { clock, engine, store } = this;
    this.metaserver = await Metaserver.open(
      { engine, clock, logger: silentLogger, metrics: noMetrics, openStore: () => keptOpen(store) },
      {
        durable: true,
        sessionTtlMs: 20_000,
        cache: { inodesMax: 50, dentriesMax: 50, extentsMax: 50, chunksMax: 50 },
        backgroundIntervalMs: 10,
        lingerMs: this.lingerMs,
      },
    );
  }

  async restart(): Promise<void> {
    await this.metaserver.close();
    await this.open();
  }

  get slot(): Slot {
    return this.metaserver.mustSlot(this.info.id);
  }

  async client(opts: { readonly readOnly?: boolean; readonly uuid?: string } = {}): Promise<TestClient> {
    const id = await this.slot.sessions.open({
      fsId: this.info.id,
      clientUuid: opts.uuid ?? `client-${Math.random()}`,
      host: 'host',
      mountpoint: '/mnt',
      pid: 1,
      version: 'v',
      readOnly: opts.readOnly ?? false,
    });
    return this.attach(id);
  }

  async attach(id: SessionId, opts: Partial<Attach> = {}): Promise<TestClient> {
    const client = new TestClient(this, id, opts.incarnation ?? 1);
    await client.attach(opts);
    return client;
  }

  /** Fails unless counters, inodes, blocks and chunks agree. */
  async checkAccounting(): Promise<void> {
    const { slot } = this;
    // waits for what is not durable yet, too
    const counters = await slot.execute((op) => op.counters());
    const { start, end } = slot.keys.everything();
    const rows = await this.engine.range(Buffer.from(start, 'latin1'), Buffer.from(end, 'latin1'), {
      limit: 1_000_000,
    });
    const { tables } = slot;
    let inodes = 0;
    let allocated = 0;
    const live = new Map<number, number>();
    const chunks = new Map<number, number>();
    const charged = new Map<number, { bytes: number; inodes: number; reserved: number }>();
    const quotas = new Map<number, QuotaRecord>();
    const charge = (quota: number, bytes: number, inodes: number, reserved: number): void => {
      const sum = charged.get(quota) ?? { bytes: 0, inodes: 0, reserved: 0 };
      charged.set(quota, {
        bytes: sum.bytes + bytes,
        inodes: sum.inodes + inodes,
        reserved: sum.reserved + reserved,
      });
    };
    for (const { key, value } of rows) {
      const tag = String.fromCharCode(key[5]!);
      if (tag === 'k') {
        const kind = String.fromCharCode(key[14]!);
        if (kind === 'I') {
          inodes++;
          const { attr } = tables.inodes.decode(value);
          allocated += attr.allocatedBytes;
          charge(attr.quota, attr.allocatedBytes, 1, 0);
        } else if (kind === 'B') {
          for (const { chunkId, length } of tables.blocks.decode(value).extents) {
            if (chunkId !== NO_CHUNK) live.set(chunkId, (live.get(chunkId) ?? 0) + length);
          }
        }
      } else if (tag === 'q') {
        quotas.set(Number(Buffer.from(key).readBigUInt64BE(6)), tables.quotas.decode(value));
      } else if (tag === 'v') {
        charge(Number(Buffer.from(key).readBigUInt64BE(14)), 0, 0, tables.quotaHolds.decode(value));
      } else if (tag === 'h') {
        const chunk = tables.chunks.decode(value);
        if (!chunk.dead) chunks.set(Number(Buffer.from(key).readBigUInt64BE(6)), chunk.liveBytes);
      }
    }
    for (const [quota, sum] of [...charged]) {
      for (let outer = quotas.get(quota)?.outer ?? 0; outer !== 0; outer = quotas.get(outer)?.outer ?? 0) {
        charge(outer, sum.bytes, sum.inodes, sum.reserved);
      }
    }
    charged.delete(0);
    for (const [quota, { usedBytes, usedInodes, reservedBytes }] of quotas) {
      const sum = charged.get(quota) ?? { bytes: 0, inodes: 0, reserved: 0 };
      expect({ quota, bytes: usedBytes, inodes: usedInodes, reserved: reservedBytes }).toEqual({ quota, ...sum });
    }
    expect([...charged.keys()].filter((quota) => !quotas.has(quota))).toEqual([]);
    expect(counters.usedInodes).toBe(inodes);
    expect(counters.usedBytes).toBe(allocated);
    expect([...chunks].sort()).toEqual([...live].sort());
  }

  async close(): Promise<void> {
    await this.metaserver.close();
  }
}

/** Takes all the space that an engine has. */
export async function fill(engine: KvEngine): Promise<void> {
  for (let bytes = 1 << 16, at = 0; bytes > 0; at++) {
    const puts = [{ key: Buffer.from(`fill-${at}`), value: Buffer.alloc(bytes) }];
    const batch = { puts, deletes: [], deleteRanges: [], guards: [] };
    await engine.commit(batch).catch(() => (bytes >>>= 1));
  }
}

/** A store that stays usable for the test when a slot closes it. */
function keptOpen(store: MemoryStore): ObjectStore {
  return {
    properties: store.properties,
    put: store.put.bind(store),
    get: store.get.bind(store),
    head: store.head.bind(store),
    delete: store.delete.bind(store),
    list: store.list.bind(store),
    close: () => Promise.resolve(),
  };
}

/** A session's stream as a test drives it. */
export class TestClient implements SessionConnection {
  readonly harness: Harness;
  readonly id: SessionId;
  readonly incarnation: number;
  ended: { reason: SessionEnd_Reason; message: string } | undefined;
  session: Session | undefined;
  readonly #waiting = new Map<bigint, (response: Response) => void>();
  #onAttached: (() => void) | undefined;
  #nextRequest = 1n;
  #nextOp = 1n;

  constructor(harness: Harness, id: SessionId, incarnation: number) {
    this.harness = harness;
    this.id = id;
    this.incarnation = incarnation;
    this.#nextOp = BigInt(incarnation) * 1_000_000n;
  }

  attach(opts: Partial<Attach> = {}): Promise<void> {
    return new Promise((resolve) => {
      this.#onAttached = resolve;
      const attach = { fsId: this.harness.info.id, sessionId: BigInt(this.id), opens: [], opensComplete: false };
      this.session = this.harness.slot.sessions.attach(this, { ...attach, ...opts, incarnation: this.incarnation });
    });
  }

  respond(requestId: bigint, body: Uint8Array): void {
    const resolve = this.#waiting.get(requestId);
    this.#waiting.delete(requestId);
    resolve?.(Response.decode(body));
  }

  attached(): void {
    this.#onAttached?.();
  }

  end(reason: SessionEnd_Reason, message: string): void {
    this.ended ??= { reason, message };
    this.#onAttached?.();
  }

  nextOpId(): OpId {
    return { kind: OpId_Kind.KIND_CLIENT, number: this.#nextOp++, step: 0 };
  }

  send(op: Operation, opId: OpId | undefined = this.nextOpId()): Promise<Response> {
    const requestId = this.#nextRequest++;
    const request: Request = { requestId, opId, op };
    return new Promise((resolve) => {
      this.#waiting.set(requestId, resolve);
      this.harness.slot.requests.handle(this, this.session!, request);
    });
  }

  /** The reply of an operation that succeeds. */
  async ok(op: Operation, opId?: OpId): Promise<Response> {
    const response = await this.send(op, opId);
    if (response.errno !== 0) throw new Error(`${op.$case}: ${errnoCode(response.errno)} ${response.message}`);
    return response;
  }

  async errno(op: Operation, opId?: OpId): Promise<ErrnoCode | 'OK'> {
    const { errno } = await this.send(op, opId);
    return errno === 0 ? 'OK' : errnoCode(errno);
  }

  release(ino: Ino, fh: number): void {
    this.harness.slot.requests.release(this, this.session!, [{ ino: BigInt(ino), fh: BigInt(fh) }]);
  }

  acknowledge(...opIds: OpId[]): void {
    this.harness.slot.requests.acknowledge(this.session!, opIds);
  }

  // ---- operations ----

  async create(parent: Ino, name: string, opts: Partial<CreateSpec> = {}): Promise<InodeAttr> {
    return first(await this.ok(createOp(parent, name, opts)));
  }

  mkdir(parent: Ino, name: string, mode = 0o755): Promise<InodeAttr> {
    return this.create(parent, name, { mode: S_IFDIR | mode });
  }

  async lookup(parent: Ino, name: string): Promise<InodeAttr> {
    return first(await this.ok(lookupOp(parent, name)));
  }

  async getattr(ino: Ino): Promise<InodeAttr> {
    return first(await this.ok({ $case: 'getattr', value: { ino: BigInt(ino) } }));
  }

  async setattr(ino: Ino, change: SetAttr): Promise<InodeAttr> {
    return first(await this.ok({ $case: 'setattr', value: setAttrToProto(ino, change) }));
  }

  async open(ino: Ino, fh: number): Promise<InodeAttr> {
    const spec = { fh: fh as Fh, write: true, truncate: false };
    return first(await this.ok({ $case: 'open', value: openToProto(ino, spec) }));
  }

  async commit(ino: Ino, spec: Partial<CommitSpec>): Promise<InodeAttr> {
    return first(await this.ok(commitOp(ino, spec)));
  }

  async names(ino: Ino): Promise<string[]> {
    const names: string[] = [];
    let after = 0n;
    for (;;) {
      const value = { ino: BigInt(ino), afterCookie: after, withAttrs: true };
      const { result } = await this.ok({ $case: 'readdir', value });
      if (result?.$case !== 'readdir') throw new Error('no entries');
      names.push(...result.value.entries.map((entry) => entry.name.toString()));
      if (result.value.end) return names.sort();
      after = result.value.entries.at(-1)!.cookie;
    }
  }
}

export function createOp(parent: Ino, name: string, opts: Partial<CreateSpec> = {}): Operation {
  const spec = { mode: S_IFREG | 0o644, uid: 10, gid: 20, mayKeepSgid: false, exclusive: true, ...opts };
  return { $case: 'create', value: createToProto(parent, Buffer.from(name), spec) };
}

export function lookupOp(parent: Ino, name: string): Operation {
  return { $case: 'lookup', value: { parent: BigInt(parent), name: Buffer.from(name) } };
}

export function unlinkOp(parent: Ino, name: string): Operation {
  return { $case: 'unlink', value: { parent: BigInt(parent), name: Buffer.from(name) } };
}

export function rmdirOp(parent: Ino, name: string): Operation {
  return { $case: 'rmdir', value: { parent: BigInt(parent), name: Buffer.from(name) } };
}

export function linkOp(ino: Ino, parent: Ino, name: string): Operation {
  return { $case: 'link', value: { ino: BigInt(ino), newParent: BigInt(parent), newName: Buffer.from(name) } };
}

export function renameOp(from: [Ino, string], to: [Ino, string], flags = 0): Operation {
  const ref = ([parent, name]: [Ino, string]) => ({ parent, name: Buffer.from(name) });
  return { $case: 'rename', value: renameToProto(ref(from), ref(to), flags, { uid: 0, gid: 0 }) };
}

export function commitOp(ino: Ino, spec: Partial<CommitSpec>): Operation {
  const full = {
    blocks: [],
    chunks: [],
    sizeAtLeast: undefined,
    mtime: undefined,
    truncEpoch: 0,
    timeEpoch: 0,
    killPriv: false,
    ...spec,
  };
  return { $case: 'commitExtents', value: commitToProto(ino, full) };
}

export function first(response: Response): InodeAttr {
  return attrFromProto(response.attrs[0]!);
}

export { ROOT_INO };
