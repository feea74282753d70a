import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { KernelSandbox, PROJECT_ROOT, type Daemon, type RunResult } from './kernel.js';
import type { TestStore } from './test-store.js';

export const CURVEFS = join(PROJECT_ROOT, 'tools', 'curvefs');
export const MOUNT_HELPER = join(PROJECT_ROOT, 'mount.curvefs');

const READY_MAX_MS = 30_000;
const MOUNT_MAX_MS = 30_000;
const UMOUNT_MAX_MS = 120_000;
const STOP_MAX_MS = 30_000;
const POLL_MS = 50;

export interface ClusterOptions {
  /** More flags of `curvefs standalone`. */
  readonly flags?: readonly string[];
  readonly credentialsFile?: string | undefined;
}

export interface MountOptions {
  /** Mountpoint, made when missing; by default `mnt` in the sandbox. */
  readonly at?: string;
  /** Cache directory; a fresh one for every mount by default. */
  readonly cacheDir?: string;
  /** More `-o` options. */
  readonly options?: string;
  /** Directory of the filesystem to mount. */
  readonly subdir?: string;
  readonly credentialsFile?: string | undefined;
}

/** A process of the sandbox's mount namespace. */
export interface SandboxProcess {
  readonly pid: number;
  readonly command: string;
}

/**
 * `curvefs standalone` and mounts in a private mount namespace, everything under one scratch directory: database, caches, logs and control sockets
 * (CURVEFS_RUN_DIR). The test process never touches a mount; commands run in the namespace with a time-out. `close` ends what is still there, by the
 * namespace: the daemons of mounts are nobody's children.
 *
 *     const cluster = await Cluster.start();
 *     await cluster.createFs('demo', fileStore(cluster.box.path('objects')));
 *     const mnt = await cluster.mount('demo');
 *     await cluster.box.sh(`echo hello > ${mnt}/file`);
 *     await cluster.umount(mnt);
 *     await cluster.close();
 */
export class Cluster {
  readonly box: KernelSandbox;
  readonly dataDir: string;
  readonly #namespace: string;
  readonly #flags: readonly string[];
  #service: Daemon | undefined;
  #address = '127.0.0.1:0';
  #caches = 0;

  private constructor(box: KernelSandbox, namespace: string, flags: readonly string[]) {
    this.box = box;
    this.#namespace = namespace;
    this.#flags = flags;
    this.dataDir = box.path('data');
  }

  static async start(opts: ClusterOptions = {}): Promise<Cluster> {
    const box = await KernelSandbox.create();
    try {
      const namespace = (await box.sh('readlink /proc/self/ns/mnt')).trim();
      const credentials = opts.credentialsFile === undefined ? [] : ['--credentials', opts.credentialsFile];
      const cluster = new Cluster(box, namespace, [...credentials, ...(opts.flags ?? [])]);
      await cluster.startService();
      return cluster;
    } catch (error) {
      await box.close();
      throw error;
    }
  }

  /** HOST:PORT of the MDS. */
  get address(): string {
    return this.#address;
  }

  get servicePid(): number | undefined {
    return this.#service?.child.pid;
  }

  /** What every process of ours is started with. */
  get env(): NodeJS.ProcessEnv {
    return { CURVEFS_RUN_DIR: this.box.path('run'), XDG_CACHE_HOME: this.box.path('home') };
  }

