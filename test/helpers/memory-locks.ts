import { FsError } from '../../src/common/fs-error.js';
import type { Ino, SessionId } from '../../src/model/ids.js';
import { setRange, type LockKind, type LockQuery, type LockRange, type LockSpec } from '../../src/model/lock.js';
import { LockSet } from '../../src/model/lock-set.js';

/** Advisory locks in memory, for test doubles: no fairness, no deadlock detection, no limits. */
export class MemoryLocks {
  readonly #sets = new Map<string, LockSet<string>>();
  readonly #waiting = new Map<string, { readonly retry: () => void; readonly cancel: () => void }>();

  /** `op` names the request, for {@link cancel}. */
  async set(session: SessionId, op: string, ino: Ino, spec: LockSpec): Promise<void> {
    const owner = `${session}/${spec.owner}`;
    const set = this.#of(ino, spec.kind);
    const apply = (type: LockSpec['type']): void => {
      set.put(owner, setRange(set.of(owner), spec, type, spec.pid));
      for (const { retry } of [...this.#waiting.values()]) retry();
    };
    const { type } = spec;
    if (type === undefined) return apply(undefined);
    const isFree = (): boolean => set.firstConflict(owner, { ...spec, type }) === undefined;
    if (isFree()) return apply(type);
    if (spec.kind === 'flock') apply(undefined);
    if (!spec.wait) throw new FsError('EAGAIN');
    await new Promise<void>((resolve, reject) => {
      const done = (end: () => void): void => {
        this.#waiting.delete(op);
        end();
      };
      this.#waiting.set(op, {
        retry: () => {
          if (!isFree()) return;
          done(resolve);
          apply(type);
        },
        cancel: () => done(() => reject(new FsError('EINTR'))),
      });
    });
  }

  get(session: SessionId, ino: Ino, query: LockQuery): LockRange | undefined {
    const found = this.#of(ino, query.kind).firstConflict(`${session}/${query.owner}`, query);
    return found && (found.owner.startsWith(`${session}/`) ? found.range : { ...found.range, pid: 0 });
  }

  cancel(op: string): void {
    this.#waiting.get(op)?.cancel();
  }

  #of(ino: Ino, kind: LockKind): LockSet<string> {
    const key = `${kind}/${ino}`;
    let set = this.#sets.get(key);
    if (set === undefined) this.#sets.set(key, (set = new LockSet()));
    return set;
  }
}
