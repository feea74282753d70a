import type { Case } from '../case.js';

const TARGET_4095 = 't'.repeat(4095);

/** Fifos, sockets, devices, symbolic links: mknod(2), symlink(2), fifo(7), unix(7). The mount has the options dev and suid. */
export const SPECIAL_FILES: readonly Case[] = [
  {
    name: 'types, modes and device numbers are kept',
    script: `mknod p fifo 0620; mknod s sock 0750; mknod c chr 0640 300 70000; mknod b blk 0600 259 65535; mknod big chr 0600 4095 1048575; mknod r reg 0604
      lstat p -> type=fifo mode=0620 major=0 minor=0 size=0 nlink=1; lstat s -> type=sock mode=0750; lstat c -> type=chr mode=0640 major=300 minor=70000; lstat b -> type=blk major=259 minor=65535; lstat big -> type=chr major=4095 minor=1048575; lstat r -> type=reg mode=0604 size=0`,
  },
  {
    name: 'a device node opens the device',
    script: `mknod null chr 0666 1 3; open n null RDWR; write n gone; read n 5 -> ""; mknod zero chr 0666 1 5; open z zero RDONLY; read z 3 -> "\\u0000\\u0000\\u0000"; mknod none chr 0600 4095 1048575; opens none RDONLY -> ENXIO; mknod bnone blk 0600 4095 1048575; opens bnone RDONLY -> ENXIO`,
  },
  {
    name: 'devices are for those who may make them; fifos and sockets for all',
    script: `mkdir d; chmod d 0777; u1: mknod d/c chr 0600 1 3 -> EPERM; u1: mknod d/b blk 0600 1 3 -> EPERM; u1: mknod d/p fifo 0600; u1: mknod d/s sock 0600; maker: mknod d/c chr 0600 1 3; lstat d/c -> uid=1010 major=1 minor=3; list d -> "c p s"`,
  },
  {
    name: 'mknod of what is no node',
    script: `mknod d dir 0755 -> EPERM; mkdir e; mknod e fifo -> EEXIST; mknod e/p/q fifo -> ENOENT; u1: mknod p fifo 0666; lstat p -> mode=0644 uid=1001`,
  },
  {
    name: 'a fifo carries data, and says ENXIO to a writer without reader',
    script: `mkfifo p; opens p WRONLY|NONBLOCK -> ENXIO; open f p RDWR; write f hi; read f 2 -> hi; lstat p -> size=0; open r p RDONLY|NONBLOCK; open w p WRONLY|NONBLOCK; write w ok; read r 2 -> ok`,
  },
  {
    name: 'a socket is bound, and not opened',
    script: `bind s; lstat s -> type=sock nlink=1; opens s RDONLY -> ENXIO; opens s WRONLY -> ENXIO; unlink s; lstat s -> ENOENT`,
  },
  {
    name: 'names of special files are names like others',
    script: `mkfifo p; mknod c chr 0600 1 3; link p q; lstat q -> nlink=2 type=fifo; rename c d; lstat d -> type=chr major=1 minor=3; chmod p 0640; chown p 7 8; utimens p 1 2; lstat q -> mode=0640 uid=7 gid=8 mtime=2000000000; truncate p 0 -> EINVAL; truncate d 0 -> EINVAL; readlink p -> EINVAL; rename p d; lstat d -> type=fifo nlink=2; unlink q; unlink d; list -> ""`,
  },
  {
    name: 'truncation and O_TRUNC leave special files alone',
    script: `mknod n chr 0666 1 3; opens n WRONLY|TRUNC; lstat n -> size=0 major=1 minor=3`,
  },
  {
    name: 'symbolic links up to 4095 bytes',
    script: `symlink ${TARGET_4095} l; lstat l -> type=lnk size=4095 mode=0777 nlink=1; readlink l -> ${TARGET_4095}; symlink ${TARGET_4095}t m -> ENAMETOOLONG; symlink "" e -> ENOENT; symlink x s; readlink s -> x; stat l -> ENAMETOOLONG; stat s -> ENOENT`,
  },
  {
    name: 'targets are bytes',
    script: `symlink "\\u00ff\\u0001 /\\u00fe" l; readlink l -> "\\u00ff\\u0001 /\\u00fe"; lstat l -> size=5`,
  },
  {
    name: 'symbolic links have owners and times, but no mode of their own',
    script: `create f; symlink f l; lchown l 5 6; utimens l 7 8 nofollow; lstat l -> uid=5 gid=6 mtime=8000000000; stat l -> uid=0; lchmod l 0600 -> EOPNOTSUPP; link l h; lstat h -> type=lnk nlink=2; rename l k; readlink k -> f; unlink k; stat f -> nlink=1`,
  },
  {
    name: 'chains of 40 links are followed, 41 are too many',
    script: `create l0; ${Array.from({ length: 41 }, (_, i) => `symlink l${i} l${i + 1}`).join('; ')}; stat l40 -> size=0; stat l41 -> ELOOP; opens l41 RDONLY -> ELOOP; lstat l41 -> type=lnk`,
  },
  {
    name: 'O_NOFOLLOW says ELOOP',
    script: `create f; symlink f l; opens l RDONLY|NOFOLLOW -> ELOOP; mkdir d; symlink d ld; opens ld RDONLY|DIRECTORY|NOFOLLOW -> ENOTDIR; opens l CREAT|EXCL|WRONLY -> EEXIST; symlink nowhere dang; opens dang CREAT|WRONLY; list -> "d dang f l ld nowhere"`,
  },
  {
    name: 'a set-user-ID program runs as its owner',
    script: `mkdir bin; execute /bin/cp /usr/bin/id bin/id; chown bin/id 1002 1002; chmod bin/id 06755; u1: execute bin/id -u -> 1002; u1: execute bin/id -g -> 1002; chmod bin/id 0755; u1: execute bin/id -u -> 1001`,
  },
];
