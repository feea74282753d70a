import { afterEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '../../../src/common/logger.js';
import { MetricsServer, type Health } from '../../../src/observability/metrics-server.js';
import { PromMetrics } from '../../../src/observability/prom-metrics.js';

describe('metrics', () => {
  test('prints counters, gauges and histograms of several children', async () => {
    const metrics = new PromMetrics({ processMetrics: false });
    const spec = { name: 'ops_total', help: 'Operations', labels: ['op'] };
    const read = metrics.counter(spec, { op: 'read' });
    read.inc();
    read.inc(2);
    metrics.counter(spec, { op: 'read' }).inc();
    metrics.counter(spec, { op: 'wr"ite' }).inc();
    let level = 1;
    metrics.gauge({ name: 'level_bytes', help: 'Level' }, () => level);
    level = 7;
    const seconds = metrics.histogram(
      { name: 'op_seconds', help: 'Time', labels: ['op'], buckets: [0.1, 1] },
      { op: 'x' },
    );
    for (const value of [0.05, 0.1, 0.5, 3]) seconds.observe(value);
    const lines = (await metrics.exposition()).split('\n').filter((line) => line !== '' && !line.startsWith('# HELP'));
    expect(lines).toEqual([
      '# TYPE curvefs_ops_total counter',
      'curvefs_ops_total{op="read"} 4',
      'curvefs_ops_total{op="wr\\"ite"} 1',
      '# TYPE curvefs_level_bytes gauge',
      'curvefs_level_bytes 7',
      '# TYPE curvefs_op_seconds histogram',
      'curvefs_op_seconds_bucket{op="x",le="0.1"} 2',
      'curvefs_op_seconds_bucket{op="x",le="1"} 3',
      'curvefs_op_seconds_bucket{op="x",le="+Inf"} 4',
      'curvefs_op_seconds_sum{op="x"} 3.65',
      'curvefs_op_seconds_count{op="x"} 4',
    ]);
  });

  test('a name has one type and one set of labels', () => {
    const metrics = new PromMetrics({ processMetrics: false });
    metrics.counter({ name: 'a_total', help: '', labels: ['x'] }, { x: '1' });
    expect(() => metrics.gauge({ name: 'a_total', help: '', labels: ['x'] }, () => 0, { x: '1' })).toThrow('twice');
    expect(() => metrics.counter({ name: 'a_total', help: '', labels: ['x'] }, {})).toThrow('labels');
  });

  test('shows the process when asked', async () => {
    const text = await new PromMetrics({ processMetrics: true }).exposition();
    expect(text).toContain('process_resident_memory_bytes');
  });
});

describe('metrics server', () => {
  let server: MetricsServer | undefined;
  afterEach(() => server?.close());

  async function start(health: () => Health) {
    const metrics = new PromMetrics({ processMetrics: false });
    metrics.counter({ name: 'a_total', help: 'A' }).inc();
    server = await MetricsServer.start(
      { logger: silentLogger, metrics, health },
      { address: { host: '127.0.0.1', port: 0 } },
    );
    return (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${server?.address.port}${path}`, init);
  }

  test('serves metrics and health', async () => {
    let ok = true;
    const get = await start(() => ({ ok, detail: ok ? 'ok' : 'metaserver away' }));
    const metrics = await get('/metrics');
    expect(metrics.status).toBe(200);
    expect(metrics.headers.get('content-type')).toContain('text/plain');
    expect(await metrics.text()).toContain('curvefs_a_total 1');
    expect(await (await get('/healthz?x')).text()).toBe('ok\n');
    ok = false;
    const bad = await get('/healthz');
    expect([bad.status, await bad.text()]).toEqual([503, 'metaserver away\n']);
    expect((await get('/other')).status).toBe(404);
    expect((await get('/metrics', { method: 'POST' })).status).toBe(405);
  });

  test('an address in use is an error that names it; close is idempotent', async () => {
    await start(() => ({ ok: true, detail: '' }));
    const address = { host: '127.0.0.1', port: server?.address.port ?? 0 };
    const metrics = new PromMetrics({ processMetrics: false });
    await expect(
      MetricsServer.start({ logger: silentLogger, metrics, health: () => ({ ok: true, detail: '' }) }, { address }),
    ).rejects.toThrow(`metrics cannot be served on 127.0.0.1:${address.port}: another program listens there`);
    await server?.close();
    await server?.close();
  });
});
