import { expect, test } from '@jest/globals';
import { systemClock } from '../../../src/common/clock.js';
import type { DirPage, Metadata } from '../../../src/meta/metadata.js';
import { ROOT_INO, type Ino } from '../../../src/model/ids.js';
import { DirListing } from '../../../src/vfs/dir-listing.js';

test('who waits for a page that is prefetched can be interrupted, and the page is there for the next', async () => {
  const entry = (cookie: number) => ({
    name: Buffer.from(`f${cookie}`),
    cookie,
    ino: cookie as Ino,
    type: 0o100000,
    attr: undefined,
  });
  let arrive!: (page: DirPage) => void;
  let asked = 0;
  const meta = {
    attrTimeoutSec: 60,
    knownAttr: () => undefined,
    readdir: () => {
      if (asked++ === 0) return Promise.resolve({ entries: [entry(10)], end: false });
      return new Promise<DirPage>((resolve) => (arrive = resolve));
    },
  } as unknown as Metadata;
  const listing = new DirListing({ meta, clock: systemClock }, ROOT_INO);
  await listing.page(0, true);
  const abort = new AbortController();
  const waiting = listing.page(10, true, abort.signal);
  abort.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'EINTR' });
  const next = listing.page(10, true);
  arrive({ entries: [entry(20)], end: true });
  expect((await next).entries[0]!.cookie).toBe(20);
  expect(asked).toBe(2);
});
