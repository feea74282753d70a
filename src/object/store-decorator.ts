import type { ByteRange, ObjectInfo, ObjectStore, ObjectStoreProperties, PutCondition } from './object-store.js';

/** The operations of an {@link ObjectStore}, as metrics and faults name them. */
export const STORE_OPERATIONS = ['put', 'get', 'head', 'delete', 'list'] as const;
export type StoreOperation = (typeof STORE_OPERATIONS)[number];

/** One call on its way to the inner store. */
export interface StoreCall<T> {
  readonly op: StoreOperation;
  /** The key, the first of several, or the listed prefix: for messages. */
  readonly key: string;
  readonly signal: AbortSignal | undefined;
  /** Performs it on the inner store; may be called again (all operations may be repeated). */
  readonly send: (signal: AbortSignal | undefined) => Promise<T>;
}

/** A store around a store: a subclass says in `around` what happens about every call. */
export abstract class StoreDecorator implements ObjectStore {
  protected readonly inner: ObjectStore;

  constructor(inner: ObjectStore) {
    this.inner = inner;
  }

  get properties(): ObjectStoreProperties {
    return this.inner.properties;
  }

  put(key: string, body: Uint8Array, signal?: AbortSignal, condition?: PutCondition): Promise<void> {
    return this.around({ op: 'put', key, signal, send: (s) => this.inner.put(key, body, s, condition) });
  }

  get(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    return this.around({ op: 'get', key, signal, send: (s) => this.inner.get(key, range, s) });
  }

  /** Not a request: nothing to repeat, to limit or to wait for. */
  getNow(key: string, offset: number, into: Buffer): number | undefined {
    return this.inner.getNow?.(key, offset, into);
  }

  head(key: string, signal?: AbortSignal): Promise<number> {
    return this.around({ op: 'head', key, signal, send: (s) => this.inner.head(key, s) });
  }

  delete(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    return this.around({ op: 'delete', key: keys[0] ?? '', signal, send: (s) => this.inner.delete(keys, s) });
  }

  list(prefix: string, after: string, limit: number, signal?: AbortSignal): Promise<readonly ObjectInfo[]> {
    return this.around({ op: 'list', key: prefix, signal, send: (s) => this.inner.list(prefix, after, limit, s) });
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  protected abstract around<T>(call: StoreCall<T>): Promise<T>;
}
