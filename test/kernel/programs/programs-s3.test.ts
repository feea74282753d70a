import { having } from '../../helpers/prerequisites.js';
import { environmentNamesStore, environmentStore, versitygwStore } from '../../helpers/test-store.js';
import { findVersitygw } from '../../helpers/versitygw.js';
import { describePrograms, QUICK } from './programs-suite.js';

const versitygw = await findVersitygw();
describePrograms('programs on versitygw', (dir) => versitygwStore(dir, versitygw!), {
  ...QUICK,
  needs: [having('versitygw, or Go to install it', versitygw !== undefined)],
});

if (environmentNamesStore()) {
  describePrograms('programs on the S3 store of the environment', () => Promise.resolve(environmentStore()), QUICK);
}
