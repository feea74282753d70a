import { having } from '../../helpers/prerequisites.js';
import {
  environmentNamesStore,
  environmentStore,
  fileStore,
  ownS3Store,
  versitygwStore,
} from '../../helpers/test-store.js';
import { findVersitygw } from '../../helpers/versitygw.js';
import { describePrograms } from './programs-suite.js';

const MiB = 1024 ** 2;
const LONG = process.env['CURVEFS_TEST_LONG'] === '1';
const FULL = { transactions: LONG ? 10_000 : 1000, fioBytes: LONG ? 512 * MiB : 48 * MiB };
/** Every store sees every program; one of them sees the longest runs. */
const QUICK = LONG ? FULL : { transactions: 200, fioBytes: 16 * MiB };

describePrograms("programs on the tests' own S3 server", ownS3Store, FULL);

const versitygw = await findVersitygw();
describePrograms('programs on versitygw', (dir) => versitygwStore(dir, versitygw!), {
  ...QUICK,
  needs: [having('versitygw, or Go to install it', versitygw !== undefined)],
});

if (environmentNamesStore()) {
  describePrograms('programs on the S3 store of the environment', () => Promise.resolve(environmentStore()), QUICK);
}

describePrograms('programs on a file store', (dir) => Promise.resolve(fileStore(`${dir}/objects`)), QUICK);
