/** An encoded Response (without request id) on its way to a stream. */
export interface OutgoingResponse {
  readonly requestId: bigint;
  readonly body: Uint8Array;
}

const TAG_RESPONSE = 0x12;
const TAG_REQUEST_ID = 0x08;
const TAG_SERVER_TIME = 0x18;
const VARINT_MAX = 10;

/** Upper bound of what a response takes in a frame. */
export function outgoingBytes({ body }: OutgoingResponse): number {
  return body.length + 24;
}

/**
 * Encodes a ServerFrame of responses that are encoded already: the request id goes before the stored bytes, and nothing is decoded or encoded twice.
 * `head` is the encoded rest of the frame (attached, end), often empty.
 */
export function encodeFrame(head: Uint8Array, responses: readonly OutgoingResponse[], serverTimeNs: bigint): Buffer {
  let bytes = head.length + 1 + VARINT_MAX;
  for (const response of responses) bytes += outgoingBytes(response);
  const frame = Buffer.allocUnsafe(bytes);
  frame.set(head, 0);
  let at = head.length;
  for (const { requestId, body } of responses) {
    frame[at++] = TAG_RESPONSE;
    at = writeVarint(frame, at, 1 + varintBytes(requestId) + body.length);
    frame[at++] = TAG_REQUEST_ID;
    at = writeBigVarint(frame, at, requestId);
    frame.set(body, at);
    at += body.length;
  }
  frame[at++] = TAG_SERVER_TIME;
  // zigzag: the clock is after 1970
  at = writeBigVarint(frame, at, serverTimeNs * 2n);
  return frame.subarray(0, at);
}

function writeVarint(frame: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest > 127) {
    frame[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  frame[at++] = rest;
  return at;
}

function writeBigVarint(frame: Buffer, start: number, value: bigint): number {
  let at = start;
  let rest = value;
  while (rest > 127n) {
    // 28 bits at a time as a number, so that few big integers are made
    let low = Number(rest & 0xfffffffn);
    rest >>= 28n;
    for (let i = 0; i < 4; i++) {
      if (rest === 0n && low <= 127) {
        frame[at++] = low;
        return at;
      }
      frame[at++] = (low & 127) | 128;
      low >>>= 7;
    }
  }
  frame[at++] = Number(rest);
  return at;
}

function varintBytes(value: bigint): number {
  let bytes = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) bytes++;
  return bytes;
}
