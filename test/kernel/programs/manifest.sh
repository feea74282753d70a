#!/bin/sh
# manifest.sh DIR: prints all that a tree holds, in an order that does not depend on the filesystem: types, modes, owners, link counts, sizes, blocks, times,
# inode numbers and link targets, then SHA-256 of the contents, then extended attributes. Of files past 1 GiB (sparse ones) three samples stand for the content.
set -eu
export LC_ALL=C
cd "$1"
find . -printf '%P\t%y %m %U:%G %n %s %b %T@ %C@ %i %l\0' | sort -z | tr '\n\0' '\001\n'
find . -type f -size -1048577k -print0 | sort -z | xargs -0 -r sha256sum -b --
find . -type f -size +1048576k -print0 | sort -z | xargs -0 -r sh -c '
  for file; do
    size=$(stat -c %s "$file")
    for at in 0 $((size / 2)) $((size - 1048576)); do
      sum=$(dd if="$file" bs=1M count=1 skip="$at" iflag=skip_bytes status=none | sha256sum)
      printf "%s %s %s\n" "$file" "$at" "$sum"
    done
  done' sh
find . -print0 | sort -z | xargs -0 -r getfattr -h -d -m - -- 2>/dev/null
