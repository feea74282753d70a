import {
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Closable } from '../common/closable.js';
import { errorMessage } from '../common/fs-error.js';
import { CHANNEL_OPTIONS } from './channel-options.js';
import { RpcError } from './rpc-error.js';

const CLOSE_DEADLINE_MS = 2000;

/** A gRPC server on one address for one or more services, so that `standalone` serves both of its roles on one port. */
export class GrpcHost implements Closable {
  readonly #server = new Server(CHANNEL_OPTIONS);
  /** Resolves with `host:port` once it listens. */
  readonly listening: Promise<string>;
  #onListening!: (address: string) => void;
  #closed: Promise<void> | undefined;

  constructor() {
    this.listening = new Promise((resolve) => (this.#onListening = resolve));
    // It would write to stderr what is also an error here, past the log and before the one line that says why.
    setLogVerbosity(logVerbosity.NONE);
  }

  addService(definition: ServiceDefinition, handlers: UntypedServiceImplementation): void {
    this.#server.addService(definition, handlers);
  }

  /** Binds `host:port` (port 0 = any free one) and returns the address with the port that it got. */
  listen(address: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
        if (error !== null) {
          const reason = error.message.includes('EADDRINUSE') ? 'the address is in use' : errorMessage(error);
          reject(new RpcError('unavailable', `cannot listen on ${address}: ${reason}`, { cause: error }));
          return;
        }
        const bound = `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
        this.#onListening(bound);
        resolve(bound);
      });
    });
  }

  /** Lets calls under way end, for at most two seconds. */
  close(): Promise<void> {
    return (this.#closed ??= new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#server.forceShutdown();
        resolve();
      }, CLOSE_DEADLINE_MS);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    }));
  }
}
