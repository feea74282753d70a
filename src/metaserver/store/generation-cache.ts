/**
 * A bounded cache of two generations: what is used moves to the young one; when that holds half of the bound, the old one is dropped and the young one takes its place.
 * Close to LRU in what it keeps, and two Map operations where an LRU list costs an allocation.
 */
export class GenerationCache<Value> {
  readonly #weightMax: number;
  readonly #weigh: (value: Value) => number;
  /** INVARIANT: the sum of `#weigh` over `#young`, at most half of `#weightMax` between calls. */
  #youngWeight = 0;
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  constructor(weightMax: number, weigh: (value: Value) => number) {
    this.#weightMax = weightMax;
    this.#weigh = weigh;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: Value): void {
    const before = this.#young.get(key);
    if (before !== undefined) this.#youngWeight -= this.#weigh(before);
    // a value of the old generation that is hidden now must not come back
    else this.#old.delete(key);
    this.#young.set(key, value);
    this.#youngWeight += this.#weigh(value);
    if (this.#youngWeight * 2 <= this.#weightMax) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngWeight = 0;
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#youngWeight = 0;
  }
}
