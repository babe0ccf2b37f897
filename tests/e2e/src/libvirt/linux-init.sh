#!/bin/busybox sh
# The Linux guest: drives its panic devices, waits for the host's word, crashes.
export PATH=/bin LD_LIBRARY_PATH=/lib
box() { busybox "$@"; }
box mount -t proc proc /proc
box mount -t sysfs sysfs /sys
box mount -t devtmpfs devtmpfs /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
if [ -e /proc/vmcore ]; then
    echo "the crash kernel runs; its crashed predecessor is in /proc/vmcore"
    exec busybox sleep 86400
fi
for module in pvpanic pvpanic-mmio pvpanic-pci; do
    box insmod "/$module.ko"
done
if [ -e /vmlinuz ]; then
    kexec -p /vmlinuz --initrd=/initrd --append="console=ttyS0 quiet"
    echo "a crash kernel is loaded: $(box cat /sys/kernel/kexec_crash_loaded)"
fi
echo "waiting"
box head -c 1 >/dev/null
echo c >/proc/sysrq-trigger
