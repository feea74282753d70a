import { runCommand } from '../../fuse/mount/run-command.js';
import { childEnv } from './program.js';

/** What a path is, as a child process found it. */
export type PathProbe =
  | { readonly kind: 'found'; readonly realPath: string; readonly directory: boolean }
  /** Node's error code, e.g. ENOENT; ENOTCONN is a dead FUSE mount. */
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  /** Nothing came back in time: a mount whose daemon does not answer. */
  | { readonly kind: 'hung' };

const SCRIPT = `
  const fs = require('node:fs');
  const say = (probe) => process.stdout.write(JSON.stringify(probe));
  try {
    const realPath = fs.realpathSync.native(process.argv[1]);
    say({ kind: 'found', realPath, directory: fs.statSync(realPath).isDirectory() });
  } catch (error) {
    say({ kind: 'failed', code: String(error.code), message: error.message });
  }`;

/** stat(2) and realpath(3) in a child: a mount that hangs blocks the child, not us. */
export async function probePath(path: string, timeoutMs: number): Promise<PathProbe> {
  const result = await runCommand(process.execPath, ['-e', SCRIPT, '--', path], {
    timeoutMs,
    env: childEnv(process.env),
  });
  if (result.timedOut) return { kind: 'hung' };
  if (result.stdout === '') return { kind: 'failed', code: 'EIO', message: result.message };
  return JSON.parse(result.stdout) as PathProbe;
}
