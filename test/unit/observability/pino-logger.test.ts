import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { LogFile } from '../../../src/observability/log-file.js';
import { PinoLogger } from '../../../src/observability/pino-logger.js';

function capture(level: 'info' | 'debug' = 'info') {
  const lines: Record<string, unknown>[] = [];
  const file = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { lines, logger: PinoLogger.create({ file }, { level, module: 'main' }) };
}

describe('logger', () => {
  test('writes message, module and fields', () => {
    const { lines, logger } = capture();
    logger.info('ready', { port: 1 });
    logger.child('meta').warn('slow');
    logger.debug('not shown');
    expect(lines).toMatchObject([
      { level: 'info', module: 'main', msg: 'ready', port: 1, pid: process.pid },
      { level: 'warn', module: 'main.meta', msg: 'slow' },
    ]);
    expect(lines[0]?.['time']).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  test('never writes secrets', () => {
    const { lines, logger } = capture();
    const secret = 'hunter2-value';
    logger.error('request', {
      secretAccessKey: secret,
      token: secret,
      credentials: { accessKeyId: secret, sessionToken: secret },
      headers: { authorization: secret, 'x-amz-security-token': secret, host: 'h' },
    });
    expect(JSON.stringify(lines)).not.toContain(secret);
    expect(lines[0]).toMatchObject({ headers: { host: 'h', authorization: '[redacted]' } });
  });

  test('writes an error with its cause', () => {
    const { lines, logger } = capture();
    logger.error('failed', { error: new Error('outer', { cause: new Error('inner') }) });
    expect(lines[0]).toMatchObject({ error: { message: 'outer', cause: { message: 'inner' } } });
  });
});

describe('log file', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'curvefs-log-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  test('appends, follows a rotation, makes its directory', () => {
    const path = join(dir, 'a', 'b.log');
    const file = new LogFile(path);
    file.write('one\n');
    renameSync(path, `${path}.1`);
    file.write('two\n');
    file.reopen();
    file.write('three\n');
    new LogFile(path).write('four\n');
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('one\ntwo\n');
    expect(readFileSync(path, 'utf8')).toBe('three\nfour\n');
    expect(file.droppedLines).toBe(0);
  });

  test('counts what it cannot write', () => {
    const file = new LogFile('/dev/full');
    file.write('x\n');
    expect(file.droppedLines).toBe(1);
  });
});
