import { collectDefaultMetrics, Registry, type Metric } from 'prom-client';
import { assert } from '../common/assert.js';
import type { Counter, Histogram, MetricsRegistry, MetricSpec } from '../common/metrics.js';
import { CounterCell, GaugeCell, HistogramCell, type Labels, type Sample } from './metric-cells.js';

const PREFIX = 'curvefs_';

/** What a family's children have in common. */
interface Cell {
  readonly labels: Labels;
  samples(): readonly Sample[];
}

/** All children of one metric name, in the shape that prom-client's registry reads. */
interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labelNames: readonly string[];
  readonly cells: Map<string, Cell>;
  get(): Promise<{ readonly name: string; readonly help: string; readonly type: string; readonly values: Sample[] }>;
  reset(): void;
}

/**
 * Metrics of one process, printed by prom-client. Children are cells of ours, made once and then touched without a look-up; a name always has the
 * same type, help and labels (anything else is a bug and throws).
 */
export class PromMetrics implements MetricsRegistry {
  readonly #registry = new Registry();
  readonly #families = new Map<string, Family>();

  /** `processMetrics`: add memory, CPU, event loop and garbage collection of this process. */
  constructor(opts: { readonly processMetrics: boolean }) {
    if (opts.processMetrics) collectDefaultMetrics({ register: this.#registry });
  }

  counter(spec: MetricSpec, labels: Labels = {}): Counter {
    return this.#cell(spec, 'counter', labels, () => new CounterCell(labels));
  }

  gauge(spec: MetricSpec, read: () => number, labels: Labels = {}): void {
    // a later owner of the same gauge (a restarted part) takes its place
    this.#family(spec, 'gauge', labels).cells.set(keyOf(labels), new GaugeCell(labels, read));
  }

  histogram(spec: MetricSpec & { readonly buckets: readonly number[] }, labels: Labels = {}): Histogram {
    const name = PREFIX + spec.name;
    return this.#cell(spec, 'histogram', labels, () => new HistogramCell(name, labels, spec.buckets));
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics in the Prometheus text format. */
  exposition(): Promise<string> {
    return this.#registry.metrics();
  }

  #cell<T extends Cell>(spec: MetricSpec, type: Family['type'], labels: Labels, make: () => T): T {
    const { cells } = this.#family(spec, type, labels);
    const key = keyOf(labels);
    let cell = cells.get(key) as T | undefined;
    if (cell === undefined) {
      cell = make();
      cells.set(key, cell);
    }
    return cell;
  }

  #family(spec: MetricSpec, type: Family['type'], labels: Labels): Family {
    const name = PREFIX + spec.name;
    const labelNames = [...(spec.labels ?? [])].sort();
    assert(
      Object.keys(labels).sort().join() === labelNames.join(),
      `metric ${name} has the labels (${labelNames.join()}), given were (${Object.keys(labels).join()})`,
    );
    let family = this.#families.get(name);
    if (family === undefined) {
      family = makeFamily(name, spec.help, type, labelNames);
      this.#families.set(name, family);
      // the registry asks a metric for no more than this
      this.#registry.registerMetric(family as unknown as Metric);
    }
    assert(
      family.type === type && family.labelNames.join() === labelNames.join(),
      `metric ${name} is declared twice with different types or labels`,
    );
    return family;
  }
}

function makeFamily(name: string, help: string, type: Family['type'], labelNames: readonly string[]): Family {
  const cells = new Map<string, Cell>();
  return {
    name,
    help,
    type,
    labelNames,
    cells,
    get: () => Promise.resolve({ name, help, type, values: [...cells.values()].flatMap((cell) => cell.samples()) }),
    reset: () => cells.clear(),
  };
}

function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}
