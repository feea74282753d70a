import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Daemon, KernelSandbox, PROJECT_ROOT, type RunResult } from './kernel.js';
import { fileStore, type TestStore } from './test-store.js';

/** The built programs. */
const DIST = process.env['CURVEFS_TEST_DIST'] ?? join(PROJECT_ROOT, 'dist');
export const CURVEFS = `'${process.execPath}' --enable-source-maps '${join(DIST, 'bin', 'curvefs.js')}'`;

export interface ClusterOptions {
  /** More flags of `fs create`, for the filesystem that every cluster has. */
  readonly fsOptions?: string;
  /** More flags of the service. */
  readonly serviceFlags?: readonly string[];
  /** Makes the store that filesystems go on, a `file://` store when it is not given; `dir` is the sandbox's. */
  readonly openStore?: (dir: string) => Promise<TestStore>;
}

/** A process of the sandbox's mount namespace. */
export interface SandboxProcess {
  readonly pid: number;
  readonly command: string;
}

export interface MountOptions {
  /** `-o` list beside cache_dir. */
  readonly options?: string;
  /** Below the filesystem's root. */
  readonly subdir?: string;
  /** Another filesystem than the one that every cluster has. */
  readonly fsName?: string;
  /** Directory of journal and block cache in the sandbox; one of the mountpoint's own when it is not given. */
  readonly cacheDir?: string;
}

/**
 * A service and its mounts for one test file, in a mount namespace of its own: `curvefs standalone` on free ports, a filesystem on a `file://` store, and any number of
 * mounts of it. Another store can be given. The test process never touches a mount. `close` ends everything, whatever state the tests left.
 */
export class Cluster {
  readonly box: KernelSandbox;
  readonly fsName = 'test';
  readonly store: TestStore;
  #service: Daemon;
  #address: string;
  readonly #serviceFlags: readonly string[];
  readonly #mountpoints = new Set<string>();
  readonly #logs = new Set<string>();

  private constructor(
    box: KernelSandbox,
    store: TestStore,
    service: Daemon,
    address: string,
    serviceFlags: readonly string[],
  ) {
    this.box = box;
    this.store = store;
    this.#service = service;
    this.#address = address;
    this.#serviceFlags = serviceFlags;
  }

  static async create(options: ClusterOptions = {}): Promise<Cluster> {
    const { serviceFlags = [] } = options;
    const box = await KernelSandbox.create();
    let store: TestStore | undefined;
    try {
      store = (await options.openStore?.(box.dir)) ?? fileStore(box.path('store'));
      const service = startService(box, '127.0.0.1:0', store, serviceFlags);
      const address = (await service.waitFor(/ready on (\S+)/, 30_000))[1]!;
      const cluster = new Cluster(box, store, service, address, serviceFlags);
      await cluster.createFs(cluster.fsName, options.fsOptions);
      return cluster;
    } catch (error) {
      await store?.stop();
      await box.close();
      throw error;
    }
  }

  /** HOST:PORT of the MDS. */
  get address(): string {
    return this.#address;
  }

  source(subdir = '', fsName = this.fsName): string {
    return `${this.#address}:/${fsName}${subdir === '' ? '' : `/${subdir}`}`;
  }

  /** Creates a filesystem whose objects lie under its name in the store; throws with the reason. */
  async createFs(name: string, flags = ''): Promise<void> {
    const args = [...this.store.createFlags(name), ...credentialsFlags(this.store)].join(' ');
    const result = await this.curvefs(`fs create ${name} --mds ${this.#address} ${args} ${flags}`);
    if (result.status !== 0) throw new Error(`fs create: ${result.status}: ${result.stderr}`);
  }

  /** Where a mount keeps journal and block cache. */
  cacheDir(name: string): string {
    return this.box.path('cache', name);
  }

  /** Mounts at `name` in the sandbox; returns how the command ended. */
  async tryMount(name: string, options: MountOptions = {}): Promise<RunResult> {
    const mountpoint = this.box.mkdir(name);
    const cacheDir = options.cacheDir ?? this.cacheDir(basename(name));
    mkdirSync(cacheDir, { recursive: true });
    this.#mountpoints.add(mountpoint);
    this.#logs.add(join(cacheDir, 'mount.log'));
    const list = [
      `cache_dir=${cacheDir}`,
      'mount_timeout=30s',
      ...(this.store.credentialsFile === undefined ? [] : [`credentials=${this.store.credentialsFile}`]),
      ...(options.options === undefined ? [] : [options.options]),
    ];
    return this.curvefs(
      `mount '${this.source(options.subdir, options.fsName)}' '${mountpoint}' -o '${list.join(',')}'`,
    );
  }

  /** Mounts, or throws with what the command and the log say. */
  async mount(name: string, options: MountOptions = {}): Promise<void> {
    const result = await this.tryMount(name, options);
    if (result.status === 0) return;
    throw new Error(`mount: ${result.timedOut ? 'time-out' : result.status}: ${result.stderr}\n${this.log(name)}`);
  }

