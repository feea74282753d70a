import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

/** To the worker: a notification to write. */
export interface NotifyOrder {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** From the worker: it was written (0), or not (a positive errno). */
export interface NotifyAnswer {
  readonly id: number;
  readonly errno: number;
}

/**
 * The worker thread in which the fallback device writes notifications that may block in the kernel. It must stay free of anything else:
 * while it is blocked it does nothing at all.
 */
if (parentPort !== null) {
  const port = parentPort;
  const fd = workerData as number;
  port.on('message', ({ id, bytes }: NotifyOrder) => {
    let errno = 0;
    try {
      writeSync(fd, bytes);
    } catch (error) {
      errno = Math.abs((error as NodeJS.ErrnoException).errno ?? 5);
    }
    const answer: NotifyAnswer = { id, errno };
    port.postMessage(answer);
  });
}
