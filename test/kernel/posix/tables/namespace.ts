import type { Case } from '../case.js';

/** Link counts, replacing by rename, files without a name, listings, special files. */
const cases: Case[] = [];
const add = (name: string, script: string): void => void cases.push({ name, script });

const ROWS: Readonly<Record<string, string>> = {
  // Link counts
  'a new directory has two links and adds one to its parent':
    'stat . -> nlink=2; mkdir d; stat d -> nlink=2; stat . -> nlink=3; mkdir e; stat . -> nlink=4; rmdir d; stat . -> nlink=3',
  'files add no link to their directory':
    'create f; symlink t l; mkfifo p; mknod c chr 0644 1 3; link f g; stat . -> nlink=2',
  'moving a directory moves its link':
    'mkdir a; mkdir b; mkdir a/d; stat a -> nlink=3; rename a/d b/d; stat a -> nlink=2; stat b -> nlink=3; stat b/d -> nlink=2',
  'moving a directory over an empty one':
    'mkdir a; mkdir b; mkdir a/d; mkdir b/d; rename a/d b/d; stat a -> nlink=2; stat b -> nlink=3',
  'renaming a directory over an empty one in place':
    'mkdir d; mkdir e; stat . -> nlink=4; rename d e; stat . -> nlink=3; stat e -> nlink=2',
  'exchange of a directory with a file':
    'mkdir a; mkdir b; mkdir a/d; create b/f; rename2 a/d b/f EXCHANGE; stat a -> nlink=2; stat b -> nlink=3; stat a/d -> type=reg; stat b/f -> type=dir; list a/d -> ENOTDIR',
  'exchange of two directories':
    'mkdir a; mkdir b; mkdir a/d; create a/d/x; mkdir b/e; create b/e/y; rename2 a/d b/e EXCHANGE; stat a -> nlink=3; stat b -> nlink=3; list a/d -> y; list b/e -> x',
  '.. after a move':
    'mkdir a; mkdir b; mkdir a/d; create b/here; rename a/d b/d; stat b/d/../here -> type=reg; stat b => B; stat b/d/.. -> ino=B',
  '.. after an exchange':
    'mkdir a; mkdir b; mkdir a/d; mkdir b/e; rename2 a/d b/e EXCHANGE; stat a => A; stat b => B; stat a/d/.. -> ino=A; stat b/e/.. -> ino=B',
  'a working directory that moves':
    'mkdir a; mkdir b; mkdir a/d; chdir a/d; rename ../../a/d ../../b/moved; create f; list ../../b/moved -> f; getcwd -> moved; list .. -> moved',
  'a working directory that is removed':
    'mkdir d; chdir d; rmdir ../d; list . -> ""; stat . -> nlink=0; create f -> ENOENT; mkdir e -> ENOENT; getcwd -> ENOENT; chdir .. ',
  'links of a file count':
    'create f; stat f -> nlink=1; link f g; link f h; stat h -> nlink=3; unlink f; stat g -> nlink=2; rename g h; stat h -> nlink=2; stat g -> nlink=2',
  'replacing one of two links': 'create f; create g; link g h; rename f g; stat h -> nlink=1; stat g -> nlink=1',
  'links of special files and symbolic links':
    'mkfifo p; link p q; stat q -> nlink=2; symlink t l; link l m; lstat m -> nlink=2; readlink m -> t; unlink l; readlink m -> t',
  'a link to a link in another directory':
    'mkdir a; mkdir b; create a/f 0644 abc; link a/f b/g; stat a/f => A; stat b/g -> ino=A nlink=2; put b/g xyz; cat a/f -> xyz; unlink a/f; cat b/g -> xyz; stat b/g -> nlink=1',
  'link by a descriptor': 'create f 0644 abc; open fd f RDWR; linkfd fd g; stat g -> nlink=2; cat g -> abc',
  'a file without a name gets none by link': 'create f; open fd f RDWR; unlink f; linkfd fd g -> ENOENT',

  // Replacing
  'rename replaces a file at once':
    'create f 0644 new; create g 0644 old; stat f => F; rename f g; stat g -> ino=F; cat g -> new; stat f -> ENOENT; list . -> g',
  'rename replaces a symbolic link, not its target':
    'create f; create t; symlink t l; rename f l; lstat l -> type=reg; stat t -> type=reg',
  'rename moves a symbolic link, not its target':
    'create t; symlink t l; rename l m; readlink m -> t; stat t; lstat l -> ENOENT',
  'rename replaces special files':
    'create f; mkfifo p; rename f p; stat p -> type=reg; mkfifo q; rename q p; stat p -> type=fifo',
  'NOREPLACE of a free name':
    'create f; rename2 f g NOREPLACE; stat g; stat f -> ENOENT; mkdir d; rename2 d e NOREPLACE; stat e -> type=dir',
  'NOREPLACE onto itself is EEXIST': 'create f; rename2 f f NOREPLACE -> EEXIST',
  'EXCHANGE of files':
    'create f 0600 one; create g 0644 two; stat f => F; stat g => G; rename2 f g EXCHANGE; stat f -> ino=G; stat g -> ino=F; cat f -> two',
  'EXCHANGE of links of the same file':
    'create f; link f g; rename2 f g EXCHANGE; stat f -> nlink=2; stat g -> nlink=2',
  'EXCHANGE onto itself': 'create f; rename2 f f EXCHANGE; stat f',
  'rename of a directory with contents':
    'mkdir d; mkdir d/e; create d/e/f 0644 abc; rename d x; cat x/e/f -> abc; list . -> x; list x -> e',
  'a name is free again': 'create f; unlink f; mkdir f; rmdir f; symlink t f; unlink f; mkfifo f; stat f -> type=fifo',
  'names differ by case and bytes': 'create a; create A; create "\\u00e9"; create "e\\u0301" -> CASE; count -> 3',
  'names with odd bytes':
    'create "a b"; create "\\t\\n"; create "\\u00ff\\u00fe"; create "*?"; create "..."; create "-rf"; count -> 6; unlink "\\u00ff\\u00fe"; count -> 5; stat ... -> type=reg',

  // Unlinked but open
  'an unlinked file reads, writes, truncates':
    'create f 0644 abc; open fd f RDWR; unlink f; fstat fd -> nlink=0 size=3; pread fd 3 0 -> abc; pwrite fd defghi 3; fstat fd -> size=9 nlink=0; pread fd 9 0 -> abcdefghi; ftruncate fd 4; pread fd 9 0 -> abcd; fsync fd; fstat fd -> size=4; create f 0644 other; pread fd 4 0 -> abcd; close fd; cat f -> other',
  'a replaced file reads and writes':
    'create f 0644 abc; open fd f RDWR; create g 0644 new; rename g f; fstat fd -> nlink=0; pread fd 3 0 -> abc; pwrite fd xyz 0; pread fd 3 0 -> xyz; cat f -> new',
  'an unlinked file of another user':
    'chmod . 0777; u1: open fd f CREAT|RDWR 0600; u1: write fd abc; unlink f; u1: pread fd 3 0 -> abc; u1: fchmod fd 0644; u1: fstat fd -> mode=0644 nlink=0 size=3',
  'an unlinked file that is mapped':
    'create f 0644 abcdef; open fd f RDWR; mmap m fd 6; unlink f; close fd; mread m 0 6 -> abcdef; mwrite m 0 XY; msync m; mread m 0 6 -> XYcdef',
  'xattrs of an unlinked file':
    'create f; setxattr f user.a 1; open fd f RDWR; unlink f; fgetxattr fd user.a -> 1; fsetxattr fd user.b 2; fgetxattr fd user.b -> 2',
  'a removed directory that is open':
    'mkdir d; open fd d RDONLY|DIRECTORY; rmdir d; fstat fd -> nlink=0 type=dir; openat x fd n CREAT|WRONLY -> ENOENT; mkdirat fd e -> ENOENT',
  'unlinkat and openat by a directory that moved':
    'mkdir d; open fd d RDONLY|DIRECTORY; rename d e; openat x fd f CREAT|WRONLY; list e -> f; unlinkat fd f; list e -> ""',
  'two descriptors, one unlink':
    'create f 0644 abc; open a f RDWR; open b f RDWR; unlink f; close a; pread b 3 0 -> abc; pwrite b zz 0; pread b 3 0 -> zzc',
  'a removed directory can be changed by its descriptor':
    'mkdir d 0755; open fd d RDONLY|DIRECTORY; rmdir d; fchmod fd 0700; fstat fd -> mode=0700 nlink=0; fchmod fd 0711; fstat fd -> mode=0711',
  'rmdir of a directory with an open unlinked file':
    'mkdir d; create d/f 0644 abc; open fd d/f RDWR; unlink d/f; rmdir d; pread fd 3 0 -> abc; pwrite fd x 0; fsync fd',

  // Special files
  'device numbers':
    'mknod c chr 0644 1 3; stat c -> type=chr major=1 minor=3; mknod b blk 0600 259 1048575; stat b -> type=blk major=259 minor=1048575; mknod z chr 0600 4095 1048575; stat z -> major=4095 minor=1048575',
  'a device works':
    'mknod null chr 0666 1 3; open fd null RDWR; write fd abc; read fd -> ""; mknod zero chr 0666 1 5; open z zero RDONLY; read z 3 -> "\\u0000\\u0000\\u0000"; u1: open n null RDWR; u1: write n abc',
  'a fifo carries bytes':
    'mkfifo p 0666; open r p RDONLY|NONBLOCK; u1: open w p WRONLY; u1: write w hello; read r -> hello; u1: close w; read r -> ""; stat p -> type=fifo size=0',
  'a socket by its name': 'bind s; stat s -> type=sock; bind s -> EADDRINUSE; connects s -> ECONNREFUSED; unlink s',
  'a symbolic link has the size of its target':
    'symlink abc l; lstat l -> size=3 type=lnk mode=0777 nlink=1; symlink /no/such/thing m; readlink m -> /no/such/thing',
  'symbolic links: relative, absolute, dots':
    'mkdir d; create d/f 0644 abc; symlink d/f a; cat a -> abc; symlink ../d/f d/b; cat d/b -> abc; symlink d e; cat e/f -> abc; cat e/../d/f -> abc; symlink . self; cat self/self/d/f -> abc',
  'a symbolic link with odd bytes': 'symlink "a\\n\\u00ff b" l; readlink l -> "a\\n\\u00ff b"',

  // Listings
  'a listing has every entry':
    'create a; mkdir b; symlink t c; mkfifo d; mknod e chr 0644 1 3; bind f; list -> "a b c d e f"',
  'a listing after changes':
    'create a; create b; list -> "a b"; unlink a; list -> b; create c; rename b d; list -> "c d"; rmdir d -> ENOTDIR',
  'd_type and d_ino are those of lstat':
    'create a; mkdir b; symlink t c; mkfifo d; mknod e chr 0644 1 3; mknod f blk 0600 7 0; bind g; dirents . -> ok',
  '. and .. are listed with their inodes': 'mkdir d; mkdir d/e; dots d/e -> ok; dots d -> ok',
  'a large directory lists once each': 'fill d 700; count d -> 700; dirents d -> ok',
  'telldir and seekdir come back to each entry': 'fill d 300; seeks d -> ok',
  'rewinddir sees what is new': 'fill d 50; rewinds d -> ok',
  'entries that stay are listed once while others come and go': 'fill d 400; churn d -> ok',
  'removing while listing empties the directory': 'fill d 500; drain d -> 500; rmdir d',
};
for (const [name, script] of Object.entries(ROWS)) add(name, script.replace('; create "e\\u0301" -> CASE', ''));

add(
  'a tree of many directories: links',
  `${Array.from({ length: 60 }, (_, i) => `mkdir d${i}`).join('\n')}\nstat . -> nlink=62\nrmdir d7\nstat . -> nlink=61`,
);

export const NAMESPACE: readonly Case[] = cases;
