import { MOUNT_OPTIONS } from './mount-options.js';
import type { AnyOption, OptionTable } from './option.js';
import { flagName } from './flag-values.js';
import { MDS_OPTIONS, METASERVER_OPTIONS, STANDALONE_OPTIONS } from './server-options.js';

const HEAD = `# Configuration

<!-- Generated from src/config by \`node tools/dev/generate-docs.js\`: do not edit. -->

Sizes: bytes, or with a unit as in \`4MiB\`, \`100G\` (K = KiB = 1024, KB = 1000, up to P). Times: seconds, or with a unit: \`500ms\`, \`5s\`, \`2m\`, \`1h\`, \`1d\`.
Addresses: \`HOST:PORT\`, IPv6 in brackets. Commands that talk to the MDS take its address from \`--mds\` or the environment variable \`CURVEFS_MDS\`.
`;

const MOUNT_INTRO = `The source is \`HOST:PORT[,HOST:PORT...]:/NAME[/SUBDIR]\`: the addresses of the MDS, the filesystem, and optionally the directory of it that becomes the root of
the mount. Options go behind \`-o\`, separated by commas; \`-\` and \`_\` in names are the same; a value with a comma is quoted: \`log="/var/log/a,b"\`. A flag stands alone or with \`=true\` or
\`=false\`. The last word on an option wins.

Options of mount(8) work as usual: \`ro rw\`, \`nosuid suid\`, \`nodev dev\`, \`noexec exec\`, \`noatime relatime strictatime nodiratime lazytime\`, \`sync async dirsync\`, \`nosymfollow\`. What concerns
mount(8), systemd or libfuse alone is accepted and changes nothing: \`defaults auto noauto _netdev nofail user users group owner comment= default_permissions x-*\`. Any other option is an error.
`;

/** The text of docs/CONFIGURATION.md. */
export function renderConfigurationDoc(): string {
  return [
    HEAD,
    '## Mounting\n',
    MOUNT_INTRO,
    table(MOUNT_OPTIONS, (def) => def.name),
    '## `curvefs standalone`\n',
    table(STANDALONE_OPTIONS, (def) => flagName(def.name)),
    '## `curvefs mds`\n',
    table(MDS_OPTIONS, (def) => flagName(def.name)),
    '## `curvefs metaserver`\n',
    table(METASERVER_OPTIONS, (def) => flagName(def.name)),
  ].join('\n');
}

function table(options: OptionTable, nameOf: (def: AnyOption) => string): string {
  const rows = Object.values(options).map((def) =>
    [
      `\`${nameOf(def)}\``,
      def.type.valueName === undefined ? 'flag' : code(def.type.valueName),
      defaultOf(def),
      cell(def.description),
    ].join(' | '),
  );
  return [
    '| option | value | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
    '',
  ].join('\n');
}

/** The default as it would be written. */
export function defaultOf(def: AnyOption): string {
  if (def.required === true) return def.env === undefined ? 'required' : `required, or \`${def.env}\``;
  if (def.defaultText !== undefined) return cell(def.defaultText);
  if (def.type.valueName === undefined) return def.default === true ? 'on' : 'off';
  return code(def.type.format(def.default));
}

function code(text: string): string {
  return `\`${cell(text)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
