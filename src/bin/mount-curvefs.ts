import { nodeDeps } from '../cli/node-deps.js';
import { runMountHelper } from '../cli/run-mount-helper.js';

/* The helper of mount(8): mount.curvefs starts it. */

const notHere = (): Promise<number> => Promise.reject(new Error('mount.curvefs runs no services'));
const deps = nodeDeps({ runStandalone: notHere, runMds: notHere, runMetaserver: notHere });
process.exit(await runMountHelper(process.argv.slice(2), deps));
