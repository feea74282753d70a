/** What is wrong with a message: a number that a double cannot hold, a required field left out, or a value that the protocol does not define. */
export type WireErrorCode = 'out-of-range' | 'unset' | 'unknown-value';

/** A message of the other side that breaks the protocol. Names the field. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code: WireErrorCode;
  /** The field, as the .proto file spells it in camel case. */
  readonly field: string;

  constructor(code: WireErrorCode, field: string, detail: string) {
    super(`${field}: ${detail}`);
    this.code = code;
    this.field = field;
  }
}
