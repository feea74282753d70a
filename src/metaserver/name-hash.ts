/**
 * HalfSipHash-1-3 with 64 bits of output, cut to 48: the hash of a directory entry's name, keyed per filesystem so that nobody can choose names that collide.
 * It fixes the order of a listing and the readdir cookie, so it is part of the stored format.
 */
export class NameHash {
  readonly #k0: number;
  readonly #k1: number;

  /** `key`: 8 bytes. */
  constructor(key: Uint8Array) {
    const view = new DataView(key.buffer, key.byteOffset, 8);
    this.#k0 = view.getUint32(0, true);
    this.#k1 = view.getUint32(4, true);
  }

  /** 1 … 2^48 - 1: never 0, so that every cookie (hash · 32 + place) is at least 32. */
  of(name: Uint8Array): number {
    let v0 = this.#k0;
    let v1 = this.#k1 ^ 0xee;
    let v2 = 0x6c796765 ^ this.#k0;
    let v3 = 0x74656462 ^ this.#k1;
    const length = name.length;
    const words = length >>> 2;
    // words + 1 message rounds, then 3 + 3 rounds that squeeze the output out
    let low = 0;
    for (let i = 0; i < words + 7; i++) {
      let m = 0;
      if (i < words) {
        const at = i << 2;
        m = name[at]! | (name[at + 1]! << 8) | (name[at + 2]! << 16) | (name[at + 3]! << 24);
      } else if (i === words) {
        m = length << 24;
        const at = words << 2;
        const rest = length & 3;
        if (rest > 0) m |= name[at]!;
        if (rest > 1) m |= name[at + 1]! << 8;
        if (rest > 2) m |= name[at + 2]! << 16;
      } else if (i === words + 1) {
        v2 ^= 0xee;
      } else if (i === words + 4) {
        low = (v1 ^ v3) >>> 0;
        v1 ^= 0xdd;
      }
      v3 ^= m;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= m;
    }
    const hash = ((v1 ^ v3) & 0xffff) * 2 ** 32 + low;
    return hash === 0 ? 1 : hash;
  }
}
