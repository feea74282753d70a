import type { Counter, Histogram } from '../common/metrics.js';

/** Label values of one child, as prom-client prints them. */
export type Labels = Readonly<Record<string, string>>;

/** One line of the exposition. */
export interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** A counter's child: one addition per event (prom-client's own children hash their labels each time). */
export class CounterCell implements Counter {
  #value = 0;

  constructor(readonly labels: Labels) {}

  inc(by = 1): void {
    this.#value += by;
  }

  samples(): readonly Sample[] {
    return [{ labels: this.labels, value: this.#value }];
  }
}

/** A gauge's child: read when scraped. */
export class GaugeCell {
  constructor(
    readonly labels: Labels,
    readonly read: () => number,
  ) {}

  samples(): readonly Sample[] {
    return [{ labels: this.labels, value: this.read() }];
  }
}

/** A histogram's child: a count per bucket (not cumulative until scraped). */
export class HistogramCell implements Histogram {
  readonly #name: string;
  readonly #bounds: Float64Array;
  /** INVARIANT: one more than bounds; the last counts what exceeds all. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(
    name: string,
    readonly labels: Labels,
    bounds: readonly number[],
  ) {
    this.#name = name;
    this.#bounds = Float64Array.from(bounds);
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] as number)) index += 1;
    (this.#counts[index] as number) += 1;
    this.#sum += value;
  }

  samples(): readonly Sample[] {
    const samples: Sample[] = [];
    let total = 0;
    this.#counts.forEach((count, index) => {
      total += count;
      const le = this.#bounds[index] ?? '+Inf';
      samples.push({ metricName: `${this.#name}_bucket`, labels: { ...this.labels, le }, value: total });
    });
    samples.push({ metricName: `${this.#name}_sum`, labels: this.labels, value: this.#sum });
    samples.push({ metricName: `${this.#name}_count`, labels: this.labels, value: total });
    return samples;
  }
}
