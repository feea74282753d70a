import type { MdsClient } from '../meta/mds-client.js';

/** The MDS as the tool sees it. Errors are one-line messages that name the service where it matters. */
export type MdsAdmin = Pick<MdsClient, 'status' | 'createFs' | 'getFs' | 'listFs' | 'deleteFs' | 'close'>;
