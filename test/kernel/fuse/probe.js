/** Prints what is at a path, as `probeMount` sees it. */
import { probeMount } from '../../../dist/bench/src/fuse/mount/probe-mount.js';

console.log(await probeMount(process.argv[2], 1000));
