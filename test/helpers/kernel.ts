import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from '@jest/globals';

/** The project's root. */
export const PROJECT_ROOT = join(import.meta.dirname, '..', '..');

/** Why real mounts cannot be made here, or undefined when they can. */
export function kernelTestsMissing(): string | undefined {
  if (!existsSync('/dev/fuse')) return '/dev/fuse is missing';
  if (process.getuid?.() !== 0) return 'not root';
  return undefined;
}

/** `describe` for tests that mount: skipped by name where that is impossible, unless `CURVEFS_REQUIRE_ALL=1`. */
export function describeKernel(name: string, body: () => void): void {
  const missing = kernelTestsMissing();
  if (missing === undefined || process.env['CURVEFS_REQUIRE_ALL'] === '1') describe(name, body);
  else describe.skip(`${name} (skipped: ${missing})`, body);
}

/** How a command ended. */
export interface RunResult {
  /** Exit status; undefined when a signal or the time-out ended it. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

/** A process that serves a mount, with what it prints. */
export class Daemon {
  readonly child: ChildProcess;
  readonly exited: Promise<number | undefined>;
  #output = '';
  #waiters: (() => void)[] = [];

  constructor(child: ChildProcess) {
    this.child = child;
    const collect = (text: string): void => {
      this.#output += text;
      this.#wake();
    };
    child.stdout?.setEncoding('utf8').on('data', collect);
    child.stderr?.setEncoding('utf8').on('data', collect);
    this.exited = new Promise((resolve) => {
      child.on('close', (code) => {
        resolve(code ?? undefined);
        this.#wake();
      });
    });
  }

