import { describe, expect, test } from '@jest/globals';
import { LightSignal } from '../../../src/common/light-signal.js';

/** What is true of any signal: run over the real one and ours. */
const KINDS: readonly (readonly [string, () => { signal: AbortSignal; abort: (reason: Error) => void }])[] = [
  [
    'AbortSignal',
    () => {
      const controller = new AbortController();
      return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
    },
  ],
  [
    'LightSignal',
    () => {
      const signal = new LightSignal();
      return { signal, abort: (reason) => signal.abort(reason) };
    },
  ],
];

describe.each(KINDS)('%s', (_name, make) => {
  const reason = new Error('enough');

  test('is not aborted until it is, and then for its first reason', () => {
    const { signal, abort } = make();
    expect(signal.aborted).toBe(false);
    signal.throwIfAborted();
    abort(reason);
    abort(new Error('again'));
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBe(reason);
    expect(() => signal.throwIfAborted()).toThrow('enough');
  });

  test('tells each listener once, in order, unless it was removed', () => {
    const { signal, abort } = make();
    const heard: string[] = [];
    const listener = (name: string) => (): unknown => heard.push(name);
    const removed = listener('removed');
    const twice = listener('twice');
    signal.addEventListener('abort', listener('first'), { once: true });
    signal.addEventListener('abort', removed);
    signal.addEventListener('abort', twice);
    signal.addEventListener('abort', twice);
    signal.removeEventListener('abort', removed);
    signal.onabort = () => heard.push('onabort');
    abort(reason);
    abort(reason);
    expect(heard.filter((name) => name !== 'onabort')).toEqual(['first', 'twice']);
    expect(heard).toContain('onabort');
  });

  test('a listener that comes too late hears nothing', () => {
    const { signal, abort } = make();
    abort(reason);
    let heard = false;
    signal.addEventListener('abort', () => (heard = true));
    expect(heard).toBe(false);
  });
});
