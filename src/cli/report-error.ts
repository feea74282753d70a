import { CommanderError } from 'commander';
import { AssertionError } from '../common/assert.js';
import { errorMessage } from '../common/fs-error.js';
import { MountError } from '../client/launch/mount-error.js';
import { ConfigError } from '../config/config-error.js';
import { isObjectError } from '../object/object-error.js';

/** The exit codes of the tool: success, failure, wrong usage. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** Those of mount(8) and umount(8) that a {@link MountError} does not say itself. */
const MOUNT_EXIT = { usage: 1, internal: 4, failed: 32 } as const;

/** The text of any error in one line, without commander's own prefix. */
export function oneLine(error: unknown): string {
  return errorMessage(error)
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .trim();
}

/** The exit code of an administrative command that threw. */
export function exitCodeOf(error: unknown): number {
  if (isHelp(error)) return EXIT.ok;
  const isUsage = error instanceof CommanderError || error instanceof ConfigError || isObjectError(error, 'invalid');
  return isUsage ? EXIT.usage : EXIT.failure;
}

/** The exit code of mounting or unmounting that threw: mount(8)'s. */
export function mountExitCodeOf(error: unknown): number {
  if (isHelp(error)) return EXIT.ok;
  if (error instanceof MountError) return error.exitCode;
  if (error instanceof CommanderError || error instanceof ConfigError) return MOUNT_EXIT.usage;
  const isBug = error instanceof AssertionError || error instanceof TypeError || error instanceof RangeError;
  return isBug ? MOUNT_EXIT.internal : MOUNT_EXIT.failed;
}

/** Help or the version was asked for and has been printed. */
export function isHelp(error: unknown): boolean {
  return error instanceof CommanderError && error.exitCode === 0;
}
