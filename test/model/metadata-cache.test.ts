import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Clock } from '../../src/common/clock.js';
import { noMetrics } from '../../src/common/metrics.js';
import type { Request } from '../../src/gen/curvefs/v1/metaserver.js';
import { MetadataClient } from '../../src/meta/metadata-client.js';
import { ROOT_INO, type Ino } from '../../src/model/ids.js';
import { isDirectory, S_IFDIR, S_IFREG, type InodeAttr } from '../../src/model/inode.js';
import type { CreateSpec } from '../../src/model/operation.js';
import { ManualStream } from '../helpers/manual-stream.js';
import { MemoryMetadata } from '../helpers/memory-metadata.js';
import { MemoryNamespace } from '../helpers/memory-namespace.js';

const NAMES = ['a', 'b'].map((name) => Buffer.from(name));
const TIMEOUT_MS = 1000;
const RUNS = Number(process.env['CURVEFS_TEST_RUNS'] ?? 200);
const spec = (type: number): CreateSpec => ({
  mode: type | 0o755,
  uid: 0,
  gid: 0,
  mayKeepSgid: false,
  exclusive: true,
});

/** Directories and names by number, so that a step means something whatever came before; few of them, so that operations meet. */
type Step =
  | { who: 'own' | 'foreign'; do: 'create' | 'mkdir' | 'unlink' | 'rmdir'; dir: number; name: number }
  | { who: 'own' | 'foreign'; do: 'rename'; dir: number; name: number; toDir: number; toName: number; flags: number }
  | { who: 'own' | 'foreign'; do: 'link'; dir: number; name: number; toDir: number; toName: number }
  | { who: 'own' | 'foreign'; do: 'chmod'; dir: number; mode: number }
  | { who: 'own'; do: 'lookup'; dir: number; name: number }
  | { who: 'own'; do: 'getattr' | 'list'; dir: number }
  | { who: 'stream'; do: 'execute' | 'settle' }
  | { who: 'stream'; do: 'deliver'; which: number }
  | {
      who: 'race';
      question: 'lookup' | 'list';
      change: 'create' | 'mkdir' | 'unlink' | 'rmdir';
      dir: number;
      name: number;
    }
  | { who: 'time'; ms: number };

