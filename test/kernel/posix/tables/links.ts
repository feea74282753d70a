import type { Case } from '../case.js';

/** Names and links: link counts, rename and its flags, files without a name, what is unlinked and still used. Errors of paths are in the table `errors`. */
export const LINKS: readonly Case[] = [
  // -- link counts of directories
  {
    name: 'mkdir, rmdir and rename keep the link counts of directories',
    script: `mkdir a; mkdir a/b; mkdir a/c; mkdir z; create a/f; stat a -> nlink=4; stat a/b -> nlink=2; stat . -> nlink=4
      rename a/b z/b; stat a -> nlink=3; stat z -> nlink=3; stat z/b -> nlink=2; rmdir a/c; stat a -> nlink=2
      rmdir z/b; stat z -> nlink=2; unlink a/f; rmdir a; rmdir z; stat . -> nlink=2`,
  },
  {
    name: '.. of a directory that was moved is its new parent',
    script: `mkdir a; mkdir b; mkdir a/d; stat b => b; rename a/d b/d; stat b/d/.. -> ino=b; stat b/d/. => d; stat b/d -> ino=d`,
  },
  {
    name: 'a directory replaces an empty one and its link',
    script: `mkdir p; mkdir p/old; mkdir new; stat new => new; rename new p/old; stat p -> nlink=3; stat p/old -> ino=new; stat . -> nlink=3`,
  },
  {
    name: 'a hard link counts, whichever name goes first',
    script: `create f 0644 x; link f g; link f h; stat h -> nlink=3; unlink f; stat g -> nlink=2; rename g h; stat g -> nlink=2; unlink g; stat h -> nlink=1; cat h -> x`,
  },
  // -- rename
  {
    name: 'rename over a file replaces it, and an open one lives on',
    script: `create a 0644 new; create b 0644 old; open o b RDONLY; stat a => a; rename a b; stat b -> ino=a nlink=1; cat b -> new; read o -> old; fstat o -> nlink=0; stat a -> ENOENT`,
  },
  {
    name: 'rename between names of one inode does nothing',
    script: `create a; link a b; mkdir d; link a d/c; rename a b; rename a d/c; rename2 a b EXCHANGE; stat a -> nlink=3; stat b -> nlink=3; list -> "a b d"; rename2 a b NOREPLACE -> EEXIST; rename a a`,
  },
  {
    name: 'a directory is never moved into itself, however deep',
    script: `mkdir a; mkdir a/b; mkdir a/b/c; rename a a/x -> EINVAL; rename a a/b/c/x -> EINVAL; rename a a/b -> EINVAL
      rename a/b a -> ENOTEMPTY; rename a/b/c a -> ENOTEMPTY; rename2 a a/b/c EXCHANGE -> EINVAL; rename2 a/b/c a EXCHANGE -> EINVAL; rename2 a a/n NOREPLACE -> EINVAL; list a/b -> c`,
  },
  {
    name: 'types have to agree, and directories to be empty',
    script: `mkdir d; mkdir e; create e/x; create f; symlink d s; mkfifo p; rename d f -> ENOTDIR; rename f d -> EISDIR; rename s d -> EISDIR; rename p d -> EISDIR; rename d s -> ENOTDIR
      rename d p -> ENOTDIR; rename d e -> ENOTEMPTY; rename f s; list -> "d e p s"`,
  },
  {
    name: 'NOREPLACE keeps what is there, of any type',
    script: `create a; create f; mkdir d; symlink nowhere s; rename2 a f NOREPLACE -> EEXIST; rename2 a d NOREPLACE -> EEXIST; rename2 a s NOREPLACE -> EEXIST; rename2 a n NOREPLACE; list -> "d f n s"`,
  },
  {
    name: 'EXCHANGE of a file with a directory elsewhere',
    script: `create f 0644 x; mkdir p; mkdir p/d; mkdir p/d/e; stat f => f; stat p/d => d; rename2 f p/d EXCHANGE; stat f -> ino=d nlink=3; stat p/d -> ino=f nlink=1; stat p -> nlink=2
      stat . => top; stat f/.. -> ino=top; list f -> e; cat p/d -> x; stat . -> nlink=4`,
  },
  {
    name: 'EXCHANGE of directories of different parents',
    script: `mkdir p; mkdir q; mkdir p/a; mkdir q/b; mkdir q/b/c; stat p => p; stat q => q; rename2 p/a q/b EXCHANGE; stat p -> nlink=3; stat q -> nlink=3; stat p/a/.. -> ino=p; stat q/b/.. -> ino=q; list p/a -> c`,
  },
  {
    name: 'EXCHANGE wants both names, and no other flag',
    script: `create a; rename2 a none EXCHANGE -> ENOENT; rename2 none a EXCHANGE -> ENOENT; create b; rename2 a b EXCHANGE|NOREPLACE -> EINVAL; rename2 a b EXCHANGE|WHITEOUT -> EINVAL; rename2 a b 8 -> EINVAL; list -> "a b"`,
  },
  {
    name: 'WHITEOUT leaves a character device 0/0 behind',
    script: `create a 0644 x; rename2 a b WHITEOUT; lstat a -> type=chr mode=0 major=0 minor=0 nlink=1 uid=0; cat b -> x; list -> "a b"; mkdir d; mkdir p; rename2 d p/d WHITEOUT; lstat d -> type=chr; stat p -> nlink=3; stat . -> nlink=3
      rename2 b a WHITEOUT|NOREPLACE -> EEXIST; rename2 b c WHITEOUT|NOREPLACE; list -> "a b c d p"; lstat b -> type=chr; rename2 c a WHITEOUT; cat a -> x; lstat c -> type=chr`,
  },
  {
    name: 'whiteouts are for everybody, unlike other devices',
    script: `mkdir d; chmod d 0777; create d/a; chmod d/a 0666; u1: rename2 d/a d/b WHITEOUT; lstat d/a -> type=chr uid=1001 gid=1001; u1: mknod d/c chr 0 0 0; lstat d/c -> type=chr major=0 minor=0; u1: mknod d/e chr 0 0 1 -> EPERM`,
  },
  {
    name: 'ctime of what is renamed moves, mtime of both directories too',
    script: `mkdir p; mkdir q; create p/f; stat p => p; stat q => q; stat p/f => f; tick; rename p/f q/f; stat p -> mtime>p ctime>p; stat q -> mtime>q ctime>q; stat q/f -> ctime>f mtime=f ino=f`,
  },
  // -- files without a name
  {
    name: 'O_TMPFILE: no name, no link, a file all the same',
    script: `open t . TMPFILE|RDWR 0640; fstat t -> type=reg nlink=0 size=0 mode=0640 uid=0; write t hello; fstat t -> size=5; pread t 9 0 -> hello; list -> ""; ftruncate t 2; fchmod t 0600; futimens t 1 2; fsync t; fstat t -> size=2 mode=0600 mtime=2000000000`,
  },
  {
    name: 'O_TMPFILE: linkat gives it a name, and more',
    script: `open t . TMPFILE|RDWR 0644; write t data; linkfd t named; fstat t -> nlink=1; cat named -> data; linkfd t named -> EEXIST; linkfd t two; stat two -> nlink=2; write t more; close t; cat two -> datamore; unlink two; unlink named; list -> ""`,
  },
  {
    name: 'O_TMPFILE of other users: umask, owner, set-group-ID directory',
    script: `mkdir d; chown d 0 2001; chmod d 02777; u1: open t d TMPFILE|RDWR 0666; u1: fstat t -> mode=0644 uid=1001 gid=2001; u1: linkfd t d/f; stat d/f -> uid=1001 gid=2001 mode=0644; mkdir e 0755; u1: open x e TMPFILE|RDWR -> EACCES`,
  },
  {
    name: 'O_TMPFILE: errors',
    script: `create f; open a . TMPFILE|RDONLY -> EINVAL; open a f TMPFILE|RDWR -> ENOTDIR; open a none TMPFILE|RDWR -> ENOENT; open x . TMPFILE|RDWR|EXCL; linkfd x never -> ENOENT; fstat x -> nlink=0; mkdir d 0555; u1: open t d TMPFILE|WRONLY -> EACCES`,
  },
  // -- unlinked and still used
  {
    name: 'an unlinked open file is fully usable, and cannot be linked',
    script: `create f 0644 content; open o f RDWR; unlink f; fstat o -> nlink=0 size=7; pread o 99 0 -> content; pwrite o XY 2; pread o 99 0 -> coXYent; ftruncate o 4; fchmod o 0700; fchown o 5 6; futimens o 3 4; fsync o
      fstat o -> nlink=0 size=4 mode=0700 uid=5 gid=6 mtime=4000000000; linkfd o back -> ENOENT; list -> ""`,
  },
  {
    name: 'a name may mean a new file while the old one is open',
    script: `create f 0644 old; open o f RDWR; unlink f; create f 0644 new; pwrite o OLD 0; cat f -> new; pread o 9 0 -> OLD; close o; cat f -> new`,
  },
  {
    name: 'a removed working directory takes nothing, and shows no link',
    script: `mkdir d; open d d RDONLY; chdir d; rmdir ../d; mkdir x -> ENOENT; open f x CREAT|WRONLY -> ENOENT; symlink a x -> ENOENT; mkfifo x -> ENOENT; stat x -> ENOENT; create ../q; link ../q x -> ENOENT; rename ../q x -> ENOENT
      fstat d -> nlink=0 type=dir; stat . -> nlink=0; rmdir . -> EINVAL; chdir ..; list -> q`,
  },
  {
    name: 'the last component . or .. is neither made nor removed',
    script: `mkdir d; mkdir d/e; rmdir d/. -> EINVAL; rmdir d/e/.. -> ENOTEMPTY; rename d/. x -> EBUSY; rename d d/e/.. -> EBUSY; mkdir . -> EEXIST; unlink d/. -> EISDIR; rename d/e/.. x -> EBUSY`,
  },
  // -- listings
  {
    name: 'a directory of many names is listed whole',
    script: `${Array.from({ length: 64 }, (_, i) => `create n${i}`).join('; ')}; count -> 64; unlink n7; create late; count -> 64; rename n8 m8; count -> 64`,
  },
];
