import type { Case } from '../case.js';

/** Content: open flags, holes, truncation, allocation, copies, mappings. */
const cases: Case[] = [];
const add = (name: string, script: string): void => void cases.push({ name, script });
const ZEROS = (length: number): string => `"${'\\u0000'.repeat(length)}"`;
const BLOCK = 4 << 20;

const ROWS: Readonly<Record<string, string>> = {
  'O_APPEND writes at the end of each moment':
    'create f 0644 ab; open a f WRONLY|APPEND; open b f WRONLY|APPEND; write a c; write b d; write a e; cat f -> abcde; lseek a 0; write a f; cat f -> abcdef; pwrite b X 0; cat f -> abcdefX',
  'O_APPEND of several users':
    'create f 0666; u1: open a f WRONLY|APPEND; u2: open b f WRONLY|APPEND; u1: write a 1; u2: write b 2; u1: write a 3; u2: write b 4; cat f -> 1234',
  'O_APPEND after truncation': 'create f 0644 abcdef; open a f WRONLY|APPEND; truncate f 2; write a x; cat f -> abx',
  'O_TRUNC empties':
    'create f 0644 abc; opens f WRONLY|TRUNC; stat f -> size=0 blocks=0; create g 0644 abc; open fd g RDWR; opens g RDONLY|TRUNC; pread fd 3 0 -> ""',
  'O_CREAT|O_TRUNC of an existing file keeps mode and owner':
    'create f 0640 abc; chown f 1001 1002; stat f => A; opens f CREAT|TRUNC|WRONLY 0777; stat f -> mode=0640 uid=1001 gid=1002 size=0 ino=A',
  'O_SYNC and O_DSYNC': 'open a f CREAT|WRONLY|SYNC; write a abc; open b f WRONLY|DSYNC; pwrite b X 1; cat f -> aXc',
  'a descriptor and its duplicate share the position':
    'create f 0644 abcdef; open a f RDONLY; dup b a; read a 2 -> ab; read b 2 -> cd; lseek a 0; read b 1 -> a',
  'two descriptors have two positions':
    'create f 0644 abcdef; open a f RDONLY; open b f RDONLY; read a 2 -> ab; read b 2 -> ab',
  'a read at the end is empty':
    'create f 0644 abc; open fd f RDONLY; pread fd 10 0 -> abc; pread fd 10 3 -> ""; pread fd 10 1000000 -> ""',
  'a write is read at once, by another descriptor and another user':
    'create f 0644; open w f WRONLY; u1: open r f RDONLY; write w abc; u1: read r -> abc; write w def; u1: read r -> def; stat f -> size=6',
  'a write beyond the end leaves zeros': `create f 0644 ab; open fd f RDWR; pwrite fd X 6; pread fd 10 0 -> "ab\\u0000\\u0000\\u0000\\u0000X"; stat f -> size=7`,
  'truncated down and up again reads as zeros': `create f 0644 abcdef; truncate f 2; truncate f 6; cat f -> "ab\\u0000\\u0000\\u0000\\u0000"; stat f -> size=6`,
  'truncated down and written beyond reads as zeros between': `create f 0644 abcdef; open fd f RDWR; ftruncate fd 1; pwrite fd Z 4; cat f -> "a\\u0000\\u0000\\u0000Z"`,
  'truncated up is a hole': `create f; truncate f 1000000; stat f -> size=1000000 blocks=0; open fd f RDONLY; pread fd 5 999995 -> ${ZEROS(5)}`,
  'truncation to a large size': `create f; truncate f ${2 ** 40}; stat f -> size=${2 ** 40} blocks=0; open fd f RDWR; pwrite fd end ${2 ** 40 - 3}; pread fd 3 ${2 ** 40 - 3} -> end; stat f -> size=${2 ** 40}`,
  'truncate by a descriptor that is not the writer':
    'create f 0644 abcdef; open a f RDWR; open b f RDWR; write a XY; ftruncate b 1; pread a 9 0 -> X; write a Z; cat f -> "X\\u0000Z"',
  'lseek beyond the end moves only':
    'create f 0644 abc; open fd f RDWR; lseek fd 100 -> 100; stat f -> size=3; lseek fd 2 END -> 5; lseek fd -5 CUR -> 0; lseek fd 0 END -> 3',
  'SEEK_DATA and SEEK_HOLE of an empty file are ENXIO':
    'create f; open fd f RDONLY; lseek fd 0 DATA -> ENXIO; lseek fd 0 HOLE -> ENXIO',
  'SEEK_HOLE of a full file is its end':
    'create f 0644 abcdef; open fd f RDONLY; lseek fd 0 HOLE -> 6; lseek fd 3 HOLE -> 6; lseek fd 0 DATA -> 0; lseek fd 4 DATA -> 4; lseek fd 6 DATA -> ENXIO; lseek fd 7 HOLE -> ENXIO',
  'SEEK_DATA and SEEK_HOLE around a hole': `create f; open fd f RDWR; pwrite fd a 0; pwrite fd b ${BLOCK * 2}; ftruncate fd ${BLOCK * 3}; lseek fd 0 DATA -> 0; lseek fd 8192 DATA -> ${BLOCK * 2}; lseek fd ${BLOCK * 2 + 65536} DATA -> ENXIO; lseek fd ${BLOCK * 2 + 65536} HOLE -> ${BLOCK * 2 + 65536}`,
  'SEEK_DATA before the start is ENXIO':
    'create f 0644 abc; open fd f RDONLY; lseek fd -1 DATA -> ENXIO; lseek fd -1 HOLE -> ENXIO',
  'fallocate extends': `create f 0644 abc; open fd f RDWR; fallocate fd 0 0 10000; stat f -> size=10000; pread fd 5 1 -> "bc\\u0000\\u0000\\u0000"; fallocate fd 0 0 100; stat f -> size=10000`,
  'fallocate KEEP_SIZE keeps the size':
    'create f 0644 abc; open fd f RDWR; fallocate fd 1 0 10000; stat f -> size=3; cat f -> abc',
  'fallocate behind the end': `create f; open fd f RDWR; fallocate fd 0 8192 100; stat f -> size=8292; pread fd 2 8200 -> ${ZEROS(2)}`,
  'PUNCH_HOLE zeroes and keeps the size': `create f 0644 abcdefgh; open fd f RDWR; fallocate fd 3 2 3; cat f -> "ab\\u0000\\u0000\\u0000fgh"; fallocate fd 3 6 100; stat f -> size=8; cat f -> "ab\\u0000\\u0000\\u0000f\\u0000\\u0000"`,
  'PUNCH_HOLE of everything frees the blocks': `create f; open fd f RDWR; fill64 fd 20; fsync fd; fallocate fd 3 0 1310720; fsync fd; stat f -> size=1310720 blocks=0; pread fd 3 700000 -> ${ZEROS(3)}`,
  'a punched hole can be written again': `create f 0644 abcdefgh; open fd f RDWR; fallocate fd 3 0 8; pwrite fd xy 3; cat f -> "\\u0000\\u0000\\u0000xy\\u0000\\u0000\\u0000"`,
  'fallocate of an unlinked file':
    'create f; open fd f RDWR; unlink f; fallocate fd 0 0 5000; fstat fd -> size=5000 nlink=0',
  'fallocate of a fifo is ESPIPE, of a directory EBADF':
    'mkfifo p; open fd p RDWR; fallocate fd 0 0 10 -> ESPIPE; mkdir d; open e d RDONLY; fallocate e 0 0 10 -> EBADF',
  'copy_file_range copies what is still on its way':
    'create f; create g; open a f RDWR; open b g RDWR; write a hello; copy a b 5 -> 5; cat g -> hello; write a world; copy a b 5 5 5 -> 5; cat g -> helloworld',
  'copy_file_range within a file':
    'create f 0644 abcdefgh; open a f RDWR; copy a a 3 0 5 -> 3; cat f -> abcdeabc; copy a a 2 6 8 -> 2; cat f -> abcdeabcbc',
  'copy_file_range stops at the end of the source':
    'create f 0644 abc; create g 0644 123456; open a f RDONLY; open b g RDWR; copy a b 100 1 2 -> 2; cat g -> 12bc56',
  'copy_file_range of a hole': `create f; truncate f 100000; create g 0644 abc; open a f RDONLY; open b g RDWR; copy a b 100000 -> 100000; stat g -> size=100000; pread b 3 0 -> ${ZEROS(3)}`,
  'copy_file_range by others':
    'create f 0644 abc; create g 0666; u1: open a f RDONLY; u1: open b g WRONLY; u1: copy a b 3 -> 3; cat g -> abc',
  'the source of a copy may change afterwards':
    'create f 0644 abc; create g; open a f RDWR; open b g RDWR; copy a b 3; pwrite a XYZ 0; cat g -> abc; pwrite b 123 0; cat f -> XYZ; truncate f 0; cat g -> 123',
  'mmap: what is written is read, both ways':
    'create f 0644 abcdef; open fd f RDWR; mmap m fd 6; mread m 0 6 -> abcdef; pwrite fd XY 0; mread m 0 6 -> XYcdef; mwrite m 4 zz; pread fd 6 0 -> XYcdzz; msync m; cat f -> XYcdzz; u1: cat f -> XYcdzz',
  'mmap: bytes behind the end do not reach the file':
    'create f 0644 abc; open fd f RDWR; mmap m fd 3; mwrite m 0 xyz; msync m; stat f -> size=3; truncate f 8; cat f -> "xyz\\u0000\\u0000\\u0000\\u0000\\u0000"',
  'mmap: after close and by a second mapping':
    'create f 0644 abcdef; open fd f RDWR; mmap m fd 6; mmap n fd 6; close fd; mwrite m 0 XX; mread n 0 6 -> XXcdef; cat f -> XXcdef',
  'mmap for writing needs a descriptor for both':
    'create f 0644 abcdef; open fd f RDONLY; mmap m fd 6 -> EACCES; open w f WRONLY; mmap n w 6 -> EACCES; mmap r fd 6 READ; mread r 0 3 -> abc',
  'mmap sees a truncation to more':
    'create f 0644 abc; open fd f RDWR; truncate f 8192; mmap m fd 8192; mwrite m 8000 end; msync m; pread fd 3 8000 -> end; stat f -> size=8192',
  'writes of one byte each': `create f; open fd f RDWR; ${Array.from({ length: 40 }, (_, i) => `write fd ${String.fromCharCode(97 + (i % 26))}`).join('; ')}; stat f -> size=40; pread fd 5 26 -> abcde`,
  'fsync and fdatasync of each kind of descriptor':
    'create f 0644 abc; open fd f RDONLY; fsync fd; fdatasync fd; mkdir d; open e d RDONLY; fsync e; fdatasync e; mkfifo p; open g p RDWR; fsync g -> EINVAL',
  'st_blocks counts what is stored':
    'create f; open fd f RDWR; fill64 fd 16; fsync fd; stat f -> size=1048576 blocks=2048; ftruncate fd 524288; stat f -> blocks=1024; ftruncate fd 0; stat f -> blocks=0',
  'st_blksize and statvfs': 'statvfs . -> namemax=255 blocks=true files=true',
  'a rename while writing':
    'create f; open fd f RDWR; write fd abc; rename f g; write fd def; cat g -> abcdef; close fd; cat g -> abcdef; stat g -> size=6',
  'large offsets': `create f; open fd f RDWR; pwrite fd x ${2 ** 33}; stat f -> size=${2 ** 33 + 1}; pread fd 1 ${2 ** 33} -> x; pread fd 2 ${2 ** 32} -> ${ZEROS(2)}`,
};
for (const [name, script] of Object.entries(ROWS)) add(name, script);