  /** Starts the service, at the address that it had before. */
  async startService(): Promise<void> {
    const log = this.box.path('service.log');
    const args = ['standalone', '--data-dir', this.dataDir, '--listen', this.#address, '--log', log, ...this.#flags];
    const service = this.box.spawn(CURVEFS, args, { env: this.env });
    this.#service = service;
    const [, address] = await service
      .waitFor(/^curvefs standalone ready on (\S+)$/m, READY_MAX_MS)
      .catch((error: unknown) => {
        throw new Error(`the service does not start: ${tail(log)}`, { cause: error });
      });
    this.#address = address!;
  }

  /** Ends the service; resolves with its exit code. */
  async stopService(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | undefined> {
    const service = this.#service;
    this.#service = undefined;
    service?.kill(signal);
    return service?.stopped(STOP_MAX_MS);
  }

  /** Runs the admin tool in the namespace. */
  curvefs(args: readonly string[], timeoutMs = 60_000): Promise<RunResult> {
    return this.box.run([CURVEFS, ...args].map(quote).join(' '), { timeoutMs, env: this.env });
  }

  async createFs(name: string, store: TestStore, flags: readonly string[] = []): Promise<void> {
    const credentials = store.credentialsFile === undefined ? [] : ['--credentials', store.credentialsFile];
    succeeded(
      await this.curvefs([
        ...['fs', 'create', name, '--mds', this.#address],
        ...[...store.createFlags(name), ...credentials, ...flags],
      ]),
    );
  }

  /** Mounts a filesystem and returns the mountpoint. */
  async mount(name: string, opts: MountOptions = {}): Promise<string> {
    const at = opts.at ?? this.box.path('mnt');
    await this.box.sh(`mkdir -p ${quote(at)}`);
    const result = await this.tryMount(name, { ...opts, at });
    if (result.status !== 0) throw new Error(`mount ${name}: ${describe(result)}`);
    return at;
  }

  /** As {@link mount}, for mounts that are expected to fail. */
  tryMount(name: string, opts: MountOptions & { readonly at: string }): Promise<RunResult> {
    const source = `${this.#address}:/${name}${opts.subdir === undefined ? '' : `/${opts.subdir}`}`;
    return this.curvefs(['mount', source, opts.at, '-o', this.mountOptions(opts)], MOUNT_MAX_MS);
  }

  /** The `-o` list of a mount: a cache directory of its own, the log in it, credentials. */
  mountOptions(opts: MountOptions = {}): string {
    const cacheDir = opts.cacheDir ?? this.newCacheDir();
    const list = [`cache_dir=${cacheDir}`];
    if (opts.credentialsFile !== undefined) list.push(`credentials=${opts.credentialsFile}`);
    if (opts.options !== undefined) list.push(opts.options);
    return list.join(',');
  }

  /** The path of a cache directory that does not exist yet. */
  newCacheDir(): string {
    this.#caches += 1;
    return this.box.path(`cache-${this.#caches}`);
  }

  /** `curvefs umount`: uploads everything, unmounts, and waits until the mount's processes are gone. */
  async umount(at = this.box.path('mnt')): Promise<void> {
    succeeded(await this.curvefs(['umount', at], UMOUNT_MAX_MS));
  }

  /** The processes of mounts that live in the namespace: supervisors and workers. */
  mountProcesses(): SandboxProcess[] {
    return this.#processes().filter(({ command }) => /\/bin\/(supervisor|worker)\.js/.test(command));
  }

  /** Waits until no supervisor or worker is left in the namespace. */
  async waitNoMountProcesses(timeoutMs = 15_000): Promise<void> {
    await waitFor(() => this.mountProcesses().length === 0, timeoutMs).catch(() => {
      throw new Error(`still there after ${timeoutMs} ms: ${JSON.stringify(this.mountProcesses())}`);
    });
  }

  /** Control sockets of mounts. */
  sockets(): string[] {
    try {
      return readdirSync(this.box.path('run'));
    } catch {
      return [];
    }
  }

  /** The last lines of all logs of mounts and of the service, for the message of a failure. */
  async logs(): Promise<string> {
    const { stdout } = await this.box.run('tail -n 20 service.log cache-*/mount.log 2>/dev/null');
    return stdout;
  }

  /** Ends everything, by force where it must be, and removes the scratch directory. Throws when something did not end by itself. */
  async close(): Promise<void> {
    const stuck: string[] = [];
    for (const at of this.#ownMounts()) {
      const result = await this.curvefs(['umount', at], STOP_MAX_MS);
      if (result.status !== 0) stuck.push(`umount ${at}: ${describe(result)}`);
    }
    const code = this.#service === undefined ? 0 : await this.stopService();
    if (code !== 0) stuck.push(`the service ended with ${code}`);
    for (const { pid, command } of this.mountProcesses()) {
      stuck.push(`left running: ${command}`);
      process.kill(pid, 'SIGKILL');
    }
    for (const at of this.#ownMounts()) await this.box.run(`umount -i -l ${quote(at)}`);
    const logs = stuck.length === 0 ? '' : await this.logs();
    await this.box.close();
    if (stuck.length > 0) throw new Error(`${stuck.join('\n')}\n${logs}`);
  }

  /** Mountpoints of type fuse.curvefs below the scratch directory, deepest first. */
  #ownMounts(): string[] {
    const table = readFileSync(`/proc/${this.box.pid}/mounts`, 'utf8').trim().split('\n');
    return table
      .map((line) => line.split(' '))
      .filter(([, at, type]) => type === 'fuse.curvefs' && at!.startsWith(this.box.dir))
      .map(([, at]) => at!.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))))
      .reverse();
  }

  #processes(): SandboxProcess[] {
    const found: SandboxProcess[] = [];
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      try {
        if (readlinkSync(`/proc/${entry}/ns/mnt`) !== this.#namespace) continue;
        const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        found.push({ pid: Number(entry), command });
      } catch {
        // it ended meanwhile
      }
    }
    return found;
  }
}

/** One word of a shell command. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Polls a condition for which nothing offers an event. */
export async function waitFor(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`the condition did not hold within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** How a command ended, in words. */
export function describe(result: RunResult): string {
  const end = result.timedOut ? 'time-out' : `exit code ${result.status}`;
  return `${end}: ${result.stdout}${result.stderr}`;
}

function succeeded(result: RunResult): void {
  if (result.status !== 0) throw new Error(describe(result));
}

function tail(path: string): string {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(-20).join('\n');
  } catch {
    return 'no log';
  }
}
