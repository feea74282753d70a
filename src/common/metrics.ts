/**
 * Metrics as the layers see them; `observability/` implements them on prom-client.
 * Names carry their unit as suffix (`_seconds`, `_bytes`, `_total`); label children are resolved once, not per event.
 */
export interface Counter {
  inc(by?: number): void;
}

export interface Histogram {
  observe(value: number): void;
}

/** A metric's description: name without the `curvefs_` prefix, help text, label names. */
export interface MetricSpec {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

export interface MetricsRegistry {
  /** A counter; calling it again with the same name and other label values gives a sibling child. */
  counter(spec: MetricSpec, labels?: Readonly<Record<string, string>>): Counter;
  /** A gauge read when scraped. */
  gauge(spec: MetricSpec, read: () => number, labels?: Readonly<Record<string, string>>): void;
  /** A histogram with the given upper bounds, in the unit of the name. */
  histogram(
    spec: MetricSpec & { readonly buckets: readonly number[] },
    labels?: Readonly<Record<string, string>>,
  ): Histogram;
}

/** Counts nothing: tests and tools. */
export const noMetrics: MetricsRegistry = {
  counter: () => ({ inc: () => undefined }),
  gauge: () => undefined,
  histogram: () => ({ observe: () => undefined }),
};
