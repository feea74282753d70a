import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ConfigError } from '../../../src/config/config-error.js';
import { formatDuration, parseDuration } from '../../../src/config/duration.js';
import { canonicalName, formatFstabOptions, parseFstabOptions } from '../../../src/config/fstab-options.js';
import { formatHostPort, parseHostPort } from '../../../src/config/host-port.js';
import { parseMountSource } from '../../../src/config/mount-source.js';
import { nearestName } from '../../../src/config/nearest-name.js';
import { formatSize, humanSize, parseSize } from '../../../src/config/size.js';

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    ['4MiB', 4 * 1024 ** 2],
    ['4M', 4 * 1024 ** 2],
    ['1g', 1024 ** 3],
    ['100G', 100 * 1024 ** 3],
    ['1KB', 1000],
    ['2 TB', 2e12],
    ['1.5k', 1536],
    ['7b', 7],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));
  test.each(['', 'G', '-1', '1.5', '1X', '1e9', '9007199254740993', '10000P', '0x10', '1 2'])('refuses "%s"', (text) =>
    expect(() => parseSize(text)).toThrow(ConfigError),
  );
  test('round trip', () => {
    fc.assert(fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (bytes) => parseSize(formatSize(bytes)) === bytes));
    expect(formatSize(4 * 1024 ** 2)).toBe('4MiB');
    expect(humanSize(1.5 * 1024 ** 3)).toBe('1.50 GiB');
    expect(humanSize(999)).toBe('999 B');
  });
});

describe('durations', () => {
  test.each([
    ['0', 0],
    ['5', 5000],
    ['0.25', 250],
    ['500ms', 500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));
  test.each(['', 's', '-1s', '1w', '0.0001', '1e3'])('refuses "%s"', (text) =>
    expect(() => parseDuration(text)).toThrow(ConfigError),
  );
  test('round trip', () => fc.assert(fc.property(fc.nat(), (ms) => parseDuration(formatDuration(ms)) === ms)));
});

describe('addresses', () => {
  test.each([
    ['127.0.0.1:6700', '127.0.0.1', 6700],
    ['mds-1.example.com:1', 'mds-1.example.com', 1],
    ['[::1]:65535', '::1', 65535],
  ])('%s', (text, host, port) => {
    expect(parseHostPort(text)).toEqual({ host, port });
    expect(formatHostPort({ host, port })).toBe(text);
  });
  test.each(['', 'host', ':80', 'host:', 'host:0', 'host:65536', 'host:1x', '::1:80', 'a b:1', 'http://a:1'])(
    'refuses "%s"',
    (text) => expect(() => parseHostPort(text)).toThrow(ConfigError),
  );
});

describe('mount sources', () => {
  test.each([
    ['h:1:/n', [['h', 1]], 'n', []],
    [
      'h:1,[::2]:2:/n/',
      [
        ['h', 1],
        ['::2', 2],
      ],
      'n',
      [],
    ],
    ['h:1:/n//a/b/', [['h', 1]], 'n', ['a', 'b']],
    ['h:1:/n/a:/b,c="d"\\ é', [['h', 1]], 'n', ['a:', 'b,c="d"\\ é']],
  ])('%s', (text, mds, fsName, subdir) => {
    const source = parseMountSource(text);
    expect(source).toMatchObject({ text, fsName, subdir });
    expect(source.mds.map(({ host, port }) => [host, port])).toEqual(mds);
  });
  test.each([
    ['demo', 'form'],
    ['h:1', 'form'],
    ['h:1:/', 'filesystem name'],
    ['h:1:/../x', 'filesystem name'],
    ['h:1:/n/a/../b', '".."'],
    ['h:1:/n/.', '"."'],
    ['h:/n', 'HOST:PORT'],
    ['h:1,:/n', 'HOST:PORT'],
    [':/n', 'HOST:PORT'],
    [`h:1:/n/${'x'.repeat(256)}`, '255'],
    [`h:1:/n/${'x/'.repeat(2000)}`, 'longer'],
    ['h:1:/n/a\0b', 'NUL'],
  ])('refuses %s', (text, message) => {
    expect(() => parseMountSource(text)).toThrow(ConfigError);
    expect(() => parseMountSource(text)).toThrow(message);
  });
});

describe('-o lists', () => {
  test.each([
    ['', []],
    [',,a,', [{ name: 'a', value: undefined }]],
    ['rw,a=,b=c=d', [{ name: 'rw' }, { name: 'a', value: '' }, { name: 'b', value: 'c=d' }]],
    ['a="x,y",b', [{ name: 'a', value: 'x,y' }, { name: 'b' }]],
    ['a=x\\,y\\\\z\\n\\"', [{ name: 'a', value: 'x,y\\z\\n"' }]],
  ])('%s', (list, options) => {
    expect(parseFstabOptions(list)).toEqual(options.map((option) => ({ value: undefined, ...option })));
  });

  test('what is written is read back', () => {
    const name = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => !text.includes('='));
    const tricky = fc.string({ unit: fc.constantFrom(',', '"', '\\', '=', 'a', ' ', 'é') });
    const value = fc.option(fc.oneof(tricky, fc.string()), { nil: undefined });
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            name: fc.oneof(
              name,
              tricky.filter((t) => t !== '' && !t.includes('=')),
            ),
            value,
          }),
        ),
        (options) => {
          expect(parseFstabOptions(formatFstabOptions(options))).toEqual(options);
        },
      ),
    );
  });

  test('names', () => expect(canonicalName('cache-size')).toBe('cache_size'));
});

test('the nearest name is a plausible one or none', () => {
  const names = ['cache_dir', 'cache_size', 'ro', 'rw', 'log'];
  expect(nearestName('cache_szie', names)).toBe('cache_size');
  expect(nearestName('or', names)).toBe('ro');
  expect(nearestName('something', names)).toBeUndefined();
});
