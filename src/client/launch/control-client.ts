import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { errorMessage, nodeErrorCode } from '../../common/fs-error.js';
import { CONTROL_VERSION, type ControlReply, type ControlRequest } from './control-protocol.js';
import { MountError } from './mount-error.js';

type Request = ControlRequest extends infer R
  ? R extends { readonly version: number }
    ? Omit<R, 'version'>
    : never
  : never;

/** Nobody listens: the daemon is gone, or never was. */
export class NoDaemonError extends Error {
  override readonly name = 'NoDaemonError';
}

/**
 * Asks a mount's supervisor and returns its last reply. Rejects with {@link NoDaemonError} when nobody listens, with a {@link MountError} when the
 * connection ends early or nothing is heard for `silenceMs` (progress counts as sign of life).
 */
export function askSupervisor(
  path: string,
  request: Request,
  options: { readonly silenceMs: number; readonly progress?: (message: string) => void },
): Promise<ControlReply> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.setTimeout(options.silenceMs, () => {
      socket.destroy(new Error(`no answer within ${options.silenceMs / 1000} s`));
    });
    socket.on('connect', () => socket.write(`${JSON.stringify({ version: CONTROL_VERSION, ...request })}\n`));
    socket.on('error', (error) => {
      const code = nodeErrorCode(error);
      if (code === 'ENOENT' || code === 'ECONNREFUSED') reject(new NoDaemonError(`no daemon at ${path}`));
      else reject(new MountError(2, `the mount's daemon: ${errorMessage(error)}`, { cause: error }));
    });
    socket.on('close', () => reject(new MountError(2, "the mount's daemon closed the connection without a result")));
    createInterface({ input: socket })
      .on('line', (line) => {
        const reply = JSON.parse(line) as ControlReply;
        if (reply.type === 'progress') {
          options.progress?.(reply.message);
          return;
        }
        resolve(reply);
        socket.end();
      })
      .on('error', () => undefined); // the socket's own handler tells it
  });
}
