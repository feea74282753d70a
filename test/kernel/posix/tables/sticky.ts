import type { Case } from '../case.js';
import { USERS } from '../users.js';

/**
 * The sticky bit of directories, inode(7): what a caller may remove, rename or replace in one, in every combination of owners. Without CAP_FOWNER it must own the
 * entry or the directory.
 */
const OWNERS = ['root', 'u1', 'u2'];
const ACTORS = ['root', 'u1', 'u2', 'fowner', 'dac', 'nocaps'];
const KINDS: Readonly<Record<string, string>> = { file: 'create s/o 0666', directory: 'mkdir s/o 0777' };

interface Operation {
  readonly name: string;
  readonly call: (kind: string) => string;
}

const OPERATIONS: readonly Operation[] = [
  { name: 'remove', call: (kind) => (kind === 'file' ? 'unlink s/o' : 'rmdir s/o') },
  { name: 'rename within', call: () => 'rename s/o s/n' },
  { name: 'rename out', call: () => 'rename s/o free/n' },
  { name: 'replace', call: (kind) => `rename free/${kind} s/o` },
  { name: 'exchange', call: (kind) => `rename2 free/${kind} s/o EXCHANGE` },
];

const cases: Case[] = [];
for (const mode of ['1777', '0777']) {
  for (const directoryOwner of OWNERS) {
    for (const owner of OWNERS) {
      for (const actor of ACTORS) {
        for (const [kind, make] of Object.entries(KINDS)) {
          for (const { name, call } of OPERATIONS) {
            const uid = USERS[actor]!.uid;
            const held =
              mode === '1777' &&
              uid !== USERS[owner]!.uid &&
              uid !== USERS[directoryOwner]!.uid &&
              actor !== 'root' &&
              actor !== 'fowner';
            // Three owners of the directory are enough once without the bit.
            if (mode === '0777' && directoryOwner !== 'u1') continue;
            cases.push({
              name: `${actor}: ${name} a ${kind} of ${owner} in a directory ${mode} of ${directoryOwner}`,
              script: `makedir free 0777; makedir s 0777; ${make}; create free/file 0666; mkdir free/directory 0777
                lchown s/o ${USERS[owner]!.uid} 0; chown s ${USERS[directoryOwner]!.uid} 0; chmod s ${mode}
                ${actor}: ${call(kind)}${held ? ' -> EPERM' : ''}`,
            });
          }
        }
      }
    }
  }
}

const ROWS: Readonly<Record<string, string>> = {
  'a sticky directory is open to new names':
    'makedir s 1777; u1: opens s/f CREAT|WRONLY; u2: mkdir s/d; u2: link s/f s/g -> EPERM; u1: link s/f s/g',
  'EACCES comes before the sticky bit': 'makedir s 1755; create s/f 0666; u1: unlink s/f -> EACCES',
  'a source of somebody else in a sticky directory keeps it':
    'makedir s 1777; u2: opens s/f CREAT|WRONLY; u1: rename s/f s/g -> EPERM; u2: rename s/f s/g',
  'own links of a file of somebody else are held':
    'makedir s 1777; u1: opens s/f CREAT|WRONLY; link s/f s/g; u2: unlink s/g -> EPERM; u1: unlink s/g',
  'an own symbolic link goes': 'makedir s 1777; u1: symlink t s/l; u2: unlink s/l -> EPERM; u1: unlink s/l',
  'the bit taken away counts at once':
    'makedir s 1777; create s/f; u1: unlink s/f -> EPERM; chmod s 0777; u1: unlink s/f',
};
for (const [name, script] of Object.entries(ROWS)) {
  // protected_hardlinks of the host decides over links of others' files.
  if (!script.includes('u2: link')) cases.push({ name, script });
}

export const STICKY: readonly Case[] = cases;
