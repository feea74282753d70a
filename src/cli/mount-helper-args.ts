import { ConfigError } from '../config/config-error.js';

/** What mount(8) asks its helper for. */
export interface MountHelperArgs {
  readonly kind: 'mount' | 'help' | 'version';
  /** Source and mountpoint. */
  readonly operands: readonly string[];
  /** The `-o` lists, with `ro` and `rw` for `-r` and `-w`, in their order. */
  readonly options: readonly string[];
  /** `-f`: do everything but the mount. */
  readonly fake: boolean;
  /** `-s`: unknown options are no error. */
  readonly sloppy: boolean;
  readonly verbose: boolean;
}

/** Long names, as mount(8) has them. */
const LONG: Readonly<Record<string, string>> = {
  '--options': '-o',
  '--types': '-t',
  '--namespace': '-N',
  '--read-only': '-r',
  '--rw': '-w',
  '--read-write': '-w',
  '--no-mtab': '-n',
  '--sloppy': '-s',
  '--verbose': '-v',
  '--fake': '-f',
  '--help': '-h',
  '--version': '-V',
};
const WITH_VALUE = 'otN';

/**
 * Reads the arguments of a mount helper, `SPEC DIR [-sfnvrw] [-N ns] [-o OPTS] [-t TYPE]` in any order (mount(8), "External helpers"; util-linux
 * puts the operands first, busybox last). `-n` and `-t` change nothing here; `-N` is refused.
 */
export function parseMountHelperArgs(args: readonly string[]): MountHelperArgs {
  const operands: string[] = [];
  const options: string[] = [];
  const seen = new Set<string>();
  const queue = [...args];
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === '--') {
      operands.push(...queue.splice(0));
    } else if (arg.startsWith('--')) {
      const [name = '', value] = splitOnce(arg);
      const short = LONG[name];
      if (short === undefined) throw new ConfigError('unknown-option', `unknown argument "${arg}"`);
      if (value !== undefined && !WITH_VALUE.includes(short.charAt(1))) {
        throw new ConfigError('bad-value', `${name} takes no value`);
      }
      queue.unshift(short, ...(value === undefined ? [] : [value]));
    } else if (arg.length > 1 && arg.startsWith('-')) {
      takeShort(arg.slice(1));
    } else {
      operands.push(arg);
    }
  }
  const kind = seen.has('h') ? 'help' : seen.has('V') ? 'version' : 'mount';
  if (kind === 'mount' && operands.length !== 2) {
    throw new ConfigError('missing', `expected a source and a mountpoint, got ${operands.length} operands`);
  }
  return { kind, operands, options, fake: seen.has('f'), sloppy: seen.has('s'), verbose: seen.has('v') };

  function takeShort(letters: string): void {
    for (let i = 0; i < letters.length; i++) {
      const letter = letters.charAt(i);
      if (WITH_VALUE.includes(letter)) {
        const value = letters.slice(i + 1) || queue.shift();
        if (value === undefined) throw new ConfigError('missing', `-${letter} needs a value`);
        takeValue(letter, value);
        return;
      }
      if (!'rwnsvfhV'.includes(letter)) throw new ConfigError('unknown-option', `unknown argument "-${letter}"`);
      seen.add(letter);
      if (letter === 'r') options.push('ro');
      if (letter === 'w') options.push('rw');
    }
  }

  function takeValue(letter: string, value: string): void {
    if (letter === 'o') options.push(value);
    if (letter === 'N') {
      throw new ConfigError(
        'bad-value',
        `-N ${value}: mounting into another namespace is not supported; enter it first: nsenter --mount=${value} mount.curvefs ...`,
      );
    }
  }
}

function splitOnce(text: string): readonly [string, string | undefined] {
  const at = text.indexOf('=');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
