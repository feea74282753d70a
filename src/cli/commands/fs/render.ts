import { humanSize } from '../../../config/size.js';
import type { FsInfo } from '../../../model/filesystem.js';
import { formatStorage } from '../../../object/parse-storage.js';
import { formatFields } from '../../output/format.js';

/** A limit for people; 0 is none. */
export function limit(value: number, format: (value: number) => string): string {
  return value === 0 ? 'no limit' : format(value);
}

/** A filesystem as name-value lines, after which `more` follows. */
export function renderFs(fs: FsInfo, more: readonly (readonly [string, string | undefined])[] = []): string {
  const { storage } = fs;
  return formatFields([
    ['Name', fs.name],
    ['Id', `${fs.id}`],
    ['UUID', fs.uuid],
    ['Storage', formatStorage(storage)],
    ['Endpoint', storage.kind === 's3' && storage.endpoint !== '' ? storage.endpoint : undefined],
    ['Region', storage.kind === 's3' ? storage.region : undefined],
    ['Block size', humanSize(fs.blockSizeBytes)],
    ['Capacity', limit(fs.capacityBytes, humanSize)],
    ['Inodes', limit(fs.inodesMax, String)],
    ['Metaserver', fs.metaserver],
    ['Created', new Date(fs.createdMs).toISOString()],
    ...more,
  ]);
}

/** A filesystem as JSON output shows it. */
export function fsToJson(fs: FsInfo): object {
  return { ...fs, storageUrl: formatStorage(fs.storage) };
}
