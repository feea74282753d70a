import { runSupervisor } from '../client/run-supervisor.js';

/** The supervisor of a mount, started by the mount command. A pool thread may still be held by the kernel: exit does not wait for it. */
process.exitCode = await runSupervisor();
if (process.connected) process.disconnect();
process.exit();
