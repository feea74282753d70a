/** Why a setting was refused. */
export type ConfigErrorCode =
  /** The list or the source cannot be read at all. */
  | 'syntax'
  /** No option has this name. */
  | 'unknown-option'
  /** The option exists, the value is wrong. */
  | 'bad-value'
  /** Something necessary was not given. */
  | 'missing';

/** A setting that a person gave and that cannot be used: the message names the setting and says what would be right. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code: ConfigErrorCode;

  constructor(code: ConfigErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
