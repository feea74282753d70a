import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CredentialsFile } from '../../../src/object/credentials.js';
import { parseCredentials } from '../../../src/object/parse-credentials.js';

const expected = { accessKeyId: 'AKID', secretAccessKey: 's/e+c=' };

describe('parseCredentials', () => {
  test.each([
    ['a pair', 'AKID:s/e+c='],
    ['a pair with a line end and a comment', '# for curvefs\n\nAKID:s/e+c=\r\n'],
    ['ini', '[default]\naws_access_key_id=AKID\naws_secret_access_key=s/e+c=\n'],
    [
      'ini with spaces and other settings',
      '[default]\nregion = x\n aws_access_key_id = AKID \n; c\nAWS_SECRET_ACCESS_KEY = s/e+c=\n',
    ],
    ['ini without a section', 'aws_access_key_id=AKID\naws_secret_access_key=s/e+c='],
    [
      'ini among other profiles',
      '[a]\naws_access_key_id=no\naws_secret_access_key=no\n[default]\naws_access_key_id=AKID\naws_secret_access_key=s/e+c=\n[b]\naws_access_key_id=no',
    ],
  ])('%s', (_name, text) => {
    expect(parseCredentials(text, '/f')).toEqual(expected);
  });

  test('a session token', () => {
    const text = 'aws_access_key_id=AKID\naws_secret_access_key=s/e+c=\naws_session_token=T==';
    expect(parseCredentials(text, '/f')).toEqual({ ...expected, sessionToken: 'T==' });
  });

  test.each([
    ['', 'is empty'],
    ['# only\n', 'is empty'],
    ['AKID', 'must be one line ACCESS:SECRET'],
    ['AKID:a:b', 'must be one line ACCESS:SECRET'],
    ['AKID:a\nAKID:b', 'must be one line ACCESS:SECRET'],
    [':secret', 'has no aws_access_key_id'],
    ['AKID:', 'has no aws_secret_access_key'],
    ['AKID:with space', 'not printable ASCII'],
    ['[default]\naws_access_key_id=AKID', 'has no aws_secret_access_key in the section [default]'],
    ['[other]\naws_access_key_id=AKID\naws_secret_access_key=x', 'has no aws_access_key_id in the section [default]'],
    ['[default]\nHIDDEN', "line 2: expected 'name = value'"],
  ])('%j is refused: %s', (text, reason) => {
    expect(() => parseCredentials(text, '/the/file')).toThrow(reason);
    expect(() => parseCredentials(text, '/the/file')).toThrow('/the/file');
    expect(() => parseCredentials(text, '/the/file')).not.toThrow('HIDDEN');
  });
});

describe('CredentialsFile', () => {
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'curvefs-credentials-'));
    path = join(directory, 'file');
    await writeFile(path, 'AKID:s/e+c=', { mode: 0o600 });
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test('reads, and reads again after a change', async () => {
    const file = new CredentialsFile(path);
    expect(await file.read()).toEqual(expected);
    // In place, and by rename.
    await writeFile(path, 'AKID2:longer-secret');
    expect((await file.read()).accessKeyId).toBe('AKID2');
    await writeFile(join(directory, 'new'), 'AKID3:longer-secret', { mode: 0o600 });
    await rename(join(directory, 'new'), path);
    expect((await file.read()).accessKeyId).toBe('AKID3');
  });

  test('gives the SDK an expiration that makes it ask again in seconds', async () => {
    const { expiration, ...pair } = await new CredentialsFile(path).provide();
    expect(pair).toEqual(expected);
    const secondsBeyondWindow = (expiration.getTime() - Date.now()) / 1000 - 300;
    expect(secondsBeyondWindow).toBeGreaterThan(0);
    expect(secondsBeyondWindow).toBeLessThanOrEqual(6);
  });

  test.each([0o640, 0o604, 0o660, 0o601])('mode %i is refused', async (mode) => {
    await chmod(path, mode);
    await expect(new CredentialsFile(path).read()).rejects.toThrow('may be read by others');
  });

  test('a missing file, a directory, a huge file', async () => {
    await expect(new CredentialsFile(join(directory, 'none')).read()).rejects.toThrow(/cannot be read: ENOENT/);
    await expect(new CredentialsFile(directory).read()).rejects.toThrow('is not a regular file');
    await writeFile(path, 'x'.repeat(100_000));
    await expect(new CredentialsFile(path).read()).rejects.toThrow('is larger than');
  });

  test('a rotation that went wrong does not go on with the old secret', async () => {
    const file = new CredentialsFile(path);
    await file.read();
    await writeFile(path, 'nonsense');
    await expect(file.read()).rejects.toThrow('must be one line');
    await writeFile(path, 'AKID9:x');
    expect((await file.read()).accessKeyId).toBe('AKID9');
  });
});