  /** Everything printed so far, stdout and stderr. */
  get output(): string {
    return this.#output;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Waits until the output matches; rejects with the output when the process ends or the time is over before. */
  async waitFor(pattern: RegExp, timeoutMs = 15_000): Promise<RegExpExecArray> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(this.#output);
      if (match !== null) return match;
      const left = deadline - Date.now();
      if (left <= 0 || !this.running)
        throw new Error(`${this.running ? 'time-out' : 'process ended'} before ${String(pattern)}: ${this.#output}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 250));
        this.#waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  kill(signal: NodeJS.Signals): void {
    if (this.running) this.child.kill(signal);
  }

  /** Waits for the end, killing the process when the time is over. Resolves with its exit status. */
  async stopped(timeoutMs = 15_000): Promise<number | undefined> {
    const timer = setTimeout(() => {
      this.kill('SIGKILL');
    }, timeoutMs);
    const status = await this.exited;
    clearTimeout(timer);
    return status;
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}

export interface SpawnOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Descriptors 3 and up of the child. */
  readonly fds?: readonly number[];
}

/**
 * A private mount namespace and a scratch directory for one test file: mounts made in it are invisible outside and vanish with it, even
 * when a test fails. Nothing here touches a mount from the test process; commands run in the namespace, each with a time-out.
 *
 *     const box = await KernelSandbox.create();
 *     const daemon = box.spawn('node', ['dist/bin/…', box.path('mnt')]);
 *     await box.waitMounted(box.path('mnt'));
 *     const { stdout } = await box.run('ls -la mnt');
 *     await box.close();
 */
export class KernelSandbox {
  readonly dir: string;
  readonly #holder: ChildProcess;
  readonly #daemons: Daemon[] = [];

  private constructor(dir: string, holder: ChildProcess) {
    this.dir = dir;
    this.#holder = holder;
  }

  static async create(): Promise<KernelSandbox> {
    const dir = mkdtempSync(join(realpathSync(tmpdir()), 'curvefs-kernel-'));
    // `cat` keeps the namespace and ends with its stdin, so that it cannot outlive the test process.
    const holder = spawn('unshare', ['-m', '--propagation', 'private', 'sh', '-c', 'echo ready; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      cwd: '/',
    });
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => {
        resolve();
      });
      holder.once('error', reject);
      holder.once('exit', () => {
        reject(new Error('unshare -m failed'));
      });
    });
    return new KernelSandbox(dir, holder);
  }

  /** The process that keeps the namespace: `/proc/<pid>/mounts` is the namespace's table. */
  get pid(): number {
    return this.#holder.pid!;
  }

  /** An absolute path in the scratch directory. */
  path(...parts: string[]): string {
    return join(this.dir, ...parts);
  }

  /** Makes a directory in the scratch directory and returns its path. */
  mkdir(...parts: string[]): string {
    const path = this.path(...parts);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Starts a long-running process in the namespace. `close` kills it when it still runs. */
  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): Daemon {
    const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', ...(options.fds ?? [])];
    const child = spawn('nsenter', [...this.#enter(), command, ...args], {
      stdio,
      cwd: '/',
      env: { ...process.env, ...options.env },
    });
    const daemon = new Daemon(child);
    this.#daemons.push(daemon);
    return daemon;
  }

  /** Runs a shell command in the namespace, in the scratch directory; at the time-out it and its children are killed. */
  run(
    shell: string,
    options: { readonly timeoutMs?: number; readonly env?: NodeJS.ProcessEnv } = {},
  ): Promise<RunResult> {
    const script = `cd '${this.dir}' && { ${shell}\n}`;
    const child = spawn('nsenter', [...this.#enter(), 'bash', '-c', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
      detached: true, // a process group of its own, to kill as one
      env: { ...process.env, LC_ALL: 'C', ...options.env },
    });
    return new Promise((resolve, reject) => {
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      const timer = setTimeout(() => {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ status: undefined, stdout, stderr, timedOut: true });
      }, options.timeoutMs ?? 30_000);
      child.once('error', reject);
      child.once('close', (code) => {
        clearTimeout(timer);
        resolve({ status: code ?? undefined, stdout, stderr, timedOut: false });
      });
    });
  }

  /** As {@link run}; throws unless the command exits with 0. Returns its stdout. */
  async sh(
    shell: string,
    options: { readonly timeoutMs?: number; readonly env?: NodeJS.ProcessEnv } = {},
  ): Promise<string> {
    const result = await this.run(shell, options);
    if (result.status !== 0)
      throw new Error(
        `${shell}: ${result.timedOut ? 'time-out' : `status ${result.status}`}\n${result.stdout}${result.stderr}`,
      );
    return result.stdout;
  }

  /** True when something is mounted at exactly this path, in the namespace. Does not touch the mount. */
  isMounted(path: string): boolean {
    return readFileSync(`/proc/${this.#holder.pid}/mountinfo`, 'utf8')
      .split('\n')
      .some((line) => line.split(' ')[4] === path);
  }

  /** Waits until the path is a mountpoint (or, with `false`, is none any more). */
  async waitMounted(path: string, mounted = true, timeoutMs = 15_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (this.isMounted(path) !== mounted) {
      if (Date.now() > deadline)
        throw new Error(`${path} is ${mounted ? 'not' : 'still'} mounted after ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20)); // the kernel offers Node no event for this
    }
  }

  /** Unmounts, lazily when the plain way fails or hangs. */
  async unmount(path: string): Promise<void> {
    if (!this.isMounted(path)) return;
    const result = await this.run(`umount -i '${path}'`, { timeoutMs: 10_000 });
    if (result.status !== 0) await this.run(`umount -i -l '${path}'`, { timeoutMs: 5000 });
  }

  /** Ends every process started here, drops the namespace with its mounts, and removes the scratch directory. */
  async close(): Promise<void> {
    for (const daemon of this.#daemons) {
      daemon.kill('SIGKILL');
      await daemon.stopped(2000);
    }
    const gone = new Promise((resolve) => this.#holder.once('exit', resolve));
    this.#holder.stdin?.end();
    await gone;
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Arguments of nsenter that lead into the namespace. */
  #enter(): string[] {
    return ['-t', String(this.#holder.pid), '-m', '--'];
  }
}
