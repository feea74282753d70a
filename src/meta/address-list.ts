import { FsError } from '../common/fs-error.js';

/** Most addresses of one service: more is a mistake. */
const ADDRESSES_MAX = 16;
const ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:[\]/,]+):(\d{1,5})$/;

/** Reads `HOST:PORT[,HOST:PORT…]` (an IPv6 address stands in brackets); throws EINVAL naming the part that is wrong. */
export function parseAddressList(text: string): readonly string[] {
  const addresses = text.split(',').map((part) => part.trim());
  if (addresses.length > ADDRESSES_MAX) throw new FsError('EINVAL', `more than ${ADDRESSES_MAX} addresses`);
  for (const address of addresses) {
    const port = Number(ADDRESS.exec(address)?.[1]);
    if (!(port >= 1 && port <= 65_535)) throw new FsError('EINVAL', `"${address}" is not HOST:PORT`);
  }
  return addresses;
}
