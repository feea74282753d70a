import { pino, stdSerializers, type Logger as Pino } from 'pino';
import type { Logger } from '../common/logger.js';
import type { LogFile } from './log-file.js';

/** Field names whose values are secrets, at the top of a line's fields and one level below. */
const SECRET_FIELDS = [
  'accessKeyId',
  'secretAccessKey',
  'sessionToken',
  'password',
  'secret',
  'token',
  'authorization',
  'Authorization',
  '["x-amz-security-token"]',
];

export interface LoggerOptions {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  /** The program's part: `standalone`, `worker` … */
  readonly module: string;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * The logger of all programs: one JSON object per line with `time` (ISO), `level`, `pid`, `module`, `msg` and the message's fields. Values of fields that are
 * named like secrets are replaced; errors are written with stack and cause.
 */
export class PinoLogger implements Logger {
  /** Without a module: pino's children repeat a field rather than replace it. */
  readonly #root: Pino;
  readonly #module: string;
  readonly #pino: Pino;

  private constructor(root: Pino, module: string) {
    this.#root = root;
    this.#module = module;
    this.#pino = root.child({ module });
  }

  static create(deps: { readonly file: Pick<LogFile, 'write'> }, opts: LoggerOptions): PinoLogger {
    const root = pino(
      {
        level: opts.level,
        base: { pid: process.pid },
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        serializers: { error: stdSerializers.errWithCause, err: stdSerializers.errWithCause },
        redact: { paths: SECRET_FIELDS.flatMap(underAnyField), censor: '[redacted]' },
      },
      deps.file,
    );
    return new PinoLogger(root, opts.module);
  }

  debug(message: string, fields?: Fields): void {
    this.#pino.debug(fields ?? {}, message);
  }

  info(message: string, fields?: Fields): void {
    this.#pino.info(fields ?? {}, message);
  }

  warn(message: string, fields?: Fields): void {
    this.#pino.warn(fields ?? {}, message);
  }

  error(message: string, fields?: Fields): void {
    this.#pino.error(fields ?? {}, message);
  }

  child(module: string): Logger {
    return new PinoLogger(this.#root, `${this.#module}.${module}`);
  }
}

function underAnyField(name: string): readonly string[] {
  return name.startsWith('[') ? [name, `*${name}`] : [name, `*.${name}`];
}
