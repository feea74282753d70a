/**
 * Writes docs/CONFIGURATION.md from the option tables (needs dist/) and docs/METRICS.md from the metric declarations in src/.
 * `--check` writes nothing and exits 1 when a committed file differs.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { renderConfigurationDoc } from '../../dist/config/render-docs.js';

const ROOT = join(import.meta.dirname, '..', '..');
const METRICS_HEAD = `# Metrics

<!-- Generated from src by \`node tools/dev/generate-docs.js\`: do not edit. -->

Served at \`/metrics\` where an address is given (\`metrics=\` of a mount, \`--metrics\` of a service), beside the usual metrics of a Node process
(\`process_*\`, \`nodejs_*\`).

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
`;

/** Every object literal with a literal \`name\` and \`help\` in src/ is a metric; the last word of its name, or its buckets, say which kind. */
function findMetrics() {
  const found = new Map();
  const files = readdirSync(join(ROOT, 'src'), { recursive: true }).filter((name) => name.endsWith('.ts'));
  for (const name of files) {
    if (name.startsWith('gen/')) continue;
    const path = join(ROOT, 'src', name);
    const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
    visit(source);
    function visit(node) {
      if (ts.isObjectLiteralExpression(node)) addMetric(found, node, source, relative(ROOT, path));
      ts.forEachChild(node, visit);
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function addMetric(found, node, source, path) {
  const fields = new Map(
    node.properties
      .filter((p) => ts.isPropertyAssignment(p) || ts.isShorthandPropertyAssignment(p))
      .map((p) => [p.name.getText(source), p.initializer]),
  );
  const name = literal(fields.get('name'));
  const help = literal(fields.get('help'));
  if (name === undefined || help === undefined) return;
  const labels = fields.get('labels');
  const labelNames = labels !== undefined && ts.isArrayLiteralExpression(labels) ? labels.elements.map(literal) : [];
  const kind = fields.has('buckets') ? 'histogram' : name.endsWith('_total') ? 'counter' : 'gauge';
  const previous = found.get(name);
  if (previous !== undefined && previous.help !== help) throw new Error(`${path}: metric ${name} has two help texts`);
  found.set(name, { name, help, kind, labelNames });
}

function literal(node) {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
}

function renderMetricsDoc() {
  const rows = findMetrics().map(
    ({ name, help, kind, labelNames }) =>
      `| \`curvefs_${name}\` | ${kind} | ${labelNames.map((label) => `\`${label}\``).join(' ')} | ${help.replaceAll('|', '\\|')} |\n`,
  );
  return METRICS_HEAD + rows.join('');
}

const check = process.argv.includes('--check');
for (const [name, text] of [
  ['docs/CONFIGURATION.md', renderConfigurationDoc()],
  ['docs/METRICS.md', renderMetricsDoc()],
]) {
  const path = join(ROOT, name);
  if (!check) {
    writeFileSync(path, text);
  } else if (readFileSync(path, 'utf8') !== text) {
    console.error(`${name} is not current: run npm run build && node tools/dev/generate-docs.js`);
    process.exitCode = 1;
  }
}
