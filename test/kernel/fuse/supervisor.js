/**
 * A minimal supervisor for the takeover test: opens /dev/fuse and mounts, and lets worker after worker serve the inherited descriptor.
 * When a worker dies it starts the next one, which resumes from the state file. Ends when a worker ends by itself.
 */
import { spawn } from 'node:child_process';
import { openFuseDevice } from '../../../dist/bench/src/fuse/device/open-fuse-device.js';
import { mountFuse } from '../../../dist/bench/src/fuse/mount/mount-fuse.js';

const [main, target, state, ...rest] = process.argv.slice(2);
process.chdir('/');
const fd = openFuseDevice();
const options = { defaultPermissions: true, allowOther: true };
await mountFuse({ fd, source: 'nullfs', target, subtype: 'nullfs', options });

function start(resume) {
  const args = [main, target, '--fd', '3', '--state', state, '--verbose', ...(resume ? ['--resume'] : []), ...rest];
  const worker = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', fd] });
  console.log(`worker ${worker.pid}`);
  worker.on('exit', (code, signal) => {
    if (signal === 'SIGKILL') start(true);
    else process.exit(code ?? 1);
  });
}
start(false);