const n = fc.nat({ max: 1 });
const who = fc.constantFrom('own' as const, 'own' as const, 'own' as const, 'foreign' as const);
const aStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ who, do: fc.constantFrom('create', 'mkdir', 'unlink', 'rmdir'), dir: n, name: n }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      who,
      do: fc.constant('rename'),
      dir: n,
      name: n,
      toDir: n,
      toName: n,
      flags: fc.nat({ max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ who, do: fc.constant('link'), dir: n, name: n, toDir: n, toName: n }) },
  { weight: 1, arbitrary: fc.record({ who, do: fc.constant('chmod'), dir: n, mode: fc.nat({ max: 0o777 }) }) },
  { weight: 3, arbitrary: fc.record({ who: fc.constant('own'), do: fc.constant('lookup'), dir: n, name: n }) },
  { weight: 3, arbitrary: fc.record({ who: fc.constant('own'), do: fc.constantFrom('getattr', 'list'), dir: n }) },
  { weight: 5, arbitrary: fc.record({ who: fc.constant('stream'), do: fc.constantFrom('execute', 'settle') }) },
  // The server may answer a question before a change that waits for its disk: replies pass each other.
  {
    weight: 4,
    arbitrary: fc.record({ who: fc.constant('stream'), do: fc.constant('deliver'), which: fc.nat({ max: 2 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      who: fc.constant('race'),
      question: fc.constantFrom('lookup', 'list'),
      change: fc.constantFrom('create', 'mkdir', 'unlink', 'rmdir'),
      dir: n,
      name: n,
    }),
  },
  { weight: 4, arbitrary: fc.record({ who: fc.constant('time'), ms: fc.constantFrom(1, 600, 1001) }) },
);

interface Version<T> {
  readonly seq: number;
  readonly atMs: number;
  readonly value: T;
}

/** What was true on the server, and when; and what this client's own answered operations forbid it to forget. */
class History {
  readonly #names = new Map<string, Version<Ino | undefined>[]>();
  readonly #attrs = new Map<Ino, Version<InodeAttr | undefined>[]>();
  readonly #bounds = new Map<string, number>();
  seq = 0;

  record(namespace: MemoryNamespace, dirs: readonly Ino[], nowMs: number): void {
    this.seq++;
    const seen = new Set<Ino>(dirs);
    for (const dir of dirs) {
      for (const name of NAMES) {
        const ino = namespace.has(dir) ? namespace.lookup(dir, name)?.ino : undefined;
        if (ino !== undefined) seen.add(ino);
        this.#push(this.#names, `${dir}/${name.toString()}`, ino, (a, b) => a === b, nowMs);
      }
    }
    for (const ino of new Set([...seen, ...this.#attrs.keys()])) {
      const attr = namespace.has(ino) ? namespace.attr(ino) : undefined;
      this.#push(this.#attrs, ino, attr, (a, b) => a?.change === b?.change, nowMs);
    }
  }

  /** An own operation on a name, executed at `seq`, is answered: nothing older may be shown. */
  bound(key: string, seq: number): void {
    this.#bounds.set(key, Math.max(seq, this.#bounds.get(key) ?? 0));
  }

  /** Inodes that a name may be said to be now. */
  allowed(key: string, nowMs: number): (Ino | undefined)[] {
    const bound = this.#bounds.get(key) ?? 0;
    return this.#valid(this.#names.get(key) ?? [], bound, nowMs - TIMEOUT_MS).map(({ value }) => value);
  }

  /** Inodes that a name has been since `seq`. */
  since(key: string, seq: number): (Ino | undefined)[] {
    return this.#valid(this.#names.get(key) ?? [], seq, 0).map(({ value }) => value);
  }

  allowedAttrs(ino: Ino, nowMs: number): (InodeAttr | undefined)[] {
    return this.#valid(this.#attrs.get(ino) ?? [], 0, nowMs - TIMEOUT_MS).map(({ value }) => value);
  }

  /** Versions that held at some moment not before `seq` nor before `sinceMs`. */
  #valid<T>(versions: readonly Version<T>[], seq: number, sinceMs: number): readonly Version<T>[] {
    return versions.filter((_, i) => {
      const next = versions[i + 1];
      return next === undefined || (next.seq > seq && next.atMs >= sinceMs);
    });
  }

  #push<K, T>(map: Map<K, Version<T>[]>, key: K, value: T, same: (a: T, b: T) => boolean, atMs: number): void {
    let versions = map.get(key);
    if (versions === undefined) map.set(key, (versions = []));
    const last = versions.at(-1);
    if (last === undefined || !same(last.value, value)) versions.push({ seq: this.seq, atMs, value });
  }
}

/** Names that an operation of ours may change. */
function namesOf({ op }: Request): string[] {
  switch (op?.$case) {
    case 'create':
    case 'unlink':
    case 'rmdir':
      return [`${op.value.parent}/${op.value.name.toString()}`];
    case 'link':
      return [`${op.value.newParent}/${op.value.newName.toString()}`];
    case 'rename':
      return [`${op.value.parent}/${op.value.name.toString()}`, `${op.value.newParent}/${op.value.newName.toString()}`];
    default:
      return [];
  }
}

async function run(steps: readonly Step[]): Promise<void> {
  let nowMs = 1000;
  const namespace = new MemoryNamespace(undefined, () => BigInt(nowMs) * 1_000_000n);
  const foreign = new MemoryMetadata({ namespace, sessionId: 2 });
  const stream = new ManualStream(namespace, 2);
  const clock: Clock = { nowNs: () => 0n, monotonicMs: () => nowMs, sleep: () => Promise.resolve() };
  const chunkIds = { allocate: () => foreign.allocateChunkId() };
  const client = new MetadataClient(
    { session: stream, chunkIds, clock, metrics: noMetrics },
    { fs: foreign.fs, attrTimeoutSec: TIMEOUT_MS / 1000, entryTimeoutSec: TIMEOUT_MS / 1000, completeNamesMax: 30 },
  );
  const history = new History();
  const dirs: Ino[] = [ROOT_INO];
  const record = (): void => {
    for (const dir of [...dirs]) {
      if (!namespace.has(dir)) continue;
      for (const name of NAMES) {
        const attr = namespace.lookup(dir, name);
        if (attr !== undefined && isDirectory(attr.mode) && !dirs.includes(attr.ino)) dirs.push(attr.ino);
      }
    }
    history.record(namespace, dirs, nowMs);
  };
  const executedAt = new Map<bigint, number>();
  stream.onExecuted = (request) => {
    record();
    executedAt.set(request.requestId, history.seq);
  };
  const newestAnswered = new Map<Ino, number>();
  stream.onDelivered = (request, { errno, attrs }) => {
    if (errno !== 0) return;
    if (request.opId !== undefined) {
      for (const { ino, change } of attrs) {
        newestAnswered.set(Number(ino) as Ino, Math.max(Number(change), newestAnswered.get(Number(ino) as Ino) ?? 0));
      }
    }
    for (const key of namesOf(request)) history.bound(key, executedAt.get(request.requestId)!);
  };
  record();

  const dirOf = (index: number): Ino => dirs[index % dirs.length]!;
  const nameOf = (index: number): Buffer => NAMES[index % NAMES.length]!;
  const act = async (
    metadata: MetadataClient | MemoryMetadata,
    step: Step & { who: 'own' | 'foreign' },
  ): Promise<void> => {
    const dir = dirOf(step.dir);
    const ctx = { opId: metadata.clientOpId() };
    switch (step.do) {
      case 'create':
        return void (await metadata.create(ctx, dir, nameOf(step.name), spec(S_IFREG)));
      case 'mkdir':
        return void (await metadata.create(ctx, dir, nameOf(step.name), spec(S_IFDIR)));
      case 'unlink':
      case 'rmdir':
        return metadata[step.do](ctx, dir, nameOf(step.name));
      case 'rename': {
        const to = { parent: dirOf(step.toDir), name: nameOf(step.toName) };
        return metadata.rename(ctx, { parent: dir, name: nameOf(step.name) }, to, step.flags);
      }
      case 'link': {
        const ino = namespace.has(dir) ? namespace.lookup(dir, nameOf(step.name))?.ino : undefined;
        return void (await metadata.link(ctx, ino ?? dir, dirOf(step.toDir), nameOf(step.toName)));
      }
      case 'chmod':
        return void (await metadata.setattr(ctx, dir, { mode: step.mode }));
      case 'lookup':
        return void (await metadata.lookup(dir, nameOf(step.name)));
      case 'getattr':
        return void (await metadata.getattr(dir));
      case 'list':
        for (let cookie = 0; ;) {
          const bounds = new Map(
            NAMES.map((name) => [name.toString(), history.allowed(`${dir}/${name.toString()}`, nowMs)]),
          );
          const seq = history.seq;
          const page = await metadata.readdir(dir, cookie, true);
          for (const { name, ino } of page.entries) {
            // What was allowed when the page was asked for, or has come to be since.
            const since = history.since(`${dir}/${name.toString()}`, seq);
            expect([...bounds.get(Buffer.from(name).toString())!, ...since]).toContain(ino);
          }
          if (page.end) return;
          cookie = page.entries.at(-1)!.cookie;
        }
    }
  };

  /** Attributes that held within the time-out, and are not older than what a change of ours was answered with. */
  const checkAttr = (attr: InodeAttr): void => {
    const allowed = history.allowedAttrs(attr.ino, nowMs);
    if (!allowed.some((each) => each?.change === attr.change)) expect(allowed).toContainEqual(attr);
    const newest = newestAnswered.get(attr.ino) ?? 0;
    if (attr.change < newest) expect(attr.change).toBeGreaterThanOrEqual(newest);
  };
  const probe = (): void => {
    stream.muted = true;
    for (const dir of dirs) {
      for (const name of NAMES) {
        const found = client.lookup(dir, name);
        if (found instanceof Promise) continue;
        const allowed = history.allowed(`${dir}/${name.toString()}`, nowMs);
        if (!allowed.includes(found?.ino)) expect(allowed).toContain(found?.ino);
        if (found !== undefined) checkAttr(found);
      }
      const attr = client.getattr(dir);
      if (!(attr instanceof Promise)) checkAttr(attr);
    }
    stream.muted = false;
  };

  const failures: unknown[] = [];
  // Errno answers are the namespace's affair; only a broken expectation is a failure.
  const settled = (error: unknown): void => {
    if (!(error instanceof Error && error.name === 'FsError')) failures.push(error);
  };
  for (const step of steps) {
    if (step.who === 'time') {
      await stream.drain();
      nowMs += step.ms;
    } else if (step.who === 'race') {
      // A question is executed before a change of ours, and answered after it.
      await stream.drain();
      void act(client, { ...step, who: 'own', do: step.question }).catch(settled);
      void act(client, { ...step, who: 'own', do: step.change }).catch(settled);
      stream.execute();
      stream.execute();
      stream.deliver(1);
      probe();
      stream.deliver();
    } else if (step.who === 'stream') stream[step.do]('which' in step ? step.which : 0);
    else if (step.who === 'own') void act(client, step).catch(settled);
    else {
      await act(foreign, step).catch(settled);
      record();
    }
    await Promise.resolve();
    probe();
  }
  await stream.drain();
  probe();
  expect(failures).toEqual([]);
}

test('whatever the order of operations, executions, replies and foreign changes: a cached answer was true on the server within the time-out, and never older than our own answered changes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(aStep, { minLength: 10, maxLength: 80 }), (steps) => run(steps)),
    { numRuns: RUNS },
  );
}, 60_000);
