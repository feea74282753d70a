import type { OpenObjectStoreOptions } from '../../object/open-object-store.js';
import type { ObjectStorageSpec } from '../../object/storage-spec.js';
import type { PlainDataError } from '../data-error.js';
import type { GetRequest, PutRequest } from './chunk-transfer.js';

/** What a transfer thread is started with: everything it needs to open the object store itself. */
export interface TransferWorkerData {
  readonly storage: ObjectStorageSpec;
  readonly storeOptions: OpenObjectStoreOptions;
}

export type ToWorker =
  | { readonly kind: 'put'; readonly id: number; readonly request: PutRequest }
  | { readonly kind: 'get'; readonly id: number; readonly request: GetRequest }
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'close' };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** A metric that a thread counts for the process: declared once, then named by its index. */
export interface MetricDeclaration {
  readonly type: 'counter' | 'histogram';
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly buckets: readonly number[];
}

export type FromWorker =
  | { readonly kind: 'done'; readonly id: number; readonly payload: Uint8Array | undefined }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PlainDataError }
  | { readonly kind: 'cached'; readonly path: string; readonly bytes: number }
  | {
      readonly kind: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Record<string, unknown>;
    }
  | {
      readonly kind: 'metrics';
      readonly declared: readonly MetricDeclaration[];
      /** Pairs: metric index, value. */
      readonly events: readonly number[];
    }
  | { readonly kind: 'closed' };
