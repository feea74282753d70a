import type { Clock } from '../../common/clock.js';
import type { Logger } from '../../common/logger.js';
import type { Attach } from '../../gen/curvefs/v1/metaserver.js';
import type { Fh, Ino, SessionId } from '../../model/ids.js';
import { inoFromProto } from '../../wire/attr.js';
import { safeNumber } from '../../wire/safe-number.js';
import { dropInSteps, type DropDeps } from '../drop-in-steps.js';
import { firstOfKey, secondOfKey } from '../keys.js';
import { freeOrphan, registerOpen, releaseOpen } from '../operations/open.js';
import type { OpTransaction } from '../operations/op-transaction.js';
import type { SlotServices } from '../slot-services.js';

/** Opens that one transaction of the background drops. */
const DROP_OPENS = 64;

/**
 * Keeps open files in step with the sessions that have them open. What an ended session had open is dropped in the background. Opens are acknowledged before they are durable, so after
 * a start some may be missing until every live session has attached again and named them (or a TTL has passed): until then what is unlinked is kept.
 */
export class OpenKeeper {
  readonly #slot: SlotServices;
  readonly #clock: Clock;
  readonly #deps: DropDeps;
  /** Live sessions that have not attached since the start. INVARIANT: empty once `#graceUntilMs` has passed. */
  readonly #awaited = new Set<SessionId>();
  #graceUntilMs = 0;
  readonly #closing = new AbortController();

  constructor(deps: { readonly slot: SlotServices; readonly clock: Clock; readonly logger: Logger }) {
    this.#slot = deps.slot;
    this.#clock = deps.clock;
    this.#deps = deps;
  }

  /** Opens may be missing. */
  get incomplete(): boolean {
    return this.#awaited.size > 0;
  }

  /** At start, with the live sessions: reads what is stored, drops what ended sessions left. REQUIRES: nothing is in the overlay. */
  async start(live: readonly SessionId[], graceMs: number): Promise<void> {
    const { opens, tables, keys } = this.#slot;
    await this.#slot.scan(tables.opens, keys.opens(), (key, ino: Ino) =>
      opens.add(firstOfKey(key) as SessionId, secondOfKey(key) as Fh, ino),
    );
    await this.#loadOrphans();
    for (const id of live) this.#awaited.add(id);
    this.#graceUntilMs = this.#clock.monotonicMs() + graceMs;
    if (this.#awaited.size === 0) this.#freeOrphans();
    for (const id of opens.sessions()) if (!this.#awaited.has(id)) void this.drop(id);
  }

  /**
   * After a batch failed. Opens and releases were acknowledged before they were durable, so those in memory are right, and the rows are brought in step with them.
   * (An open that failed together with a truncation stays registered until the session ends: it only keeps a file alive.) REQUIRES: nothing is in the overlay.
   */
  async reload(): Promise<void> {
    const { opens, tables, keys } = this.#slot;
    await this.#loadOrphans();
    const stored = new Set<string>();
    const released: string[] = [];
    await this.#slot.scan(tables.opens, keys.opens(), (key) => {
      stored.add(key);
      if (opens.inoOf(firstOfKey(key) as SessionId, secondOfKey(key) as Fh) === undefined) released.push(key);
    });
    this.#slot.inBackground((op) => {
      for (const key of released) op.tx.delete(tables.opens, key);
      return Promise.resolve();
    });
    // what a lost release would have freed
    if (!this.incomplete) this.#freeOrphans();
    for (const session of opens.sessions()) {
      for (const [fh, ino] of opens.of(session)) {
        const key = keys.open(session, fh);
        if (stored.has(key)) continue;
        this.#slot.inBackground(async (op) => {
          if (opens.inoOf(session, fh) !== ino) return;
          if ((await op.inode(ino)) === undefined) op.tx.onApply(() => opens.remove(session, fh));
          else op.tx.put(tables.opens, key, ino);
        });
      }
    }
  }

  /** Registers the opens that an attaching worker names; when it names all, the others are dropped. */
  async take(op: OpTransaction, attach: Attach): Promise<void> {
    const { opens } = this.#slot;
    const named = new Set<Fh>();
    for (const open of attach.opens) {
      const fh = safeNumber(open.fh, 'attach.opens.fh') as Fh;
      const ino = inoFromProto(open.ino, 'attach.opens.ino');
      named.add(fh);
      const known = opens.inoOf(op.session, fh);
      if (known !== ino && (await op.inode(ino)) !== undefined) {
        if (known !== undefined) await releaseOpen(op, op.session, fh);
        registerOpen(op, op.session, fh, ino);
      }
    }
    if (!attach.opensComplete) return;
    for (const fh of opens.of(op.session).keys()) if (!named.has(fh)) await releaseOpen(op, op.session, fh);
  }

  /** A session has attached, or is over: nothing more is to be heard of its opens. */
  settled(id: SessionId): void {
    if (this.#awaited.delete(id) && this.#awaited.size === 0) this.#freeOrphans();
  }

  /** Waits no longer for sessions that have not attached in time. */
  checkGrace(): void {
    if (this.#awaited.size === 0 || this.#clock.monotonicMs() < this.#graceUntilMs) return;
    this.#awaited.clear();
    this.#freeOrphans();
  }

  /** Frees what was kept for a moment after its last name went. */
  freeLingering(nowMs: number): void {
    const { opens } = this.#slot;
    for (const [ino, untilMs] of opens.lingering) {
      if (untilMs > nowMs) break;
      this.#slot.inBackground(async (op) => {
        if (opens.lingering.has(ino) && opens.count(ino) === 0) await freeOrphan(op, ino);
      });
    }
  }

  /** Releases everything that an ended session had open, in bounded steps; what is left after a crash is dropped at the next start. */
  drop(id: SessionId): Promise<void> {
    const { opens } = this.#slot;
    const step = async (op: OpTransaction): Promise<void> => {
      let left = DROP_OPENS;
      for (const fh of opens.of(id).keys()) {
        if (left-- === 0) break;
        await releaseOpen(op, id, fh);
      }
    };
    const left = { what: 'opens', session: id, count: () => opens.of(id).size, step };
    return dropInSteps(this.#deps, left, this.#closing.signal);
  }

  close(): void {
    this.#closing.abort();
  }

  async #loadOrphans(): Promise<void> {
    const { opens, tables, keys } = this.#slot;
    opens.clearOrphans();
    await this.#slot.scan(tables.orphans, keys.orphans(), (key) => opens.orphans.add(firstOfKey(key) as Ino));
  }

  /** All opens are known: what was kept only because they were not is freed. */
  #freeOrphans(): void {
    const { opens } = this.#slot;
    for (const ino of opens.orphans) {
      this.#slot.inBackground(async (op) => {
        if (opens.orphans.has(ino) && opens.count(ino) === 0) await freeOrphan(op, ino);
      });
    }
  }
}
