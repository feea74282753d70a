import { nodeDeps } from '../cli/node-deps.js';
import { runCli } from '../cli/run-cli.js';

/* The administration tool: tools/curvefs starts it. */

// a reader that went away (`| head`) is no reason for a stack trace
process.stdout.on('error', () => process.exit(1));

const deps = nodeDeps({
  runStandalone: async (config) => (await import('./standalone.js')).runStandalone(config),
  runMds: async (config) => (await import('./mds.js')).runMds(config),
  runMetaserver: async (config) => (await import('./metaserver.js')).runMetaserver(config),
});
process.exit(await runCli(process.argv.slice(2), deps));
