import type { Readable } from 'node:stream';
import { ObjectError } from './object-error.js';

/**
 * Reads a response body of a known length into one buffer; 'corrupt' when it ends early or goes on.
 * The stream's own errors reject as they are.
 */
export function readBody(stream: Readable, length: number, situation: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const buffer = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    stream.on('data', (chunk: Buffer) => {
      if (filled + chunk.length > length) {
        reject(new ObjectError('corrupt', `${situation}: the answer is longer than the ${length} bytes it announced`));
        stream.destroy();
        return;
      }
      chunk.copy(buffer, filled);
      filled += chunk.length;
    });
    stream.once('error', reject);
    stream.once('close', () => finish());
    stream.once('end', () => finish());

    function finish(): void {
      if (filled === length) resolve(buffer);
      else reject(new ObjectError('corrupt', `${situation}: the answer ended after ${filled} of ${length} bytes`));
    }
  });
}
