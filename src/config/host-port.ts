import { ConfigError } from './config-error.js';

/** A network address; an IPv6 host has no brackets here. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const HOST_PORT = /^(?:\[([0-9a-fA-F:.%]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/;

/** Reads `host:port` or `[ipv6]:port`. Port 0 (any free one) is for those that listen. */
export function parseHostPort(text: string, options: { readonly allowPortZero?: boolean } = {}): HostPort {
  const match = HOST_PORT.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined) {
    throw new ConfigError('bad-value', `"${text}" is not HOST:PORT (examples: 127.0.0.1:6700, [::1]:6700)`);
  }
  if (port > 65535 || (port === 0 && options.allowPortZero !== true)) {
    throw new ConfigError('bad-value', `port ${port} in "${text}" is not between 1 and 65535`);
  }
  return Object.freeze({ host, port });
}

/** The text of an address, with brackets around an IPv6 host. */
export function formatHostPort(address: HostPort): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
