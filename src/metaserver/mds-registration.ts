import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { backoffMs } from '../common/backoff.js';
import type { Clock } from '../common/clock.js';
import type { Closable } from '../common/closable.js';
import { errorMessage } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import { MdsClient, type RegisterMetaserverReply } from '../gen/curvefs/v1/mds.js';
import { CHANNEL_OPTIONS } from '../wire/channel-options.js';
import { rpcErrorOf } from '../wire/grpc-error.js';

export interface MdsRegistrationDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly warnings: () => Promise<string[]>;
}

export interface MdsRegistrationOptions {
  readonly id: string;
  /** `host:port` at which mounts reach this metaserver. */
  readonly address: string;
  /** `host:port` of every MDS. */
  readonly mds: readonly string[];
}

const DEADLINE_MS = 2000;
const BACKOFF = { firstMs: 100, maxMs: 2000 };

/**
 * Makes a metaserver known to the MDS and keeps it so: registers, and again three times per TTL; with back-off while no MDS answers. Nothing else depends on it: a metaserver
 * serves its mounts while the MDS is away.
 */
export class MdsRegistration implements Closable {
  readonly #deps: MdsRegistrationDeps;
  readonly #opts: MdsRegistrationOptions;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #problem: string | undefined;

  constructor(deps: MdsRegistrationDeps, opts: MdsRegistrationOptions) {
    this.#deps = deps;
    this.#opts = opts;
    this.#loop = this.#run();
  }

  /** Why the MDS does not know us; undefined = it does. */
  get problem(): string | undefined {
    return this.#problem;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const stubs = this.#opts.mds.map((address) => ({
      address,
      stub: new MdsClient(address, credentials.createInsecure(), CHANNEL_OPTIONS),
    }));
    let failures = 0;
    for (let turn = 0; !signal.aborted;) {
      const { address, stub } = stubs[turn % stubs.length]!;
      let waitMs: number;
      try {
        const { ttlMs } = await this.#register(stub);
        if (failures > 0) this.#deps.logger.info('registered with the MDS', { mds: address });
        this.#problem = undefined;
        failures = 0;
        waitMs = ttlMs / 3;
      } catch (error) {
        if (signal.aborted) break;
        this.#problem = rpcErrorOf(error, `the MDS at ${address}`).message;
        if (failures === 0) this.#deps.logger.warn('not registered with the MDS', { reason: this.#problem });
        waitMs = backoffMs(failures++, BACKOFF);
        turn++;
      }
      await this.#deps.clock.sleep(waitMs, signal).catch(() => undefined);
    }
    for (const { stub } of stubs) stub.close();
  }

  async #register(stub: MdsClient): Promise<RegisterMetaserverReply> {
    const { id, address } = this.#opts;
    const warnings = await this.#deps.warnings().catch((error: unknown) => [errorMessage(error)]);
    return new Promise((resolve, reject) => {
      const call = stub.registerMetaserver(
        { id, address, warnings },
        new Metadata(),
        { deadline: Date.now() + DEADLINE_MS },
        (error: ServiceError | null, reply) => {
          this.#stop.signal.removeEventListener('abort', cancel);
          if (error === null) resolve(reply);
          else reject(error);
        },
      );
      const cancel = (): void => call.cancel();
      this.#stop.signal.addEventListener('abort', cancel, { once: true });
    });
  }
}
