import { describe, expect, test } from '@jest/globals';
import type { Logger } from '../../../src/common/logger.js';
import { raisePriority, SERVING_NICE, type Scheduling } from '../../../src/common/raise-priority.js';

class FakeScheduling implements Scheduling {
  readonly nice: Map<number, number>;
  refuse = false;

  constructor(nice: Readonly<Record<number, number>>) {
    this.nice = new Map(Object.entries(nice).map(([thread, value]) => [Number(thread), value]));
  }

  threads(): readonly number[] {
    return [...this.nice.keys()];
  }

  get(thread: number): number {
    return this.nice.get(thread)!;
  }

  set(thread: number, nice: number): void {
    if (this.refuse) throw Object.assign(new Error('EACCES: setpriority'), { code: 'EACCES' });
    this.nice.set(thread, nice);
  }
}

function recorder(): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const log = (message: string): void => void lines.push(message);
  const logger: Logger = { debug: log, info: log, warn: log, error: log, child: () => logger };
  return { logger, lines };
}

describe('raisePriority', () => {
  test('raises every thread that has no priority of its own', () => {
    const { logger, lines } = recorder();
    const scheduling = new FakeScheduling({ 10: 0, 11: 0, 12: 5, 13: -20 });
    raisePriority(logger, scheduling);
    expect([...scheduling.nice.values()]).toEqual([SERVING_NICE, SERVING_NICE, 5, -20]);
    expect(lines).toEqual([]);
  });

  test('goes on without the privilege', () => {
    const { logger, lines } = recorder();
    const scheduling = new FakeScheduling({ 10: 0 });
    scheduling.refuse = true;
    raisePriority(logger, scheduling);
    expect(scheduling.get(10)).toBe(0);
    expect(lines).toEqual(['the priority stays as it is']);
  });
});
