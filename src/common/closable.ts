/** Something with a life cycle: `close` is idempotent, and what it waits for is bounded by the implementation. */
export interface Closable {
  close(): Promise<void>;
}
