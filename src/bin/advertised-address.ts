import { ConfigError } from '../config/config-error.js';
import { formatHostPort, type HostPort } from '../config/host-port.js';

const WILDCARDS = ['0.0.0.0', '::'];

/** The address that mounts are told, as `--advertise` says; undefined = where it listens, which a wildcard address cannot be. */
export function advertisedAddress(config: {
  readonly listen: HostPort;
  readonly advertise: HostPort | undefined;
}): string | undefined {
  if (config.advertise !== undefined) return formatHostPort(config.advertise);
  if (!WILDCARDS.includes(config.listen.host)) return undefined;
  const listen = formatHostPort(config.listen);
  throw new ConfigError(
    'missing',
    `--advertise HOST:PORT is required with --listen ${listen}: mounts cannot connect to that address`,
  );
}
