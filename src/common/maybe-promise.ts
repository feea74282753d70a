/** A value that is there already, or will be. Hot paths return the value, so that no promise is made for a cache hit. */
export type MaybePromise<T> = T | Promise<T>;

/** True when the value is still to come. */
export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return value instanceof Promise;
}

/** Applies `fn` at once to a value that is there, else when it comes. A throw of `fn` is thrown, or rejects. */
export function mapMaybe<T, R>(value: MaybePromise<T>, fn: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return isPromise(value) ? value.then(fn) : fn(value);
}
