import type { OpId } from '../gen/curvefs/v1/common.js';
import type { Release } from '../gen/curvefs/v1/metaserver.js';

interface Batch {
  /** A reply to this request or a later one proves that the server has read the batch. */
  readonly mark: bigint;
  readonly acks: OpId[];
  readonly releases: Release[];
}

/**
 * Acks and releases on their way to the server. They have no replies of their own, and a stream that breaks takes them with it: each is kept until a reply to a request
 * sent with or after it proves that it was read, and sent again on the next stream otherwise. Repeating them is harmless: op ids and handles are never used again.
 */
export class DeliveryLog {
  #acks: OpId[] = [];
  #releases: Release[] = [];
  /** Sent on this stream, oldest first; marks ascend. */
  #sent: Batch[] = [];

  /** How many wait to be sent. */
  get unsent(): number {
    return this.#acks.length + this.#releases.length;
  }

  ack(opId: OpId): void {
    this.#acks.push(opId);
  }

  release(release: Release): void {
    this.#releases.push(release);
  }

  /** What goes with a frame whose first request (or the next one to come) is `mark`. */
  take(mark: bigint): { readonly acks: OpId[]; readonly releases: Release[] } {
    const batch = { mark, acks: this.#acks, releases: this.#releases };
    if (this.unsent > 0) {
      this.#sent.push(batch);
      this.#acks = [];
      this.#releases = [];
    }
    return batch;
  }

  /** The reply to a request has arrived. */
  confirm(requestId: bigint): void {
    let done = 0;
    while (done < this.#sent.length && this.#sent[done]!.mark <= requestId) done++;
    if (done > 0) this.#sent.splice(0, done);
  }

  /** The stream broke: what is not confirmed goes out again. */
  restart(): void {
    this.#acks = [...this.#sent.flatMap(({ acks }) => acks), ...this.#acks];
    this.#releases = [...this.#sent.flatMap(({ releases }) => releases), ...this.#releases];
    this.#sent = [];
  }
}
