/** The layers of docs/ARCHITECTURE.md: a folder of src/ and the folders it may import. `npm run layers` checks it. */
const layers = {
  common: [],
  gen: [],
  config: ['common'],
  observability: ['common', 'config'],
  fuse: ['common'],
  model: ['common'],
  object: ['common'],
  wire: ['common', 'gen', 'model'],
  meta: ['common', 'model', 'wire', 'gen'],
  journal: ['common'],
  data: ['common', 'model', 'journal', 'object', 'meta/metadata'],
  vfs: ['common', 'model', 'data', 'meta/metadata'],
  client: ['common', 'config', 'observability', 'fuse', 'model', 'object', 'wire', 'meta', 'journal', 'data', 'vfs'],
  kv: ['common', 'journal'],
  metaserver: ['common', 'config', 'model', 'kv', 'object', 'wire', 'gen', 'observability'],
  mds: ['common', 'config', 'model', 'kv', 'object', 'wire', 'gen', 'observability'],
  cli: ['common', 'config', 'model', 'gen', 'wire', 'meta', 'object', 'observability', 'client/launch'],
};

const allowed = (folder, imports) => [folder, ...imports].map((to) => `^src/${to}[/.]`).join('|');

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(layers).map(([folder, imports]) => ({
      name: `layer-${folder}`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: { path: '^src/', pathNot: allowed(folder, imports) },
    })),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: '^dist',
  },
};
