import { expect, test } from '@jest/globals';
import { parseProcStatus, readProcStatus } from '../../../src/vfs/proc-status.js';

const TEXT = `Name:\tx
Uid:\t1000\t1001\t1002\t1003
Gid:\t5\t6\t7\t8
FDSize:\t64
Groups:\t4 24 1003 
CapEff:\t000000000000000a
`;

test('takes the fs ids, the groups and the effective capabilities', () => {
  expect(parseProcStatus(TEXT)).toEqual({
    fsuid: 1003,
    fsgid: 8,
    groups: new Set([4, 24, 1003]),
    capabilities: 10n,
  });
});

test('no groups at all', () => {
  expect(parseProcStatus(TEXT.replace(/Groups:.*/, 'Groups:\t'))?.groups.size).toBe(0);
});

test.each(['Uid', 'Gid', 'Groups', 'CapEff'])('a text without %s is nothing', (key) => {
  expect(parseProcStatus(TEXT.replace(new RegExp(`^${key}:.*$`, 'm'), ''))).toBeUndefined();
});

test('reads this very process, and nothing for a thread that is not there', () => {
  expect(readProcStatus(process.pid)?.fsuid).toBe(process.geteuid?.());
  expect(readProcStatus(2 ** 22 + 1)).toBeUndefined();
});
