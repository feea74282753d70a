import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Response, ServerFrame, SessionEnd_Reason } from '../../../src/gen/curvefs/v1/metaserver.js';
import { encodeFrame } from '../../../src/metaserver/stream/frame-writer.js';
import type { Ino } from '../../../src/model/ids.js';
import type { InodeAttr } from '../../../src/model/inode.js';
import type { DirEntry } from '../../../src/model/operation.js';
import { attrToProto } from '../../../src/wire/attr.js';
import { dirEntryToProto } from '../../../src/wire/operation.js';
import { ReplyWriter } from '../../../src/wire/reply-writer.js';

const u32 = fc.oneof(fc.constant(0), fc.nat(300), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
const u53 = fc.oneof(fc.constant(0), fc.nat(300), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
const time = fc.record({
  sec: fc.oneof(fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), fc.constantFrom(-1, 0, 1)),
  nsec: fc.nat(999_999_999),
});
const attr: fc.Arbitrary<InodeAttr> = fc.record({
  ino: u53 as fc.Arbitrary<Ino>,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: u32,
  size: u53,
  allocatedBytes: u53,
  atime: time,
  mtime: time,
  ctime: time,
  btime: time,
  change: u53,
  writerEpoch: u53,
  lastWriter: u53,
  truncEpoch: u32,
  timeEpoch: u32,
  parent: u53 as fc.Arbitrary<Ino>,
  hasXattrs: fc.boolean(),
  aclChange: u53,
  quota: u53 as fc.Arbitrary<Ino>,
});
const entry: fc.Arbitrary<DirEntry> = fc.record({
  name: fc.uint8Array({ minLength: 1, maxLength: 255 }),
  ino: u53 as fc.Arbitrary<Ino>,
  type: u32,
  cookie: u53,
  attr: fc.option(attr, { nil: undefined }),
});

const writer = new ReplyWriter();
const nothing = { requestId: 0n, errno: 0, message: '', attrs: [], result: undefined };

describe('replies', () => {
  test('decode to what was written', () => {
    fc.assert(
      fc.property(fc.array(attr, { maxLength: 4 }), fc.boolean(), (attrs, created) => {
        const reply = writer.begin().attrs(attrs).created(created).finish();
        const result = { $case: 'create' as const, value: { created } };
        expect(Response.decode(reply)).toEqual({ ...nothing, attrs: attrs.map(attrToProto), result });
      }),
    );
  });

  test('of listings too', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), fc.boolean(), (entries, end) => {
        const reply = writer.begin().entries(entries, end).finish();
        const value = {
          entries: entries.map(dirEntryToProto).map((proto) => ({ ...proto, name: Buffer.from(proto.name) })),
          end,
        };
        expect(Response.decode(reply)).toEqual({ ...nothing, result: { $case: 'readdir', value } });
      }),
      { numRuns: 50 },
    );
  });
});

test('a frame is a ServerFrame whose responses carry their request ids', () => {
  const id = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(id, attr), { maxLength: 5 }),
      fc.bigInt({ min: 0n, max: 2n ** 62n }),
      (replies, ns) => {
        const outgoing = replies.map(([requestId, each]) => ({
          requestId,
          body: writer.begin().attrs([each]).finish(),
        }));
        const end = { reason: SessionEnd_Reason.REASON_EXPIRED, message: 'why' };
        const head = ServerFrame.encode({ attached: undefined, responses: [], serverTimeNs: 0n, end }).finish();
        const frame = ServerFrame.decode(encodeFrame(head, outgoing, ns));
        expect(frame).toEqual({
          attached: undefined,
          responses: replies.map(([requestId, each]) => ({ ...nothing, requestId, attrs: [attrToProto(each)] })),
          serverTimeNs: ns,
          end,
        });
      },
    ),
  );
});
