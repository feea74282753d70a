import type { CliDeps } from '../../../src/cli/cli-deps.js';
import type { MdsAdmin } from '../../../src/cli/mds-admin.js';
import type { FsInfo } from '../../../src/model/filesystem.js';
import type { FsId, Ino } from '../../../src/model/ids.js';
import type { Quota } from '../../../src/model/quota.js';

export const DEMO: FsInfo = {
  id: 1 as FsId,
  uuid: '00000000-0000-4000-8000-000000000001',
  name: 'demo',
  storage: { kind: 'file', path: '/srv/objects' },
  blockSizeBytes: 4 * 1024 ** 2,
  capacityBytes: 0,
  inodesMax: 1000,
  chunkFormat: 1,
  metaserver: '127.0.0.1:6701',
  createdMs: 0,
};

export const QUOTA: Quota = {
  ino: 7 as Ino,
  path: Buffer.from('/a//b'),
  bytesMax: 1024 ** 3,
  inodesMax: 0,
  usedBytes: 4096,
  usedInodes: 2,
  counting: false,
};

export interface Recorded {
  readonly deps: CliDeps;
  readonly calls: (readonly [string, ...unknown[]])[];
  readonly out: () => string;
  readonly err: () => string;
}

/** Dependencies that record what the commands do; `override` replaces some, `mds` parts of the service. */
export function fakeDeps(override: Partial<CliDeps> = {}, mds: Partial<MdsAdmin> = {}): Recorded {
  const calls: (readonly [string, ...unknown[]])[] = [];
  let out = '';
  let err = '';
  const record =
    <T>(name: string, result: T) =>
    (...args: readonly unknown[]): Promise<T> => {
      calls.push([name, ...args]);
      return Promise.resolve(result);
    };
  const admin: MdsAdmin = {
    status: record('status', {
      role: 'mds',
      version: '0.1.0',
      uptimeMs: 61_000,
      metaservers: [{ id: 'm1', address: 'h:1', alive: true, filesystems: 2, warnings: ['low space'] }],
      warnings: [],
      address: 'h:6700',
    }),
    createFs: record('createFs', DEMO),
    getFs: record('getFs', { fs: DEMO, usage: undefined, mounts: [], metaserverAlive: false }),
    listFs: record('listFs', [DEMO]),
    deleteFs: record('deleteFs', undefined),
    close: record('close', undefined),
    ...mds,
  };
  const deps: CliDeps = {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: { HOME: '/root' },
    cwd: '/work dir',
    uid: 0,
    version: '1.2.3',
    ask: record('ask', undefined),
    connectMds: (addresses) => {
      calls.push(['connectMds', addresses]);
      return Promise.resolve(admin);
    },
    connectQuotas: (fs) => {
      calls.push(['connectQuotas', fs.metaserver]);
      return Promise.resolve({
        set: record('set', QUOTA),
        get: record('get', QUOTA),
        list: record('list', [QUOTA]),
        delete: record('delete', undefined),
        close: record('closeQuotas', undefined),
      });
    },
    locatePath: record('locatePath', { mds: [{ host: 'h', port: 6700 }], fsName: 'demo', path: Buffer.from('/a//b') }),
    probeStorage: record('probeStorage', undefined),
    launchMount: record('launchMount', undefined),
    unmount: record('unmount', undefined),
    mountStatus: record('mountStatus', undefined),
    remount: record('remount', 0),
    runStandalone: record('runStandalone', 0),
    runMds: record('runMds', 0),
    runMetaserver: record('runMetaserver', 0),
    ...override,
  };
  return { deps, calls, out: () => out, err: () => err };
}
