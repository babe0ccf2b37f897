# The first process of the namespaces that libvirtd runs in. It takes the folder of
# an unpacked Debian, a folder to share with the outside, and the number of the
# process that started this. It reaps what libvirtd's children leave. When it ends, for
# whatever reason, the kernel ends all other processes in here and undoes every mount.
set -e
root=$1
shared=$2
outside=$3
box=$root/bin/busybox

# What is mounted in here is nobody else's business. A chroot that is no mount point
# can't be told so; then the Debian becomes a mount point, unless others see that.
if ! "$box" mount --make-rprivate / 2>/dev/null; then
    "$box" mount -o bind "$root" "$root"
    if "$box" grep -q " $root " "/proc/$outside/mountinfo"; then
        "$box" umount -l "$root"
        echo "Mounts in this chroot are shared with the system around it. Make the chroot a"
        echo "mount point of its own first: mount --bind --make-private FOLDER FOLDER"
        exit 1
    fi
    "$box" mount --make-rprivate "$root"
fi
"$box" mount -t proc proc "$root/proc"
"$box" mount -t sysfs sysfs "$root/sys"
for folder in dev run tmp var/cache/libvirt var/lib/libvirt var/log/libvirt; do
    "$box" mkdir -p "$root/$folder"
    "$box" mount -t tmpfs tmpfs "$root/$folder"
done
"$box" mount -o bind "$shared" "$root/test"
"$box" mount -o bind "$shared/etc" "$root/etc/libvirt"

# Nodes of its own: the host's are the host's.
node() { "$box" mknod -m 666 "$root/dev/$1" c "$2" "$3"; }
node null 1 3
node zero 1 5
node full 1 7
node random 1 8
node urandom 1 9
node tty 5 0
"$box" mkdir "$root/dev/pts" "$root/dev/shm"
"$box" mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
"$box" ln -s pts/ptmx "$root/dev/ptmx"

# Standard input is a pipe from who started this: it ends when they do.
exec 3<&0
"$box" cat <&3 >/dev/null &
reader=$!
{
    "$box" chroot "$root" /usr/sbin/libvirtd --config /etc/libvirt/libvirtd.conf </dev/null ||
        echo "libvirtd ended with status $?"
    kill "$reader"
} &
wait "$reader"
