import type { Ino, SessionId } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';

const VERSIONS_MAX = 65_536;

interface Version {
  readonly change: number;
  readonly writerEpoch: number;
}

/**
 * Decides at open whether the kernel may keep the pages it has of a file: yes when nobody else can have changed the data since this mount's last open.
 * Own changes went through the kernel's cache, so that they do not count.
 */
export class OpenVersions {
  readonly #session: SessionId;
  /** INVARIANT: at most VERSIONS_MAX entries, least recently opened first. A missing entry costs the cached pages, never correctness. */
  readonly #versions = new Map<Ino, Version>();

  constructor(session: SessionId) {
    this.#session = session;
  }

  /** Takes note of an open with fresh attributes; true when cached pages are still right. */
  opened(attr: InodeAttr): boolean {
    const before = this.#versions.get(attr.ino);
    this.#versions.delete(attr.ino);
    this.#versions.set(attr.ino, { change: attr.change, writerEpoch: attr.writerEpoch });
    if (this.#versions.size > VERSIONS_MAX) this.#versions.delete(this.#versions.keys().next().value!);
    if (before === undefined) return false;
    // The epoch grows when the writer changes: while it stands and this session is the writer, nobody else wrote.
    if (before.writerEpoch !== attr.writerEpoch) return false;
    return before.change === attr.change || attr.lastWriter === this.#session;
  }

  /** True when nothing at all has changed since the last open, or lock. */
  isAt(attr: InodeAttr): boolean {
    return this.#versions.get(attr.ino)?.change === attr.change;
  }

  /**
   * True when another session was the last to change the data, and did so since this mount's last open, or lock: the size that the kernel remembers may be older. REQUIRES: asked
   * before {@link opened} takes note.
   */
  isForeign(attr: InodeAttr): boolean {
    return attr.lastWriter !== 0 && attr.lastWriter !== this.#session && !this.isAt(attr);
  }

  /** The kernel let go of the inode, and of its pages. */
  forget(ino: Ino): void {
    this.#versions.delete(ino);
  }
}
