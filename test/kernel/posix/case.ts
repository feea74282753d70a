/**
 * One row of a table: a name and a script. A line (or what a `;` separates) is one system call:
 *
 *     [user:] call argument … [-> expectation | => slot]
 *
 * The user is `root` when none is named. An argument is a word or a JSON string. Without an expectation the call must succeed. An expectation is an
 * errno name, a literal result, or terms on the attributes that a stat call returns: `mode=0644 uid=1000`, and against what an
 * earlier `=> slot` saved, `mtime>slot` (later than), `ino=slot`, `ino!slot`.
 */
export interface Case {
  readonly name: string;
  readonly script: string;
  /** Why the reference (tmpfs) differs legitimately; the row runs on the mount only. */
  readonly mountOnly?: string;
}

/** One system call of a case. */
export interface Step {
  readonly line: string;
  readonly user: string;
  readonly call: string;
  readonly args: readonly string[];
  readonly expected: string | undefined;
  readonly slot: string | undefined;
}

export type Attributes = Readonly<Record<string, string | number | boolean>>;
/** What a call answered: its value, or the name of its errno. */
export type Answer = readonly ['ok', string | number | null | Attributes] | readonly ['err', string];

const TOKEN = /"(?:[^"\\]|\\.)*"|\S+/g;

export function parseCase(script: string): Step[] {
  return script
    .split(/\n|;\s/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseStep);
}

function parseStep(line: string): Step {
  const tokens = line.match(TOKEN) ?? [];
  const user = tokens[0]?.endsWith(':') === true ? tokens.shift()!.slice(0, -1) : 'root';
  const arrow = tokens.findIndex((token) => token === '->' || token === '=>');
  const [call, ...args] = (arrow < 0 ? tokens : tokens.slice(0, arrow)).map(unquoted);
  if (call === undefined) throw new Error(`no call in "${line}"`);
  const rest = arrow < 0 ? undefined : tokens.slice(arrow + 1).join(' ');
  return {
    line,
    user,
    call,
    args,
    expected: tokens[arrow] === '->' ? rest : undefined,
    slot: tokens[arrow] === '=>' ? rest : undefined,
  };
}

const unquoted = (token: string): string => (token.startsWith('"') ? (JSON.parse(token) as string) : token);

/** What is wrong with the answers of a case: the first step that did not do as it says. Undefined = nothing. */
export function judge(steps: readonly Step[], answers: readonly Answer[]): string | undefined {
  const slots = new Map<string, Attributes>();
  for (const [index, step] of steps.entries()) {
    const answer = answers[index];
    if (answer === undefined) return `${step.line}: not run`;
    const wrong = mismatch(step, answer, slots);
    if (wrong !== undefined) return `${abbreviate(step.line)}: ${wrong}`;
    if (step.slot !== undefined && typeof answer[1] === 'object' && answer[1] !== null) slots.set(step.slot, answer[1]);
  }
  return undefined;
}

function mismatch(step: Step, answer: Answer, slots: ReadonlyMap<string, Attributes>): string | undefined {
  const { expected } = step;
  const got = answer[1];
  if (answer[0] === 'err') return expected === answer[1] ? undefined : `failed with ${answer[1]}`;
  if (expected === undefined) return undefined;
  if (/^E[A-Z0-9]+$/.test(expected)) return `did not fail, but returned ${JSON.stringify(got)}`;
  if (typeof got === 'object' && got !== null) {
    const failed = expected.split(' ').filter((term) => !holds(term, got, slots));
    return failed.length === 0 ? undefined : `${failed.join(' ')} does not hold of ${JSON.stringify(got)}`;
  }
  return String(got ?? '') === unquoted(expected) ? undefined : `returned ${JSON.stringify(got)}`;
}

function holds(term: string, got: Attributes, slots: ReadonlyMap<string, Attributes>): boolean {
  const match = /^(\w+)([=>!])(.*)$/.exec(term);
  if (match === null) throw new Error(`"${term}" is no term of an expectation`);
  const [, key, operator, operand] = match as unknown as [string, string, string, string];
  const value = got[key];
  if (value === undefined) throw new Error(`"${term}": no attribute ${key}`);
  const saved = slots.get(operand)?.[key];
  switch (operator) {
    case '>':
      if (saved === undefined) throw new Error(`"${term}": nothing saved as ${operand}`);
      return BigInt(String(value)) > BigInt(String(saved));
    case '!':
      return String(value) !== String(saved ?? operand);
    default:
      if (saved !== undefined) return value === saved;
      return String(value) === (key === 'mode' ? String(parseInt(operand, 8)) : operand);
  }
}

const abbreviate = (line: string): string =>
  line.replace(/\S{80,}/g, (word) => `${word.slice(0, 20)}…(${word.length})`);
