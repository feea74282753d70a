import { fileStore } from '../../helpers/test-store.js';
import { describePrograms, QUICK } from './programs-suite.js';

describePrograms('programs on a file store', (dir) => Promise.resolve(fileStore(`${dir}/objects`)), QUICK);
