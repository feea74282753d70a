#!/bin/bash
# Mounts by mount(8), in a mount namespace of its own where /sbin has the helper. Prints one line per step: NAME EXIT-CODE [DETAIL].
# Arguments: the project's root, an empty work directory.
set -u
root=$1
work=$2
mkdir "$work/upper" "$work/overlay" "$work/mnt"
sbin=$(readlink -f /sbin)
mount -t overlay overlay -o "lowerdir=$sbin,upperdir=$work/upper,workdir=$work/overlay" "$sbin" || exit 77
ln -s "$root/mount.curvefs" "$sbin/mount.curvefs"
ln -s "$root/mount.curvefs" "$sbin/mount.fuse.curvefs"

coproc SERVICE { exec "$root/tools/curvefs" standalone --data-dir "$work/data" --listen 127.0.0.1:0 --log "$work/service.log"; }
read -r -t 20 -u "${SERVICE[0]}" line || exit 1
mds=${line##* }
service=$SERVICE_PID
source=$mds:/demo
mnt=$work/mnt
options="cache_dir=$work/cache,log=$work/mount.log"
"$root/tools/curvefs" fs create demo --mds "$mds" --storage "file://$work/objects" > "$work/created" || exit 1

step() {
  name=$1
  shift
  detail=$(timeout 30 "$@" 2>&1)
  echo "$name $? $detail"
}
# the table of mounts, without what differs from run to run
shown="grep ' $mnt ' /proc/self/mounts | sed 's|$source|SOURCE|; s|$mnt|MNT|'"

for type in curvefs fuse.curvefs; do
  step "mount-$type" env -i mount -t "$type" "$source" "$mnt" -o "$options,noatime,_netdev,nofail"
  step "shown-$type" sh -c "$shown"
  step "write-$type" sh -c "echo text > '$mnt/file' && cat '$mnt/file'"
  step "remount-$type" mount -o remount,ro "$mnt"
  step "refused-$type" sh -c "echo other > '$mnt/file'"
  step "umount-$type" umount "$mnt"
  while timeout 5 "$root/tools/curvefs" fs info demo --mds "$mds" | grep -q "$mnt"; do :; done
done

echo "$source $mnt curvefs _netdev,nofail,noauto,user,x-systemd.automount,$options 0 0" > "$work/fstab"
step fstab mount -T "$work/fstab" "$mnt"
step fstab-shown sh -c "$shown"
step fstab-read cat "$mnt/file"
step twice mount -T "$work/fstab" "$mnt"
step tool-umount "$root/tools/curvefs" umount "$mnt"
step unknown-filesystem mount -t curvefs "$mds:/nope" "$mnt" -o "$options"
step unknown-option mount -t curvefs "$source" "$mnt" -o "cachesize=1g"
step no-mds mount -t curvefs 127.0.0.1:1:/demo "$mnt" -o "$options"
step fake mount -f -t curvefs "$source" "$mnt" -o "$options"
step not-mounted mountpoint -q "$mnt"
kill -TERM "$service"
wait "$service"
echo "service $?"
