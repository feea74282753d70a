import { ObjectError } from './object-error.js';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

const FIELDS = {
  aws_access_key_id: 'accessKeyId',
  aws_secret_access_key: 'secretAccessKey',
  aws_session_token: 'sessionToken',
} as const;

/**
 * Reads the two forms a credentials file may have: AWS ini style, of which the section `[default]` (or the lines before
 * any section) counts, and one line `ACCESS:SECRET` as s3fs has it. Throws 'bad-credentials'; never quotes the file's content.
 */
export function parseCredentials(text: string, path: string): S3Credentials {
  const lines = text
    .split(/\r?\n/)
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#') && !line.startsWith(';'));
  const [first] = lines;
  if (first === undefined) throw wrong(path, 'is empty');
  return /^\[|^aws_\w+\s*=/i.test(first.line) ? parseIni(lines, path) : parsePair(lines, path);
}

function parseIni(lines: readonly { line: string; number: number }[], path: string): S3Credentials {
  const found: Partial<Record<(typeof FIELDS)[keyof typeof FIELDS], string>> = {};
  let section = 'default';
  for (const { line, number } of lines) {
    const header = /^\[\s*(.*?)\s*\]$/.exec(line);
    if (header !== null) {
      section = header[1] ?? '';
      continue;
    }
    const setting = /^([A-Za-z0-9_]+)\s*=\s*(.*)$/.exec(line);
    if (setting === null) throw wrong(path, `line ${number}: expected 'name = value' or '[section]'`);
    const name = (setting[1] ?? '').toLowerCase();
    // Other settings (region, output …) are common in such files and none of ours.
    if (section === 'default' && name in FIELDS) found[FIELDS[name as keyof typeof FIELDS]] = setting[2] ?? '';
  }
  return complete(found, path, ' in the section [default]');
}

function parsePair(lines: readonly { line: string; number: number }[], path: string): S3Credentials {
  const parts = (lines[0]?.line ?? '').split(':');
  if (lines.length !== 1 || parts.length !== 2) {
    throw wrong(
      path,
      `must be one line ACCESS:SECRET, or have [default] with aws_access_key_id and aws_secret_access_key`,
    );
  }
  return complete({ accessKeyId: parts[0] ?? '', secretAccessKey: parts[1] ?? '' }, path, '');
}

function complete(
  found: { accessKeyId?: string; secretAccessKey?: string; sessionToken?: string },
  path: string,
  where: string,
): S3Credentials {
  for (const [name, field] of Object.entries(FIELDS)) {
    const value = found[field];
    if (field === 'sessionToken' && value === undefined) continue;
    if (value === undefined || value === '') throw wrong(path, `has no ${name}${where}`);
    if (!/^[\x21-\x7e]+$/.test(value)) throw wrong(path, `${name} has a character that is not printable ASCII`);
  }
  const { accessKeyId = '', secretAccessKey = '', sessionToken } = found;
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

function wrong(path: string, reason: string): ObjectError {
  return new ObjectError('bad-credentials', `credentials file ${path} ${reason}`);
}
