import { ownS3Store } from '../../helpers/test-store.js';
import { describePrograms, FULL } from './programs-suite.js';

describePrograms("programs on the tests' own S3 server", ownS3Store, FULL);
