import { spawn, type StdioOptions } from 'node:child_process';
import { errorMessage } from '../../common/fs-error.js';

/** How a command ended. */
export interface CommandResult {
  /** Exit status; undefined when it was killed (by the time-out too) or did not start. */
  readonly status: number | undefined;
  /** One line: what it said on stderr, or why it did not run. */
  readonly message: string;
  readonly stdout: string;
  readonly timedOut: boolean;
}

export interface CommandOptions {
  readonly timeoutMs: number;
  /** Descriptors to pass on: the first becomes the child's 3, and so on. */
  readonly fds?: readonly number[];
  readonly env?: NodeJS.ProcessEnv;
}

const OUTPUT_MAX_BYTES = 64 * 1024;

/**
 * Runs a command that may hang on a mount: in `/`, with no descriptor but those named, killed after a time. A child that is stuck in the
 * kernel cannot be killed; the result comes at the time-out all the same.
 */
export function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  return new Promise((resolve) => {
    const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', ...(options.fds ?? [])];
    const child = spawn(command, args, { stdio, cwd: '/', env: options.env ?? process.env });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < OUTPUT_MAX_BYTES) stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < OUTPUT_MAX_BYTES) stderr += text;
    });
    const finish = (status: number | undefined, message: string, timedOut: boolean): void => {
      clearTimeout(timer);
      resolve({ status, message, stdout, timedOut });
    };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      finish(undefined, `${command} did not finish in ${options.timeoutMs} ms`, true);
    }, options.timeoutMs);
    child.on('error', (error) => {
      finish(undefined, `${command}: ${errorMessage(error)}`, false);
    });
    child.on('close', (code, signal) => {
      const said = stderr.trim().replaceAll('\n', '; ');
      finish(code ?? undefined, said === '' ? `${command}: ${signal ?? `exit status ${code}`}` : said, false);
    });
  });
}
