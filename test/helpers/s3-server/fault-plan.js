/**
 * What the server shall do wrong, and when: rules that match operations and run out.
 *
 * @typedef {object} Fault
 * @property {string} [op]        PutObject, GetObject, HeadObject, DeleteObject, DeleteObjects, ListObjectsV2, HeadBucket …; absent = any
 * @property {string} [match]     only keys that contain this
 * @property {number} [skip]      let so many matching requests pass first
 * @property {number} [count]     how many requests it applies to (1); -1 = all
 * @property {number} [status]    answer this HTTP status …
 * @property {string} [code]      … with this S3 code (InternalError)
 * @property {number} [delayMs]   wait first
 * @property {'drop' | 'hang' | 'truncate' | 'corrupt' | 'drop-after' | 'stall'} [action]
 *   drop = cut the connection unanswered; drop-after = do it, then cut; hang = never answer;
 *   truncate = cut in the middle of the body; stall = stop in the middle of the body; corrupt = flip a bit of the body
 */
export class FaultPlan {
  /** @type {(Fault & { skip: number, count: number })[]} */
  #faults = [];

  /** @param {Fault} fault */
  add(fault) {
    this.#faults.push({ ...fault, skip: fault.skip ?? 0, count: fault.count ?? 1 });
  }

  clear() {
    this.#faults = [];
  }

  /**
   * The fault that this request meets, used up by one.
   *
   * @returns {Fault | undefined}
   */
  take(op, key) {
    const fault = this.#faults.find(
      (each) => (each.op ?? op) === op && (each.match === undefined || key.includes(each.match)),
    );
    if (fault === undefined) return undefined;
    if (fault.skip > 0) {
      fault.skip--;
      return undefined;
    }
    if (fault.count > 0 && --fault.count === 0) this.#faults.splice(this.#faults.indexOf(fault), 1);
    return fault;
  }
}
