import { describe, expect, test } from '@jest/globals';
import { FrameBatcher } from '../../../src/wire/frame-batcher.js';

/** A sink whose drain the test decides, and a batcher whose ticks it decides. */
function setUp(frameBytesMax = 100) {
  const frames: string[][] = [];
  const ticks: (() => void)[] = [];
  let drain: (() => void) | undefined;
  const sink = {
    writable: true,
    write(frame: string[]): boolean {
      frames.push(frame);
      return this.writable;
    },
    once(_event: 'drain', listener: () => void): void {
      drain = listener;
    },
  };
  const batcher = new FrameBatcher<string, string[]>(sink, {
    bytesOf: (message) => message.length,
    frameOf: (messages) => messages,
    frameBytesMax,
    schedule: (fn) => ticks.push(fn),
  });
  const tick = (): void => ticks.splice(0).forEach((fn) => fn());
  return { frames, ticks, sink, batcher, tick, drain: () => drain?.() };
}

describe('FrameBatcher', () => {
  test('what is added in one tick shares a frame, and one flush is scheduled for it', () => {
    const { batcher, frames, ticks, tick } = setUp();
    batcher.add('a');
    batcher.add('b');
    expect(frames).toEqual([]);
    expect(ticks).toHaveLength(1);
    tick();
    expect(frames).toEqual([['a', 'b']]);
    batcher.add('c');
    tick();
    expect(frames).toEqual([['a', 'b'], ['c']]);
  });

  test('frames are cut before they exceed the limit; a single larger message goes alone', () => {
    const { batcher, frames, tick } = setUp(10);
    for (const message of ['12345', '67890', 'x', 'a message of its own', 'y']) batcher.add(message);
    tick();
    expect(frames).toEqual([['12345', '67890'], ['x'], ['a message of its own'], ['y']]);
  });

  test('back-pressure holds the rest until drain, in order', () => {
    const { batcher, frames, sink, tick, drain } = setUp(1);
    sink.writable = false;
    for (const message of ['a', 'b', 'c']) batcher.add(message);
    tick();
    expect(frames).toEqual([['a']]);
    expect(batcher.pending).toBe(2);
    batcher.add('d');
    tick();
    expect(frames).toEqual([['a']]);
    sink.writable = true;
    drain();
    expect(frames).toEqual([['a'], ['b'], ['c'], ['d']]);
  });

  test('touch sends a frame without messages, once', () => {
    const { batcher, frames, tick } = setUp();
    batcher.touch();
    tick();
    batcher.flush();
    expect(frames).toEqual([[]]);
  });

  test('a touch during back-pressure is not lost', () => {
    const { batcher, frames, sink, tick, drain } = setUp();
    sink.writable = false;
    batcher.add('a');
    tick();
    batcher.touch();
    sink.writable = true;
    drain();
    expect(frames).toEqual([['a'], []]);
  });

  test('after close nothing is written', () => {
    const { batcher, frames, tick } = setUp();
    batcher.add('a');
    batcher.close();
    batcher.add('b');
    tick();
    expect(frames).toEqual([]);
  });

  test('by default one message leaves with the microtasks and a burst with setImmediate', async () => {
    const frames: string[][] = [];
    const sink = { write: (frame: string[]) => frames.push(frame) > 0, once: () => undefined };
    const batcher = new FrameBatcher<string, string[]>(sink, { bytesOf: () => 1, frameOf: (messages) => messages });
    batcher.add('a');
    batcher.add('b');
    await Promise.resolve();
    expect(frames).toEqual([['a', 'b']]);
    batcher.add('c');
    await Promise.resolve();
    expect(frames).toHaveLength(1);
    await new Promise(setImmediate);
    expect(frames).toEqual([['a', 'b'], ['c']]);
  });
});
