/**
 * Exit codes of mount(8): 1 usage or permission, 2 system error, 32 mount failure.
 */
export type MountExitCode = 1 | 2 | 32;

/** Why something could not be mounted or unmounted: one line for the user, and the exit code that mount(8) has for it. */
export class MountError extends Error {
  override readonly name = 'MountError';
  readonly exitCode: MountExitCode;

  constructor(exitCode: MountExitCode, message: string, options?: ErrorOptions) {
    super(message.replaceAll('\n', '; '), options);
    this.exitCode = exitCode;
  }
}
