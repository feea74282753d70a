import { ConfigError } from './config-error.js';
import { parseFsName } from './fs-name.js';
import { parseHostPort, type HostPort } from './host-port.js';

/** What a mount mounts. */
export interface MountSource {
  /** As given: what `/proc/mounts` shows. */
  readonly text: string;
  /** Where the MDS answers, in the order given. */
  readonly mds: readonly HostPort[];
  readonly fsName: string;
  /** Names of the directories from the filesystem's root down to the one that is mounted; none = the root. */
  readonly subdir: readonly string[];
}

const FORM = 'HOST:PORT[,HOST:PORT...]:/NAME[/SUBDIR]';
const NAME_BYTES_MAX = 255;
/** /proc/mounts and the mount data page bound it. */
const TEXT_BYTES_MAX = 3500;

/**
 * Reads `HOST:PORT[,HOST:PORT…]:/NAME[/SUBDIR]`. The sub-directory may hold any character but NUL (commas, colons, blanks and
 * backslashes too); empty parts are dropped, `.` and `..` refused, for nothing here can tell where they would lead.
 */
export function parseMountSource(text: string): MountSource {
  const split = text.indexOf(':/');
  if (split < 0) throw new ConfigError('syntax', `the source "${text}" is not of the form ${FORM}`);
  if (Buffer.byteLength(text) > TEXT_BYTES_MAX) {
    throw new ConfigError('syntax', `the source is longer than ${TEXT_BYTES_MAX} bytes`);
  }
  const [name = '', ...rest] = text.slice(split + 2).split('/');
  const subdir = rest.filter((part) => part !== '');
  for (const part of subdir) {
    if (part === '.' || part === '..') {
      throw new ConfigError('bad-value', `the sub-directory in "${text}" must not contain "${part}"`);
    }
    if (part.includes('\0')) throw new ConfigError('bad-value', 'the sub-directory contains a NUL character');
    if (Buffer.byteLength(part) > NAME_BYTES_MAX) {
      throw new ConfigError('bad-value', `a name in the sub-directory is longer than ${NAME_BYTES_MAX} bytes`);
    }
  }
  return Object.freeze({
    text,
    mds: parseMdsList(text.slice(0, split)),
    fsName: parseFsName(name),
    subdir: Object.freeze(subdir),
  });
}

/** Reads `HOST:PORT[,HOST:PORT…]`, the addresses of the MDS. */
export function parseMdsList(text: string): readonly HostPort[] {
  return Object.freeze(text.split(',').map((part) => parseHostPort(part)));
}
