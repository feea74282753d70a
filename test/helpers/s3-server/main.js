// The server as a process: prints {"port":…,"controlPort":…} as its first line, and ends at SIGTERM, or when its standard
// input ends, so that it does not outlive a test that was killed.
import { parseArgs } from 'node:util';
import { startControl } from './control.js';
import { S3Server } from './server.js';
import { DirectoryStorage, MemoryStorage } from './storage.js';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'control-port': { type: 'string', default: '0' },
    'access-key': { type: 'string', default: 'test' },
    secret: { type: 'string', default: 'test-secret' },
    region: { type: 'string' },
    domain: { type: 'string' },
    bucket: { type: 'string', multiple: true, default: [] },
    dir: { type: 'string' },
    'no-stdin': { type: 'boolean', default: false },
  },
});

const server = new S3Server({
  accessKeyId: values['access-key'],
  secretAccessKey: values.secret,
  buckets: values.bucket,
  storage: values.dir === undefined ? new MemoryStorage() : new DirectoryStorage(values.dir),
  ...(values.region === undefined ? {} : { region: values.region }),
  ...(values.domain === undefined ? {} : { domain: values.domain }),
});
const port = await server.start(Number(values.port));
const control = await startControl(server, Number(values['control-port']));
console.log(JSON.stringify({ port, controlPort: control.port }));

const stop = async () => {
  await Promise.all([server.close(), control.close()]);
  process.exit(0);
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
if (!values['no-stdin']) {
  process.stdin.on('end', stop);
  process.stdin.resume();
}
