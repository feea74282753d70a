import { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '../../../src/common/clock.js';
import { CloseStack } from '../../../src/common/close-stack.js';
import { silentLogger } from '../../../src/common/logger.js';
import { runService, type ServiceProcess } from '../../../src/common/run-service.js';

class FakeProcess extends EventEmitter implements ServiceProcess {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

describe('a service', () => {
  test('starts, says so, and closes at the first signal', async () => {
    const process = new FakeProcess();
    const events: string[] = [];
    const code = await runService(process, {
      start: async () => ({ close: async () => void events.push('closed') }),
      ready: () => {
        events.push('ready');
        process.emit('SIGTERM', 'SIGTERM');
      },
      closeTimeoutMs: 1000,
    });
    expect([code, events, process.exits]).toEqual([0, ['ready', 'closed'], []]);
    expect(process.listenerCount('SIGTERM')).toBe(0);
  });

  test('a second signal exits at once; a signal during the start suppresses the announcement', async () => {
    const process = new FakeProcess();
    const code = await runService(process, {
      start: async () => {
        process.emit('SIGINT', 'SIGINT');
        process.emit('SIGINT', 'SIGINT');
        return { close: () => Promise.resolve() };
      },
      ready: () => {
        throw new Error('announced');
      },
      closeTimeoutMs: 1000,
    });
    expect([code, process.exits]).toEqual([0, [130]]);
  });

  test('a close that hangs is bounded', async () => {
    const process = new FakeProcess();
    let release: () => void = () => undefined;
    process.exit = (exitCode) => {
      process.exits.push(exitCode);
      release();
    };
    await runService(process, {
      start: async () => ({ close: () => new Promise<void>((resolve) => (release = resolve)) }),
      ready: () => process.emit('SIGTERM', 'SIGTERM'),
      closeTimeoutMs: 5,
    });
    expect(process.exits).toEqual([1]);
  });

  test('a failed start is thrown', async () => {
    const process = new FakeProcess();
    const start = () => Promise.reject(new Error('no port'));
    await expect(runService(process, { start, ready: () => undefined, closeTimeoutMs: 1 })).rejects.toThrow('no port');
    expect(process.listenerCount('SIGINT')).toBe(0);
  });
});

test('a close stack closes all in reverse and throws the first error', async () => {
  const stack = new CloseStack();
  const closed: number[] = [];
  for (const id of [1, 2, 3]) {
    stack.use({
      close: async () => {
        closed.push(id);
        if (id > 1) throw new Error(String(id));
      },
    });
  }
  await expect(stack.close()).rejects.toThrow('3');
  await expect(stack.close()).rejects.toThrow('3');
  expect(closed).toEqual([3, 2, 1]);
});

test('a close stack with a limit leaves behind what is late, and closes the rest', async () => {
  const late: unknown[] = [];
  const logger = { ...silentLogger, warn: (_text: string, fields?: object) => void late.push(fields) };
  const stack = new CloseStack({ clock: systemClock, logger, totalMs: 50 });
  const closed: string[] = [];
  const part = (name: string) => ({ close: async () => void closed.push(name) });
  const never = { close: () => new Promise<void>(() => undefined) };
  stack.use(part('a'), 'a');
  stack.use(never, 'stuck');
  stack.use(never, 'stuck too');
  stack.use(part('b'), 'b');
  await stack.close();
  expect(closed).toEqual(['b', 'a']);
  expect(late).toMatchObject([{ part: 'stuck too' }, { part: 'stuck' }]);
});