  /** Drains and unmounts; throws with the reason. */
  async umount(name: string, flags = ''): Promise<void> {
    const result = await this.curvefs(`umount ${flags} '${this.box.path(name)}'`, 60_000);
    if (result.status !== 0) throw new Error(`umount: ${result.status}: ${result.stderr}\n${this.log(name)}`);
  }

  /** The tool, in the sandbox. */
  curvefs(args: string, timeoutMs = 45_000): Promise<RunResult> {
    return this.box.run(`${CURVEFS} ${args}`, { timeoutMs, env: { CURVEFS_RUN_DIR: this.box.path('run') } });
  }

  /** The last lines of a mount's log. */
  log(name: string, lines = 30): string {
    const path = join(this.cacheDir(basename(name)), 'mount.log');
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(-lines).join('\n') : '(no log)';
  }

  /** Pid of the latest process of the mount whose log lines name this module. */
  pidOf(name: string, module: 'supervisor' | 'worker'): number {
    const path = join(this.cacheDir(basename(name)), 'mount.log');
    const pids = pidsIn(path, (line) => String(line['module']).startsWith(module));
    const pid = pids.at(-1);
    if (pid === undefined) throw new Error(`no ${module} in ${path}`);
    return pid;
  }

  /** Ends the service as a crash would, and starts it again on the same address. */
  async restartService(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.stopService(signal);
    this.#service = startService(this.box, this.#address, this.store, this.#serviceFlags);
    await this.#service.waitFor(/ready on (\S+)/, 30_000);
  }

  /** Freezes the service, or lets it go on. */
  signalService(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#service.kill(signal);
  }

  /** Ends the service; resolves with its exit code. */
  stopService(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | undefined> {
    this.#service.kill(signal);
    return this.#service.stopped();
  }

  /** The supervisors and workers that are there, whatever the logs say. */
  mountProcesses(): SandboxProcess[] {
    const namespace = readlinkSync(`/proc/${this.box.pid}/ns/mnt`);
    const found: SandboxProcess[] = [];
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        if (readlinkSync(`/proc/${pid}/ns/mnt`) !== namespace) continue;
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
        if (/bin\/(supervisor|worker)\.js/.test(command)) found.push({ pid: Number(pid), command });
      } catch {
        // It has ended meanwhile.
      }
    }
    return found;
  }

  /** Waits until no process of a mount is left, nor any control socket. */
  async waitNothingLeft(timeoutMs = 15_000): Promise<void> {
    const run = this.box.path('run');
    const left = (): readonly unknown[] => [...this.mountProcesses(), ...(existsSync(run) ? readdirSync(run) : [])];
    await waitFor(() => left().length === 0, timeoutMs).catch(() => {
      throw new Error(`left behind after ${timeoutMs} ms: ${JSON.stringify(left())}`);
    });
  }

  async close(): Promise<void> {
    for (const mountpoint of this.#mountpoints) {
      if (this.box.isMounted(mountpoint)) await this.curvefs(`umount --lazy --timeout 0 '${mountpoint}'`, 20_000);
      await this.box.unmount(mountpoint);
    }
    for (const log of this.#logs) for (const pid of pidsIn(log, () => true)) killOurs(pid);
    for (const { pid } of this.mountProcesses()) killOurs(pid);
    await this.box.close();
    await this.store.stop();
  }
}

function startService(box: KernelSandbox, listen: string, store: TestStore, flags: readonly string[]): Daemon {
  const args = ['standalone', '--data-dir', box.path('service'), '--listen', listen, '--metrics', '127.0.0.1:0'];
  args.push(...credentialsFlags(store), ...flags);
  return box.spawn(process.execPath, ['--enable-source-maps', join(DIST, 'bin', 'curvefs.js'), ...args]);
}

function pidsIn(log: string, wanted: (line: Readonly<Record<string, unknown>>) => boolean): number[] {
  if (!existsSync(log)) return [];
  const pids: number[] = [];
  for (const text of readFileSync(log, 'utf8').split('\n')) {
    if (!text.startsWith('{')) continue;
    const line = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (wanted(line) && typeof line['pid'] === 'number' && !pids.includes(line['pid'])) pids.push(line['pid']);
  }
  return pids;
}

/** Kills a process of a mount that is still there; a pid that has become another process's is left alone. */
function killOurs(pid: number): void {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    if (/bin\/(supervisor|worker)\.js/.test(command)) process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended: nothing to do.
  }
}

function credentialsFlags(store: TestStore): string[] {
  return store.credentialsFile === undefined ? [] : ['--credentials', store.credentialsFile];
}

/** Polls a condition for which nothing offers an event. */
export async function waitFor(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`the condition did not hold within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
