import { describe, expect, test } from '@jest/globals';
import { parseFlagValues } from '../../../src/config/flag-values.js';
import { METASERVER_OPTIONS, STANDALONE_OPTIONS } from '../../../src/config/server-options.js';

const given = (values: Record<string, string>) => new Map(Object.entries(values));

describe('flags of the services', () => {
  test('defaults', () => {
    const config = parseFlagValues(STANDALONE_OPTIONS, given({ data_dir: 'd' }), {});
    expect(config).toEqual({
      dataDir: 'd',
      listen: { host: '127.0.0.1', port: 6700 },
      advertise: undefined,
      metrics: undefined,
      credentials: undefined,
      durability: 'commit',
      sessionTtlMs: 20_000,
      dbSizeBytes: 64 * 1024 ** 3,
      log: undefined,
      logLevel: 'info',
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  test('flag, then environment, then error', () => {
    const mds = (flags: Record<string, string>, env: Record<string, string>) =>
      parseFlagValues(METASERVER_OPTIONS, given({ data_dir: 'd', ...flags }), env).mds;
    expect(mds({ mds: 'a:1' }, { CURVEFS_MDS: 'b:2' })).toEqual([{ host: 'a', port: 1 }]);
    expect(mds({}, { CURVEFS_MDS: 'b:2,c:3' })).toHaveLength(2);
    expect(() => mds({}, { CURVEFS_MDS: '' })).toThrow(
      '--mds HOST:PORT[,HOST:PORT...] is required (or the environment variable CURVEFS_MDS)',
    );
    expect(() => mds({}, { CURVEFS_MDS: 'x' })).toThrow('environment variable CURVEFS_MDS: "x" is not HOST:PORT');
  });

  test.each([
    [{ listen: 'x' }, '--listen: "x" is not HOST:PORT'],
    [{ durability: 'none' }, '--durability: "none" is none of commit, relaxed'],
    [{ session_ttl: '1ms' }, '--session-ttl: 1ms is below the minimum, 1s'],
  ])('refuses %j', (flags, message) => {
    expect(() =>
      parseFlagValues(STANDALONE_OPTIONS, given({ data_dir: 'd', ...(flags as Record<string, string>) }), {}),
    ).toThrow(message);
  });
});
