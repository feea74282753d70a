#!/bin/sh
# make-tree.sh PROJECT DIR: fills DIR with the project's own sources and with everything odd that a tree may hold.
set -eu
export LC_ALL=C
project=$1
mkdir -p "$2"
cd "$2"
tar -C "$project" -cf - src proto docs package.json README.md | tar xf -

mkdir odd odd/empty-dir odd/deep
: > odd/empty
printf 'one\n' > odd/linked
ln odd/linked odd/other-name
ln odd/linked odd/deep/third-name
ln -s ../src odd/to-dir
ln -s nowhere/at/all odd/dangling
ln -s "$(printf '%04000d' 0)" odd/long-target
mkfifo odd/pipe
mknod odd/null-device c 1 3
printf 'blank' > 'odd/a name with blanks'
printf 'newline' > "$(printf 'odd/a\nnewline')"
printf 'latin1' > "$(printf 'odd/\351t\351-\377')"
printf 'long' > "odd/$(printf '%0255d' 0)"
printf 'x' > odd/setuid && chown 1234:4321 odd/setuid && chmod 6755 odd/setuid
printf 'secret' > odd/unreadable && chmod 000 odd/unreadable
mkdir odd/sticky && chmod 1777 odd/sticky
mkdir odd/setgid && chown 0:4321 odd/setgid && chmod 2775 odd/setgid
setfattr -n user.colour -v blue odd/linked
head -c 9000000 /dev/urandom > odd/big
truncate -s 20M odd/sparse && printf 'middle' | dd of=odd/sparse bs=1 seek=10000001 conv=notrunc status=none
i=0
while [ $i -lt 100 ]; do
  i=$((i + 1))
  printf '%d' $i > "odd/deep/file-$i"
done
touch -d '1999-12-31 23:59:59.123456789 UTC' odd/empty
touch -d '2038-02-01 00:00:00.000000001 UTC' odd/big
touch -h -d '2001-09-09 01:46:40 UTC' odd/dangling
touch -d '1965-03-03 03:03:03.5 UTC' odd/empty-dir
