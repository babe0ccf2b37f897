#!/bin/sh
# Unpacks virtio-win.iso and puts our pvpanic in place of the one that is there:
# a folder for virt-v2v's VIRTIO_WIN.
#
#   virtio-win-with-pvpanic.sh VIRTIO-WIN.iso PVPANIC-VERSION.iso FOLDER
#
# Our ISO alone is not enough for virt-v2v: VIRTIO_WIN is one path, and without
# viostor and netkvm there the guest falls back to IDE and e1000.
set -eu

if [ $# -ne 3 ]; then
    echo "usage: $0 VIRTIO-WIN.iso PVPANIC-VERSION.iso FOLDER" >&2
    exit 2
fi
virtio_win=$1 pvpanic=$2 folder=$3
if [ -e "$folder" ]; then
    echo "$folder is there already: name one that is not" >&2
    exit 1
fi

unpack() {
    xorriso -return_with SORRY 0 -report_about SORRY \
        -osirrox on -indev "$1" -extract "$2" "$3"
}

unpack "$virtio_win" / "$folder"
chmod -R u+w "$folder"
for driver in viostor NetKVM; do
    if [ ! -d "$folder/$driver" ]; then
        echo "$virtio_win has no folder $driver: it is no virtio-win.iso" >&2
        exit 1
    fi
done
# virtio-win has pvpanic for systems that ours does not support: all of it goes,
# so that virt-v2v finds either ours or none.
rm -rf "$folder/pvpanic"
unpack "$pvpanic" /pvpanic "$folder/pvpanic"
chmod -R u+w "$folder/pvpanic"
echo "VIRTIO_WIN=$folder"
