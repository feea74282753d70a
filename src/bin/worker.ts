import { runWorker } from '../client/run-worker.js';

/** The worker of a mount, started by its supervisor. A pool thread may still be held by the kernel: exit does not wait for it. */
process.exit(await runWorker());
