import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Fault, RecordedRequest } from './server.js';

/** The tests' S3 server in a process of its own, for tests whose client is another process or a kernel mount. */
export interface S3Process {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  addFault(fault: Fault): Promise<void>;
  clearFaults(): Promise<void>;
  requests(): Promise<readonly RecordedRequest[]>;
  stop(): Promise<void>;
}

export interface S3ProcessOptions {
  readonly bucket?: string;
  /** Keeps the objects in this directory instead of memory. */
  readonly directory?: string;
  /** The same port again, to come back after a stop. */
  readonly port?: number;
}

/** Starts it. It ends with `stop`, or with the process that started it. */
export async function startS3Process(opts: S3ProcessOptions = {}): Promise<S3Process> {
  const bucket = opts.bucket ?? 'curvefs-test';
  const accessKeyId = 'AKIDTEST';
  const secretAccessKey = 'test/secret+key=';
  const args = ['--access-key', accessKeyId, '--secret', secretAccessKey, '--bucket', bucket, '--region', 'us-east-1'];
  if (opts.directory !== undefined) args.push('--dir', opts.directory);
  if (opts.port !== undefined) args.push('--port', String(opts.port));
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.js'), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([text]) => text as string),
    exited.then(([code]) => {
      throw new Error(`the S3 server ended with ${String(code)} before it listened`);
    }),
  ]);
  const { port, controlPort } = JSON.parse(line) as { port: number; controlPort: number };
  const control = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${controlPort}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  return {
    endpoint: `http://127.0.0.1:${port}`,
    bucket,
    accessKeyId,
    secretAccessKey,
    addFault: async (fault) => void (await control('POST', '/faults', fault)),
    clearFaults: async () => void (await control('DELETE', '/faults')),
    requests: async () => (await control('GET', '/requests')) as RecordedRequest[],
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