const ZERO_RANGE: Readonly<Record<string, string>> = {
  'ZERO_RANGE zeroes, and extends': `create f 0644 abcdefgh; open fd f RDWR; fallocate fd 16 2 3; cat f -> "ab\\u0000\\u0000\\u0000fgh"; fallocate fd 16 7 3; stat f -> size=10; cat f -> "ab\\u0000\\u0000\\u0000fg\\u0000\\u0000\\u0000"`,
  'ZERO_RANGE with KEEP_SIZE': `create f 0644 abcdefgh; open fd f RDWR; fallocate fd 17 6 30; stat f -> size=8; cat f -> "abcdef\\u0000\\u0000"`,
};
for (const [name, script] of Object.entries(ZERO_RANGE)) {
  cases.push({ name, script, mountOnly: 'tmpfs has no FALLOC_FL_ZERO_RANGE' });
}

// The edges of pages, frames (32 KiB) and blocks (4 MiB).
for (const edge of [4096, 32768, BLOCK, 2 * BLOCK]) {
  for (const delta of [-1, 0, 1]) {
    const at = edge + delta;
    add(
      `around offset ${at}`,
      `create f; open fd f RDWR; pwrite fd "abcdef" ${at - 3}; stat f -> size=${at + 3}; pread fd 6 ${at - 3} -> abcdef
        pread fd 2 ${at - 5} -> ${ZEROS(2)}; ftruncate fd ${at}; pread fd 6 ${at - 3} -> abc; ftruncate fd ${at + 3}
        pread fd 6 ${at - 3} -> "abc\\u0000\\u0000\\u0000"; fsync fd; pread fd 6 ${at - 3} -> "abc\\u0000\\u0000\\u0000"
        pwrite fd XY ${at - 1}; fallocate fd 3 ${at} 1; pread fd 4 ${at - 2} -> "bX\\u0000\\u0000"; stat f -> size=${at + 3}`,
    );
  }
}

export const DATA: readonly Case[] = cases;
