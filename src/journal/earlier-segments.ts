import path from 'node:path';
import { JournalError } from './journal-error.js';
import type { JournalFs } from './journal-fs.js';
import { decodeSegmentHeader, recordBytes, SEGMENT_HEADER_BYTES, type SegmentHeader } from './segment-format.js';
import { SEGMENT_SUFFIX } from './segment-pool.js';

/** A segment file that an earlier journal object left in a directory. */
export interface EarlierSegment {
  readonly path: string;
  readonly bytes: number;
  /** Undefined: made ready and never used, or (`headerError`) it does not check. */
  readonly header: SegmentHeader | undefined;
  readonly headerError: JournalError | undefined;
}

/** The segment files in a directory, in the order in which they were written. Throws `version`. */
export async function listSegments(fs: JournalFs, dir: string): Promise<EarlierSegment[]> {
  const names = (await fs.list(dir)).filter((name) => name.endsWith(SEGMENT_SUFFIX));
  const segments = names.sort().map((name) => inspect(fs, path.join(dir, name)));
  return segments.sort((a, b) => (a.header?.number ?? 0) - (b.header?.number ?? 0));
}

/** A sequence number above all that the segment can hold, without reading it. */
export function sequenceAfter(segment: EarlierSegment): number {
  if (segment.header === undefined) return 0;
  return segment.header.firstSequence + Math.ceil(segment.bytes / recordBytes(0, 0));
}

/** Makes durable what a killed process left in the page cache, so that a sync of its successor covers it. */
export async function syncSegments(fs: JournalFs, dir: string, segments: readonly EarlierSegment[]): Promise<void> {
  if (segments.length === 0) return;
  for (const segment of segments) {
    const fd = fs.open(segment.path, 'r');
    try {
      await fs.sync(fd);
    } finally {
      fs.close(fd);
    }
  }
  await fs.syncDir(dir);
}

/** Removes segments whose records are not needed any more. */
export async function dropSegments(fs: JournalFs, dir: string, segments: readonly EarlierSegment[]): Promise<void> {
  for (const segment of segments) await fs.remove(segment.path);
  if (segments.length > 0) await fs.syncDir(dir);
}

function inspect(fs: JournalFs, file: string): EarlierSegment {
  const fd = fs.open(file, 'r');
  try {
    const bytes = fs.size(fd);
    const head = Buffer.alloc(SEGMENT_HEADER_BYTES);
    fs.read(fd, head, 0);
    try {
      return { path: file, bytes, header: decodeSegmentHeader(head, file), headerError: undefined };
    } catch (error) {
      if (error instanceof JournalError && error.code === 'corrupt') {
        return { path: file, bytes, header: undefined, headerError: error };
      }
      throw error;
    }
  } finally {
    fs.close(fd);
  }
}
